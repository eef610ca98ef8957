/**
 * What one call may touch, as whoever authorized it decided. Primitives obey a grant and decide nothing; a call without one may touch
 * nothing beyond its own code and parameters.
 */
export interface Grant {
  /** Equal for equal grants of the same thread; a warm worker is reused only under the same. */
  readonly id: string
  /** Null for the operator. */
  readonly threadId: string | null
  readonly read: readonly PathRule[]
  /** Whatever may be written may also be read. */
  readonly write: readonly PathRule[]
  readonly network: NetworkGrant
  /** Asked again before each effect of a call that goes on for long; false as soon as the thread was cancelled. */
  readonly isLive: () => boolean
}

/** One path scope: `base` are literal segments below the project, empty for the project itself. */
export type PathRule =
  /** `a/b`: that entry alone. */
  | { readonly kind: 'exact'; readonly base: readonly string[] }
  /** `a/**`: base and everything below. */
  | { readonly kind: 'tree'; readonly base: readonly string[] }
  /** `a/*`: any one name in base. */
  | { readonly kind: 'children'; readonly base: readonly string[] }
  /** `a/*.ts`: names in base that end in `suffix` (with its dot) after at least one character. */
  | { readonly kind: 'extension'; readonly base: readonly string[]; readonly suffix: string }

export type NetworkGrant =
  | { readonly kind: 'none' }
  /** The operator's own: no host is refused. */
  | { readonly kind: 'open' }
  | { readonly kind: 'scoped'; readonly policy: NetworkPolicy }

/** Which hosts may be asked. Hosts are lower-case names or IP literals without brackets. */
export interface NetworkPolicy {
  readonly allows: (target: NetworkTarget) => boolean
  /** True only where a scope names this very IP literal (or `localhost`) with this very port; every other private address is refused. */
  readonly allowsPrivate: (target: NetworkTarget) => boolean
}

export interface NetworkTarget {
  readonly host: string
  readonly port: number
  readonly protocol: 'http' | 'websocket'
}

/** What separates a process from the machine. `none` only where the user's configuration says so. */
export type SandboxMode = 'bubblewrap' | 'none'

/** What one process may use. Counts are of everything in its sandbox where the system can count so, sizes are bytes. */
export interface SandboxLimits {
  readonly processes: number
  /** Largest file that may be written. */
  readonly fileBytes: number
  readonly cpuSeconds: number
  readonly openFiles: number
  /** Private writable memory of one process. */
  readonly memoryBytes: number
  /** Address space of one process; null leaves it unlimited, because programs such as Node reserve far more than they use. */
  readonly addressSpaceBytes: number | null
  /** Of `/tmp` and of shared memory each; both live in memory. */
  readonly tmpBytes: number
}

export interface SandboxCommand {
  /** Undefined shows an empty `/project` and no network. */
  readonly grant: Grant | undefined
  readonly projectPath: string
  readonly command: string
  readonly args: readonly string[]
  /** Folder to start in, relative to the project; empty for the project itself. */
  readonly cwd?: string
  /**
   * The whole environment of the command besides PATH, HOME, LANG and TERM, which it may replace (nothing besides in mode `none`). Never
   * seen in the process list.
   */
  readonly env: Readonly<Record<string, string>>
  /** Files and folders of the host that the command itself consists of. `to` is absolute. */
  readonly extraReadOnly?: readonly { readonly from: string; readonly to: string }[]
  /** Files and folders of the project that the command consists of, as segments: shown read-only, whatever is granted. */
  readonly program?: readonly (readonly string[])[]
  /** `none` whatever is granted; `grant` (the default) as granted. */
  readonly network?: 'grant' | 'none'
  readonly limits?: Partial<SandboxLimits>
  readonly signal?: AbortSignal | undefined
}

/**
 * A command line that runs inside. Spawn `command` with `args`, `env`, `cwd` and `stdio: [stdin, stdout, stderr, ...inherit]`, then await
 * `dispose()` once, however it ended, or if it was never spawned. Killing the spawned process kills everything in its sandbox.
 */
export interface WrappedCommand {
  readonly command: string
  readonly args: readonly string[]
  /** Of the outer process, with nothing of the tool's in it. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Open descriptors that the process must get as 3, 4, … */
  readonly inherit: readonly number[]
  readonly mode: SandboxMode
  /** Number of processes inside, or null where it cannot be told (yet). */
  processCount(): number | null
  /** Waits until nothing of the sandbox runs any more, then takes away what must not stay. Idempotent. */
  dispose(): Promise<SandboxReport>
}

export interface SandboxReport {
  /** Whether the command was started; false when the sandbox could not be set up or was killed before. */
  readonly started: boolean
  /** Names of the deny list that appeared while the command ran; each was given another name, so that nothing is lost and nothing obeys it. */
  readonly movedAside: readonly { readonly from: string; readonly to: string }[]
  /** Hosts that were refused, `host:port`. */
  readonly deniedHosts: readonly string[]
}

export type SandboxAvailability =
  | { readonly kind: 'available'; readonly version: string }
  /** `installLine` is null where there is nothing to install. */
  | { readonly kind: 'missing' | 'broken'; readonly reason: string; readonly installLine: string | null }
  /** The configuration says `sandbox: none`. */
  | { readonly kind: 'off' }

/** Separates processes from the machine. */
export interface Sandbox {
  readonly mode: SandboxMode
  /** Tried once by really running it, then remembered. */
  availability(): Promise<SandboxAvailability>
  /** @throws {SandboxError} */
  wrap(command: SandboxCommand): Promise<WrappedCommand>
}

export type SandboxErrorCode = 'SANDBOX_UNAVAILABLE' | 'LIMIT_EXCEEDED' | 'CONFIG_VALIDATION_ERROR' | 'ABORTED'

/** A command that cannot be run in the sandbox; nothing was started. */
export class SandboxError extends Error {
  override readonly name = 'SandboxError'
  readonly code: SandboxErrorCode

  constructor(code: SandboxErrorCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** The host's side of a scoped network: an HTTP proxy on a unix socket that obeys `policy`. */
export type StartProxy = (options: {
  readonly policy: NetworkPolicy
  readonly isLive: () => boolean
  readonly socketPath: string
  readonly signal: AbortSignal
}) => Promise<{ close(): Promise<void>; denied(): readonly string[] }>
