import type { AttachedSink, Sink, SinkReport, StreamEvent } from './contract.ts'

/** The way of events to one sink, with its own bounded queue, failure policy and account. */
export interface SinkLane {
  write(event: StreamEvent): void
  close(): Promise<SinkReport>
}

export interface SinkLaneOptions {
  readonly closeTimeoutMs: number
  /** Called when the policy is `fail` and an event was lost or the close went wrong. */
  readonly onFailed: (reason: string) => void
}

const DEFAULT_QUEUED_EVENTS = 10_000
/** Characters that may wait for one sink: events can be a megabyte each, so their number alone bounds nothing. */
const MAX_QUEUED_CHARACTERS = 32 * 1024 * 1024
/** Waits before the repeated writes of the policy `retry`. */
const RETRY_BACKOFF_MS = [50, 200, 800]

/**
 * Makes the lane of one sink.
 *
 * - `drop`: an event that the sink refuses, or that finds the queue full, is counted as lost; the stream goes on.
 * - `retry`: a refused event is written again up to three times with growing waits, then counted as lost; a full queue loses the newest event.
 * - `fail`: the first event lost ends the stream; this lane takes nothing more.
 */
export function createSinkLane(attached: AttachedSink, options: SinkLaneOptions): SinkLane {
  return new QueueingLane(attached, options)
}

class QueueingLane implements SinkLane {
  readonly #sink: Sink
  readonly #attached: AttachedSink
  readonly #options: SinkLaneOptions
  readonly #maxQueued: number
  #gaveUp = false
  /** Ends the wait of the moment when the lane gives up. */
  #wake: (() => void) | null = null
  #queue: StreamEvent[] = []
  /** Index of the oldest event in the queue. */
  #head = 0
  #queuedCharacters = 0
  /** Set while an asynchronous write or a retry runs; events queue behind it. */
  #draining: Promise<void> | null = null
  #delivered = 0
  #lost = 0
  #error: string | null = null
  #stopped = false

  constructor(attached: AttachedSink, options: SinkLaneOptions) {
    this.#attached = attached
    this.#sink = attached.sink
    this.#options = options
    this.#maxQueued = attached.maxQueuedEvents ?? DEFAULT_QUEUED_EVENTS
  }

  write(event: StreamEvent): void {
    if (this.#draining !== null) this.#enqueue(event)
    else if (this.#stopped) this.#lost += 1
    else this.#writeNow(event)
  }

  #writeNow(event: StreamEvent): void {
    let pending: void | Promise<void>
    try {
      pending = this.#sink.write(event)
    } catch (error) {
      if (this.#attached.onError === 'retry') this.#draining = this.#drain(event, Promise.reject(error))
      else this.#lose(1, reasonOf(error))
      return
    }
    if (pending === undefined) this.#delivered += 1
    else this.#draining = this.#drain(event, pending)
  }

  #enqueue(event: StreamEvent): void {
    if (this.#stopped) {
      this.#lost += 1
      return
    }
    const waiting = this.#queue.length - this.#head
    if (waiting >= this.#maxQueued || this.#queuedCharacters + event.data.length > MAX_QUEUED_CHARACTERS) {
      this.#lose(1, `its queue is full (${waiting} events wait)`)
      return
    }
    this.#queue.push(event)
    this.#queuedCharacters += event.data.length
  }

  /** Finishes the write of `first`, then empties the queue in order. Never rejects. */
  async #drain(first: StreamEvent, pending: Promise<void>): Promise<void> {
    await this.#settle(first, pending)
    while (this.#head < this.#queue.length && !this.#stopped) {
      const event = this.#dequeue()
      await this.#settle(
        event,
        invoke(() => this.#sink.write(event)),
      )
    }
    this.#lost += this.#queue.length - this.#head
    this.#queue = []
    this.#head = 0
    this.#draining = null
  }

  #dequeue(): StreamEvent {
    const event = this.#queue[this.#head]
    if (event === undefined) throw new RangeError('Expected a queued event, found none.')
    this.#head += 1
    this.#queuedCharacters -= event.data.length
    // Shifting an array costs its length; dropping the consumed half now and then costs nothing per event.
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return event
  }

  /** Waits for one write, repeats it where the policy says so, and counts it. A lane that gave up counts the event as lost. */
  async #settle(event: StreamEvent, pending: Promise<void>): Promise<void> {
    const retries = this.#attached.onError === 'retry' ? RETRY_BACKOFF_MS : []
    let reason = await this.#outcome(pending)
    for (const backoffMs of retries) {
      if (reason === null || this.#gaveUp) break
      await this.#pause(backoffMs)
      if (this.#gaveUp) break
      reason = await this.#outcome(invoke(() => this.#sink.write(event)))
    }
    if (reason === null) this.#delivered += 1
    else this.#lose(1, reason)
  }

  /** Null when the write went well, else why not. Ends at once when the lane gives up: a write that hangs must not hold the call. */
  #outcome(pending: Promise<void>): Promise<string | null> {
    return new Promise((resolve) => {
      const giveUp = (): void => resolve(`a write was still pending after ${this.#options.closeTimeoutMs} ms`)
      if (this.#gaveUp) giveUp()
      this.#wake = giveUp
      pending.then(
        () => resolve(null),
        (error: unknown) => resolve(reasonOf(error)),
      )
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #lose(count: number, reason: string): void {
    this.#lost += count
    this.#error ??= reason
    if (this.#attached.onError !== 'fail' || this.#stopped) return
    this.#stopped = true
    this.#options.onFailed(reason)
  }

  async close(): Promise<SinkReport> {
    const { closeTimeoutMs } = this.#options
    if (this.#draining !== null) {
      const timer = setTimeout(() => {
        this.#stopped ||= this.#attached.onError !== 'fail'
        this.#gaveUp = true
        this.#wake?.()
      }, closeTimeoutMs)
      await this.#draining
      clearTimeout(timer)
    }
    this.#stopped = true
    const reason = await bounded(
      invoke(() => this.#sink.close()),
      closeTimeoutMs,
    )
    if (reason !== null) {
      this.#error ??= reason
      if (this.#attached.onError === 'fail') this.#options.onFailed(reason)
    }
    return { type: this.#attached.type, delivered: this.#delivered, lost: this.#lost, error: this.#error }
  }
}

/** A call that may throw or return nothing, as a promise. */
async function invoke(call: () => void | Promise<void>): Promise<void> {
  await call()
}

function bounded(pending: Promise<void>, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(`it did not close within ${timeoutMs} ms`), timeoutMs)
    const settle = (reason: string | null): void => {
      clearTimeout(timer)
      resolve(reason)
    }
    pending.then(
      () => settle(null),
      (error: unknown) => settle(reasonOf(error)),
    )
  })
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
