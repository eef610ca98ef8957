import type { BodyConsumer } from './body-source.ts'
import type { HttpError, StreamEvent } from './contract.ts'
import { readErrorEvent } from './error-event.ts'
import { limitFailure } from './failure.ts'
import { createSseParser } from './sse.ts'
import type { SseEnd } from './sse.ts'

/** The events of one call: counted, capped, searched for a provider's error, and passed on. Shared by all transports. */
export interface EventDelivery {
  readonly count: () => number
  /** `stop`: nothing more is wanted; `error` says why. */
  deliver(event: StreamEvent, maybeError: boolean): 'go' | 'stop'
  /** The cap that was reached or the provider's error; the latter may be followed by further events. */
  readonly error: () => HttpError | null
  /** The provider refused before it emitted anything, and the event was held back because the call can be repeated. */
  readonly wasHeldBack: () => boolean
}

export interface EventDeliveryOptions {
  readonly request: string
  readonly maxEvents: number
  readonly write: (event: StreamEvent) => void
}

/** For one attempt; `holdBackRefusal` says that another attempt may follow. */
export function createEventDelivery(options: EventDeliveryOptions, holdBackRefusal: boolean): EventDelivery {
  let count = 0
  let error: HttpError | null = null
  let isHeldBack = false
  return {
    count: () => count,
    error: () => error,
    wasHeldBack: () => isHeldBack,
    deliver(event, maybeError) {
      if (count >= options.maxEvents) {
        error ??= limitFailure(options.request, 'max_events', options.maxEvents)
        return 'stop'
      }
      if (maybeError || event.event === 'error') {
        const told = readErrorEvent(event, options.request)
        error ??= told?.error ?? null
        if (told?.refused === true && count === 0 && holdBackRefusal) {
          isHeldBack = true
          return 'stop'
        }
      }
      count += 1
      options.write(event)
      return 'go'
    },
  }
}

/** Events delivered before the clock is looked at again. */
const BATCH_EVENTS = 16

export interface SseConsumer extends BodyConsumer {
  finish(): SseEnd
  /** A single event was over its cap. */
  readonly overEventLimit: () => boolean
}

/** Server-sent events from the body of an answer into a delivery. */
export function createSseConsumer(delivery: EventDelivery, maxEventBytes: number): SseConsumer {
  let isStopped = false
  let isTooBig = false
  const parser = createSseParser({
    maxEventBytes,
    onEvent(event, maybeError) {
      if (!isStopped && delivery.deliver(event, maybeError && event.data.includes('"error"')) === 'stop') isStopped = true
    },
  })
  return {
    push: (chunk) => parser.push(chunk),
    work() {
      const state = parser.drain(BATCH_EVENTS)
      isTooBig = state === 'too_big'
      return isStopped || state === 'too_big' ? 'stop' : state
    },
    finish: () => parser.finish(),
    overEventLimit: () => isTooBig,
  }
}
