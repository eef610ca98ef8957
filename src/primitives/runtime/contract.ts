import type { Grant, SandboxMode } from '../sandbox/contract.ts'

/** What the `node` primitive reads of a call; the kernel's `PrimitiveCall` fits. */
export interface RuntimeCall {
  readonly config: Readonly<Record<string, unknown>>
  readonly parameters: Readonly<Record<string, unknown>>
  /** The tool that was called: the runtime tool itself, or a tool file before it. */
  readonly leaf?: { readonly id: string }
  readonly context: RuntimeContext
  readonly runtimeTool?: RuntimeTool
}

export interface RuntimeTool {
  readonly id: string
  readonly path: string
  readonly space: 'project' | 'user' | 'system'
  /** The file's bytes as they were when its signature was checked. */
  readonly bytes: Uint8Array
  /** The local files that it imports, by path relative to its own folder, as they were when the signature was checked. */
  readonly imports: ReadonlyMap<string, Uint8Array>
}

/** What a tool is given beside its parameters. */
export interface RuntimeContext {
  readonly projectPath: string
  readonly signal?: AbortSignal
  /** In-process sinks are for the stream of a call, never for a tool. Fields that are not named here are passed on to shipped tools. */
  readonly __sinks?: unknown
  /** What the call may touch; without one a tool of a project or user reaches nothing. */
  readonly __grant?: Grant
  /** Id of the tool that was called; given to shipped tools. */
  readonly __called?: string
}

export interface RuntimeOutcome {
  readonly value: unknown
  readonly error: {
    readonly code: string
    readonly message: string
    readonly retryable: boolean
    readonly detail?: Readonly<Record<string, unknown>>
    /** What to do, where that can be told. */
    readonly suggestion?: string
  } | null
  /** Set where the tool ran in a process of its own. */
  readonly sandbox?: SandboxMode
}

/** A failed call of the `node` primitive. */
export function failure(code: string, message: string, detail?: Readonly<Record<string, unknown>>): RuntimeOutcome {
  return { value: null, error: { code, message, retryable: false, ...(detail === undefined ? {} : { detail }) } }
}

/** What a tool may reach on the network: the host makes its requests. Rejects with an Error whose message the tool is shown. */
export type ToolFetch = (request: ToolRequest, signal: AbortSignal) => Promise<ToolResponse>

export interface ToolRequest {
  readonly url: string
  readonly method: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Uint8Array | null
  /** False: a redirect is given back as the answer. */
  readonly followRedirects: boolean
}

export interface ToolResponse {
  readonly url: string
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Uint8Array | null
}
