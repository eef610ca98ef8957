import type { AttachedSink, HttpRetry, Sink } from '../../primitives/http-client/contract.ts'
import type { Grant, SandboxMode } from '../../primitives/sandbox/contract.ts'
import type { Json, JsonObject } from '../../json.ts'

/**
 * What travels beside the parameters of a call. The `__` fields are opaque to the kernel: they are passed on and never read here.
 */
export interface ExecutionContext {
  readonly projectPath: string
  readonly signal?: AbortSignal
  /** In-process sinks added by the caller of a streaming tool. */
  readonly __sinks?: readonly AttachedSink[]
  /** Destinations beside those of the tool's file, for its sinks to be made of. */
  readonly __destinations?: readonly AddedDestination[]
  /** Told before each wait for another attempt of an HTTP call. */
  readonly __on_retry?: (retry: HttpRetry) => void
  /** Put before every sink that the tool's file names. */
  readonly __wrap_sink?: (sink: Sink) => Sink
  readonly __auth?: unknown
  /** Everything is checked and asked for, but for the approval of a person; nothing is made, and nothing runs. */
  readonly __check_only?: boolean
  /** What the call may touch, as `authorize` answered; primitives obey it. */
  readonly __grant?: Grant
  /** Where the user space lies below the project, relative; set by the kernel, and only when it does. File tools keep out of it. */
  readonly __user_space?: string
  readonly __thread_id?: string
  /** The door that a call outside of threads came in by, and the name that its client gave itself; absent: a program's own call. */
  readonly __caller?: { readonly door: 'cli' | 'mcp' | 'http' | 'library'; readonly client?: string }
  readonly __directive_id?: string
  /** Id of the tool that was called, for the shipped runtime tool behind it; set by the primitive that runs it. */
  readonly __called?: string
  /** What the server of a signed connector file consists of, for the call that lists its tools; never from a caller. */
  readonly __program?: readonly string[]
  /** Stable over retries and takeovers of one step: `thread/turn/name`. */
  readonly __idempotency_key?: string
  /** Ports that `compose.ts` gives to shipped runtime tools, by name; opaque to the kernel. */
  readonly services?: Readonly<Record<string, unknown>>
}

/** A stream destination that somebody added to a tool's own. Its sink reaches what `grant` names; absent: what the call may reach. */
export interface AddedDestination {
  readonly destination: JsonObject
  readonly grant?: Grant
}

/** What a primitive gives back: `value` is shown to the caller as it is, `error` decides success. */
export interface PrimitiveOutcome {
  readonly value: unknown
  readonly error: {
    readonly code: string
    readonly message: string
    readonly retryable: boolean
    readonly detail?: Readonly<Record<string, unknown>>
    /** The code is the one that the caller is shown, instead of EXECUTION_FAILED because of it; `detail.cause` is what lies behind it. */
    readonly isOwn?: boolean
    /** What to do, where the primitive can tell. */
    readonly suggestion?: string
  } | null
  /** What a process of the call ran in; the caller is shown it. */
  readonly sandbox?: SandboxMode
}

/** The end of every tool chain: the only code behind tools that touches the world. */
export interface Primitive {
  readonly id: string
  execute(call: PrimitiveCall): Promise<PrimitiveOutcome>
  /** Makes a sink of a project or a user apart from this process; only the primitive that runs runtime tools has it. */
  readonly openSink?: (request: {
    readonly tool: NonNullable<PrimitiveCall['runtimeTool']>
    readonly options: JsonObject
    /** The sink reaches what `__grant` names, and nothing without one. */
    readonly context: ExecutionContext
  }) => Promise<Sink>
}

export interface PrimitiveCall {
  /** The merged configuration of the chain with every template rendered. */
  readonly config: JsonObject
  readonly parameters: Readonly<Record<string, Json>>
  /** The tool that was called, at the near end of the chain. */
  readonly leaf: { readonly id: string; readonly description: string; readonly inputSchema: JsonObject | null }
  readonly context: ExecutionContext
  /** Sinks made by the executor from `config.stream.destinations`, then the caller's own. */
  readonly sinks: readonly AttachedSink[]
  /** The runtime tool of the chain: the verified bytes that the `node` primitive runs. */
  readonly runtimeTool?: {
    readonly id: string
    readonly path: string
    readonly space: 'project' | 'user' | 'system'
    readonly bytes: Uint8Array
    /** The local files that it imports, by path relative to its own folder, as they were when the signature was checked. */
    readonly imports: ReadonlyMap<string, Uint8Array>
  }
}
