import type { BenchWire } from './wire-bytes.ts'

/** One way to do the measured work. Each runs in a process of its own and is asked for one run at a time. */
export interface Contender {
  /** Does the whole work once and says what it saw, which must be the same for all. */
  run(task: Task): Promise<Seen>
  close?(): Promise<void>
}

/** JSON, sent to the contender's process. */
export interface Task {
  readonly wire: BenchWire
  /** Base URL of the model server, up to and without the wire's own path: `http://127.0.0.1:1234/stream/20000`. */
  readonly url: string
  /** An empty folder for files; the contender may write below it. */
  readonly folder: string
  /** Model calls of a loop; 1 for a stream. */
  readonly turns: number
  /** Recorded journal writes, for the contender that replays them. */
  readonly tracePath?: string
  /** Our own contender writes its journal's trace here. */
  readonly recordTo?: string
}

/** Counted results. `text` is the length of all folded text, or null for a contender that does not fold. */
export interface Seen {
  readonly text: number | null
  readonly toolCalls: number
  /** Facts for the report only, such as rows written. */
  readonly notes?: Readonly<Record<string, number>>
}

/** What every contender module exports as `create`. */
export type CreateContender = (folder: string) => Promise<Contender>

/** What one run cost its process. */
export interface Measured {
  readonly cpuMs: number
  readonly wallMs: number
  readonly seen: Seen
  /** Highest resident size of the process so far. */
  readonly maxRssMb: number
  readonly heapUsedMb: number
}
