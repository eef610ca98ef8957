import type { JsonObject } from '../json.ts'
import type { ExecutionContext, Primitive } from './chain/primitive.ts'
import type { Grant, SandboxMode } from '../primitives/sandbox/contract.ts'
import type { ErrorCode, ErrorEnvelope } from './errors.ts'
import type { CapabilityDeclaration, Item, ItemProblem, ItemType, Requirement, Space } from './items/item.ts'

/** Everything a meta-tool can be given. A verb ignores no field silently: one that it does not take is `INVALID_REQUEST`. */
export interface MetaToolRequest {
  readonly item_type?: ItemType
  readonly item_id?: string
  readonly parameters?: JsonObject
  readonly query?: string
  readonly source?: Space | 'all'
  readonly destination?: 'project' | 'user'
  readonly project_path?: string
  readonly action?: string
  readonly topic?: string
  readonly reason?: string
  readonly limit?: number
}

export type MetaToolResult =
  | ({ readonly success: true } & Readonly<Record<string, unknown>>)
  | (ErrorEnvelope & { readonly result?: unknown; readonly sandbox?: SandboxMode })

/**
 * Asked before an item is shown, loaded, signed or executed; the answer is obeyed. The kernel does not know why. For one call of a tool it is
 * asked once for each part that requires something of its own: the tool with the caller's parameters, a wrapped runtime tool with its own, the
 * primitive with its rendered configuration, and each sink that the caller's values shaped.
 */
export type Authorize = (request: {
  readonly verb: 'search' | 'load' | 'execute' | 'sign'
  readonly itemType: ItemType
  readonly itemId: string
  readonly category: string
  /** What this part requires, to be met by `parameters`. */
  readonly requires: readonly Requirement[]
  /** What all links of the chain require together: the reach of the call. Empty for anything but a tool that is executed. */
  readonly chainRequires: readonly Requirement[]
  readonly parameters: JsonObject
  /** Space that `load` would copy the item into. */
  readonly destination?: 'project' | 'user'
  readonly context: ExecutionContext
}) => Promise<Permission>

export type Permission =
  /** `grant` is passed on to the primitive as `context.__grant`. */
  | { readonly permitted: true; readonly grant?: Grant }
  | {
      readonly permitted: false
      readonly missing: readonly string[]
      readonly suggestion: string
      /** PERMISSION_DENIED unless it says otherwise. */
      readonly code?: ErrorCode
    }

/** What is wrong with an item beyond its own form, such as a capability that no module declares. Asked when it is loaded, signed or executed. */
export type Review = (item: Item) => Promise<ReviewFindings>

export interface ReviewFindings {
  /** An item with one of these does not run and is not signed. */
  readonly problems: readonly ItemProblem[]
  /** Shown beside the item's own. */
  readonly warnings: readonly ItemProblem[]
}

/** Keys for items. A key id is the base64url of the raw Ed25519 public key, so a signature line names its key in full. */
export interface SigningKeys {
  /** Signs `kiwi:item:v1`, a line feed and the message with the user's own key. base64url. @throws {KiwiError} KEY_UNSAFE */
  sign(message: Uint8Array): Promise<{ readonly keyId: string; readonly signature: string }>
  /** What the user lets this key vouch for. Asked at every use of an item, so it must be quick. @throws {KiwiError} KEY_UNSAFE */
  trust(keyId: string, item: SignedItem): KeyTrust
}

/** What a key is asked to vouch for; the project's configuration is of type `config`. */
export interface SignedItem {
  readonly type: ItemType | 'config'
  readonly id: string
  /** Null for what is no tool. */
  readonly toolType: string | null
}

export type KeyTrust = 'trusted' | 'untrusted' | 'other_purpose'

/** Where in the merged configuration of a tool a `${NAME}` stands. */
export interface EnvironmentPlace {
  readonly path: readonly (string | number)[]
}

export interface KernelOptions {
  /** Absolute folders; a space that does not exist is empty. `project` is the `.ai` folder itself. */
  readonly spaces: Readonly<Record<Space, string>>
  /** Where the built `.js` of the shipped runtime tools is, when it is not beside the other system items. */
  readonly systemModules?: string
  readonly projectPath: string
  /** How long a found item may be used after a look at its own file only. Default 0: every call looks through the spaces. */
  readonly trustMs?: number
  /** Where the search index may be kept between processes; null keeps it in memory. */
  readonly indexPath: string | null
  readonly primitives: readonly Primitive[]
  /** `${NAME}` lookups of tool files. The context of the call says for whom; the kernel does not read it. `place` is where the value goes. */
  readonly env: (name: string, context: ExecutionContext, place: EnvironmentPlace) => string | undefined
  readonly authorize?: Authorize
  readonly review?: Review
  readonly keys: SigningKeys
  /** UTC milliseconds, for signature times. */
  readonly now: () => number
}

/** An item as it is and as it would be. The texts are without the signature line, and the hashes those that a signature is over. */
export interface Revision {
  /** `trusted`: it may run as it is, because it is signed by a key that the user trusts. */
  readonly before: RevisedItem & { readonly trusted: boolean }
  readonly after: RevisedItem
}

export interface RevisedItem {
  readonly item: Item
  readonly text: string
  readonly sha256: string
  /** Of the local files that it imports, which its signature covers too, by path relative to the folder of its file. */
  readonly imports: ReadonlyMap<string, string>
}

/** Content for an item, as it was shown to whoever agreed to it. Hashes are those of a `Revision`. */
export interface Replacement {
  readonly content: string
  readonly sha256: string
  /** Of what the file must hold, unless it holds the new content already, signed. */
  readonly baseSha256: string
}

/** The dumb router: it finds, loads and routes items, and knows nothing of what they do. */
export interface Kernel {
  readonly projectPath: string
  search(request: MetaToolRequest, context?: Partial<ExecutionContext>): Promise<MetaToolResult>
  load(request: MetaToolRequest, context?: Partial<ExecutionContext>): Promise<MetaToolResult>
  execute(request: MetaToolRequest, context?: Partial<ExecutionContext>): Promise<MetaToolResult>
  sign(request: MetaToolRequest, context?: Partial<ExecutionContext>): Promise<MetaToolResult>
  help(request: MetaToolRequest, context?: Partial<ExecutionContext>): Promise<MetaToolResult>
  /** The item that a call of this type and id would use: project, then user, then system. Throws `KiwiError` ITEM_NOT_FOUND. */
  find(type: ItemType, id: string, source?: Space | 'all'): Promise<Item>
  /**
   * The item from bytes whose signature was checked. Throws `KiwiError`: ITEM_NOT_FOUND, ITEM_UNAVAILABLE, and for its signature ITEM_UNSIGNED,
   * ITEM_CHANGED, ITEM_SIGNATURE_MALFORMED, ITEM_SIGNATURE_MISSING, ITEM_SIGNATURE_INVALID, ITEM_KEY_UNTRUSTED, ITEM_KEY_PURPOSE.
   */
  require(type: ItemType, id: string): Promise<Item>
  /** The ids of all items of a type in the three spaces, each once, in their order; nothing is parsed or checked for it. */
  ids(type: ItemType): Promise<readonly string[]>
  /**
   * What other content would make of an item of the project or user space, judged as `sign` would judge it; nothing is written. An `after`
   * that could not be signed is unavailable.
   *
   * @throws {KiwiError} ITEM_NOT_FOUND; INVALID_REQUEST for an item whose file is not its own, and for a signature line in the wrong place.
   */
  revise(type: ItemType, id: string, content: string): Promise<Revision>
  /**
   * Puts the content in the place of an item's and signs it with the user's own key: the file holds the old or the signed new one at every
   * moment. Where the new one is there already and trusted, nothing is written. Nobody is asked: only for what the operator decided.
   *
   * @throws {KiwiError} as `revise`; ITEM_CHANGED when the file, or the new content with what it imports, is not what was shown;
   *   ITEM_UNAVAILABLE, DIRECTIVE_INVALID.
   */
  replace(type: ItemType, id: string, replacement: Replacement): Promise<{ readonly file: string; readonly sha256: string }>
  /** The file of a runtime tool after its integrity check, for in-process factories such as harnesses. */
  importModule(toolId: string): Promise<{ readonly item: Item; readonly module: Readonly<Record<string, unknown>> }>
  /** The capability modules that are trusted: shipped ones, and signed ones that name a new capability. */
  capabilities(): Promise<readonly { readonly item: Item; readonly declaration: CapabilityDeclaration }[]>
  /** Every bad file of the three spaces, for `doctor`. */
  problems(): Promise<readonly ItemProblem[]>
  close(): void
}
