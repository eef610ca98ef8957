import type { Json } from '../json.ts'
import type { ExecutionContext } from '../kernel/chain/primitive.ts'
import type { Authorize, Permission } from '../kernel/contract.ts'
import type { ItemType } from '../kernel/items/item.ts'

/**
 * What is granted, by capability id. The scopes are texts of the scope language in canonical form, sorted; `true` grants a capability
 * that has no scope. An empty list grants nothing.
 */
export type Capabilities = Readonly<Record<string, readonly string[] | true>>

/** One `<orchestration>`, `<knowledge>` or `<directives>` block. A deny always wins; null allows whatever is not denied. */
export interface CategoryRule {
  readonly allowCategories: readonly string[] | null
  readonly denyCategories: readonly string[]
  readonly allowIds: readonly string[] | null
  readonly denyIds: readonly string[]
}

/**
 * Everything that a directive declares or a token holds. A list of rules is a conjunction: a child's list begins with its parent's, so
 * that it can only be narrower. `orchestration` is null where nothing may be spawned; an empty list limits nothing.
 */
export interface Grants {
  readonly capabilities: Capabilities
  readonly orchestration: readonly CategoryRule[] | null
  readonly knowledge: readonly CategoryRule[]
  readonly directives: readonly CategoryRule[]
}

/** `path`: scopes of the file language; `host`: of the host language; `id`: exact or ending in `*`; null: the capability has no scope. */
export type ScopeKind = 'path' | 'host' | 'id' | null

export interface CapabilityInfo {
  readonly id: string
  readonly description: string
  readonly scope: ScopeKind
  /** Parameter that a bare `requires` entry takes its scope from; null where the capability has no scope. */
  readonly defaultParameter: string | null
  readonly systemOnly: boolean
  /** Capabilities of the same scope that come with it (`fs.write` brings `fs.read`). */
  readonly implies: readonly string[]
}

/** The capability modules that were found, shipped and signed ones. */
export interface Vocabulary {
  get(id: string): CapabilityInfo | undefined
  list(): readonly CapabilityInfo[]
}

/** Claims of one token. Times are UTC milliseconds. */
export interface TokenClaims {
  readonly jti: string
  /** Null for the token of a thread that the operator spawned. */
  readonly parentJti: string | null
  readonly threadId: string
  readonly directiveId: string
  readonly grants: Grants
  readonly issuedAtMs: number
  readonly expiresAtMs: number
}

/** A token as the registry keeps it, for renewal after a restart and for offline proofs. */
export interface TokenRow extends Pick<TokenClaims, 'jti' | 'parentJti' | 'threadId' | 'issuedAtMs' | 'expiresAtMs'> {
  /** Id of the run key that signed it. */
  readonly keyId: string
  readonly token: string
}

/** Public half of the key of one host run, certified by the install key. */
export interface RunKeyRow {
  readonly keyId: string
  readonly publicKey: string
  /** Install key that signed the certificate, and its signature. */
  readonly certifiedBy: string
  readonly certificate: string
  readonly createdAtMs: number
}

/** Where tokens and run keys are kept: the registry of the project. Synchronous, durable when it returns. */
export interface TokenLedger {
  addKey(key: RunKeyRow): void
  key(keyId: string): RunKeyRow | undefined
  add(row: TokenRow): void
  get(jti: string): TokenRow | undefined
  /** The newest token of a thread, those of approvals aside. */
  latest(threadId: string): TokenRow | undefined
  /** Whether the thread may act at this moment: its row is running or spawning, and no cancel was asked for. */
  standing(threadId: string): 'live' | 'unknown' | 'cancelled' | 'ended' | 'stopped'
}

/** The host's power over tokens: only it mints, and only what it minted in this run passes the gate. */
export interface TokenAuthority {
  /**
   * The first token of a thread: what is declared, within what its parent's token grants. The operator's threads have no parent.
   *
   * @throws {KiwiError} TOKEN_INVALID when the parent's own token cannot be proven.
   */
  mint(request: {
    readonly threadId: string
    readonly directiveId: string
    readonly parentThreadId: string | null
    readonly declared: Grants
  }): Promise<TokenClaims>
  /**
   * The token that the thread acts under now: renewed before it expires and after a restart of the host, never wider.
   *
   * @throws {KiwiError} TOKEN_INVALID when none was ever minted for the thread, or it cannot be proven.
   */
  current(threadId: string): Promise<string>
  /**
   * A token of the thread for one call, or for the calls of one tool, that somebody approved: what the thread has now, and `tool.approved` of
   * that tool. Good until `expiresAtMs` (UTC milliseconds) at most, and no longer than any token; never given by `current`.
   *
   * @throws {KiwiError} TOKEN_INVALID, also when the approval's own time is over.
   */
  mintApproval(request: {
    readonly threadId: string
    readonly approvalId: string
    readonly toolId: string
    readonly expiresAtMs: number
  }): Promise<string>
  /** Signature, audience, purpose and expiry; the signature is checked once per token and host run. @throws {KiwiError} TOKEN_INVALID */
  verify(token: string): Promise<TokenClaims>
}

/** What a thread may do with an item, for `search`, `load` and the first of the two checks of a call. */
export interface ItemQuestion {
  readonly itemType: ItemType
  readonly itemId: string
  readonly category: string
}

/** The one choke point. `authorize` is the kernel's port; `check` is asked by the harness before a call is even begun. */
export interface Gate {
  readonly authorize: Authorize
  /** The meta-tool itself and the item it names; requirements with their scopes are left to `authorize`, which sees the real parameters. */
  check(request: {
    /** `sign`: whether the thread may ask for a signature. It never signs by itself. */
    readonly verb: 'search' | 'load' | 'execute' | 'sign' | 'help'
    readonly item: ItemQuestion | null
    readonly context: ExecutionContext
  }): Promise<Permission>
}

/** Takes secrets out of whatever is kept, shown or sent: as they are, base64, URL- and JSON-escaped. */
export interface Redactor {
  text(text: string): string
  /** The same value when there is nothing to redact. Keys are redacted too. */
  json<T extends Json>(value: T): T
  /** Name of the first secret in a value, or null. */
  find(value: Json): string | null
  /** For text that arrives in pieces: holds back only what may be the beginning of a secret. */
  stream(): { push(piece: string): string; end(): string }
  /** For the raw events of one stream: holds back only those in which a secret may have begun. */
  events<E extends RedactableEvent>(): EventRedaction<E>
}

/** An event whose `data` is text, mostly JSON. */
export interface RedactableEvent {
  readonly data: string
}

/** Events in, events out in the same order, without secrets. `end` gives what is still held. */
export interface EventRedaction<E extends RedactableEvent> {
  push(event: E): readonly E[]
  end(): readonly E[]
}
