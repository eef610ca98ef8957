/** One event of a scripted stream, as the bytes that go out. `paced` events wait for the reply's delay before them. */
export interface WireEvent {
  readonly text: string
  readonly paced: boolean
}

/** An answer in both forms, and the same failure as an event inside a stream. */
export interface WireAnswer {
  readonly events: readonly WireEvent[]
  readonly body: string
}
