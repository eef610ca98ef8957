import type { Timeouts } from './config.ts'
import type { HttpError } from './contract.ts'
import { abortFailure, timeoutFailure } from './failure.ts'
import type { TimerName } from './failure.ts'

/**
 * Everything that can end one attempt from outside: the caller's signal, the four timers, a failing sink.
 *
 * L1. The first reason wins and is kept in `failure`; later ones are ignored.
 * L2. A listener is called once, at once if the attempt is already cut.
 * L3. After `end` no timer and no signal listener is left.
 */
export interface Lifeline {
  readonly failure: () => HttpError | null
  cut(failure: HttpError): void
  onCut(listener: () => void): void
  /** Starts the named timer in place of the running one. */
  watch(timer: 'connect' | 'first_byte' | 'between_bytes'): void
  /** A byte arrived: the running timer starts again. */
  life(): void
  /** Nothing is waited for: the named timer stops until the next `watch`. */
  rest(): void
  end(): void
}

export interface LifelineOptions {
  /** What messages call the request. */
  readonly request: string
  readonly timeouts: Timeouts
  /** When the whole call must be over, on the clock of `performance.now()`; Infinity sets no such timer. */
  readonly deadlineMs: number
  readonly signal: AbortSignal | undefined
}

/** Starts the clock of one attempt. */
export function createLifeline(options: LifelineOptions): Lifeline {
  const { request, timeouts, signal } = options
  let cause: HttpError | null = null
  let listeners: (() => void)[] = []
  let phaseTimer: NodeJS.Timeout | undefined

  function cut(reason: HttpError): void {
    if (cause !== null) return
    cause = reason
    const told = listeners
    listeners = []
    for (const listener of told) listener()
  }

  const expire = (timer: TimerName, ms: number) => () => cut(timeoutFailure(request, timer, ms))
  const onAbort = (): void => cut(abortFailure(request))
  const remainingMs = Math.max(1, options.deadlineMs - performance.now())
  const totalTimer = remainingMs === Infinity ? undefined : setTimeout(expire('total', timeouts.totalMs), remainingMs)
  if (signal?.aborted === true) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })

  return {
    failure: () => cause,
    cut,
    onCut(listener) {
      if (cause === null) listeners.push(listener)
      else listener()
    },
    watch(timer) {
      clearTimeout(phaseTimer)
      const ms = phaseMs(timer, timeouts)
      phaseTimer = setTimeout(expire(timer, ms), ms)
    },
    life() {
      phaseTimer?.refresh()
    },
    rest() {
      clearTimeout(phaseTimer)
      phaseTimer = undefined
    },
    end() {
      clearTimeout(phaseTimer)
      clearTimeout(totalTimer)
      signal?.removeEventListener('abort', onAbort)
      listeners = []
    },
  }
}

function phaseMs(timer: 'connect' | 'first_byte' | 'between_bytes', timeouts: Timeouts): number {
  if (timer === 'connect') return timeouts.connectMs
  return timer === 'first_byte' ? timeouts.firstByteMs : timeouts.betweenBytesMs
}
