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
