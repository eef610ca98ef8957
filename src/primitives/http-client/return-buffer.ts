import type { AttachedSink, StreamEvent } from './contract.ts'

/** The built-in `return` sink: keeps the first events in memory for the result's body. */
export interface ReturnBuffer {
  readonly attached: AttachedSink
  events(): readonly StreamEvent[]
}

/** A buffer of at most `maxEvents`; what comes after is counted as lost. */
export function createReturnBuffer(maxEvents: number): ReturnBuffer {
  const events: StreamEvent[] = []
  return {
    attached: {
      type: 'return',
      onError: 'drop',
      sink: {
        write(event) {
          if (events.length >= maxEvents) throw new RangeError(`\`stream.max_buffer_size\` (${maxEvents} events) is reached`)
          events.push(event)
        },
        close: () => Promise.resolve(),
      },
    },
    events: () => events,
  }
}
