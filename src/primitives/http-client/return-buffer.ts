import type { AttachedSink, StreamEvent } from './contract.ts'

/** The built-in `return` sink: keeps the first events in memory for the result's body. */
export interface ReturnBuffer {
  readonly attached: AttachedSink
  events(): readonly StreamEvent[]
}

/** Whoever asks for it decides how long a stream is, and the memory is everybody's. */
const MAX_CHARACTERS = 64 * 1024 * 1024

/** A buffer of at most `maxEvents`, and of 64 M characters; what comes after is counted as lost. */
export function createReturnBuffer(maxEvents: number): ReturnBuffer {
  const events: StreamEvent[] = []
  let characters = 0
  return {
    attached: {
      type: 'return',
      onError: 'drop',
      sink: {
        write(event) {
          if (events.length >= maxEvents) throw new RangeError(`\`stream.max_buffer_size\` (${maxEvents} events) is reached`)
          if (characters + event.data.length > MAX_CHARACTERS)
            throw new RangeError(`The result keeps at most ${MAX_CHARACTERS} characters of a stream; send it to a file.`)
          characters += event.data.length
          events.push(event)
        },
        close: () => Promise.resolve(),
      },
    },
    events: () => events,
  }
}
