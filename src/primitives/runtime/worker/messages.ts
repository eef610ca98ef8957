/**
 * What host and worker say to each other over the pipe. A tool shares the worker's process, so whatever comes from a worker is read as if
 * the tool had written it.
 */

/** `run` calls the default export; the others are for a sink, whose factory is the default export. */
export type WorkerAction = 'run' | 'open' | 'write' | 'close'

/** Bytes travel as base64. */
export type HostMessage =
  | {
      readonly type: 'load'
      /** URL of the tool; its own and its imports' sources are in `sources`, by URL. */
      readonly main: string
      readonly sources: readonly (readonly [url: string, bytes: string])[]
      /** URL of the folder that bare imports may come from, ending in a slash; null when the space has no packages. */
      readonly dependencies: string | null
    }
  | {
      readonly type: 'call'
      readonly id: number
      readonly action: WorkerAction
      readonly input: unknown
      readonly projectPath: string
    }
  | { readonly type: 'abort'; readonly id: number; readonly reason: string }
  | { readonly type: 'fetched'; readonly id: number; readonly response: WireResponse }
  | { readonly type: 'fetch_failed'; readonly id: number; readonly message: string }

/** What Node's permission model denied: the name of its permission and, where it says so, the path. */
export interface Denial {
  readonly permission: string
  readonly resource: string
}

export type WorkerMessage =
  | { readonly type: 'loaded'; readonly callable: boolean }
  | ({ readonly type: 'load_failed' } & Thrown)
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | ({ readonly type: 'failed'; readonly id: number } & Thrown)
  | { readonly type: 'unserialisable'; readonly id: number; readonly message: string }
  | { readonly type: 'fetch'; readonly id: number; readonly request: WireRequest }
  | { readonly type: 'fetch_abort'; readonly id: number }

/** What a tool threw. */
export interface Thrown {
  readonly name: string
  readonly message: string
  /** Null for everything but a denial. */
  readonly denial: Denial | null
}

export interface WireRequest {
  readonly url: string
  readonly method: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string | null
  /** False: a redirect is an error for the caller. */
  readonly followRedirects: boolean
}

export interface WireResponse {
  readonly url: string
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string | null
}

/** Of the result of one call, as JSON. */
export const MAX_RESULT_BYTES: number = 8 * 1024 * 1024
/** Of the body of one request or answer of a tool's `fetch`. */
export const MAX_FETCH_BODY_BYTES: number = 10 * 1024 * 1024
/** Of one message: the largest body as base64, and room for its head. */
export const MAX_MESSAGE_BYTES: number = 16 * 1024 * 1024
