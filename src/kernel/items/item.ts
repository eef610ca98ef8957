import type { Json, JsonObject } from '../../json.ts'
import type { Expression } from '../expressions/expression.ts'

export type ItemType = 'directive' | 'tool' | 'knowledge'

/** Where an item lives: project `.ai/`, user `~/.ai/` (or `$USER_SPACE`), or the shipped, read-only system tree. */
export type Space = 'project' | 'user' | 'system'

/** Why a file cannot be used (or is suspicious), with what to write instead. Lines and columns count from 1. */
export interface ItemProblem {
  /** Relative to the space's parent: `.ai/tools/x.yaml` in a project, `~/.ai/…` in the user space, `system/…`. */
  readonly file: string
  readonly line: number
  readonly column: number
  readonly reason: string
  readonly fix: string
}

export type Effect = 'pure' | 'idempotent' | 'once'

/** `cap`, or `{cap, scope}` whose scope values may hold `{param}` placeholders. */
export type Requirement = string | { readonly cap: string; readonly scope: Readonly<Record<string, string>> }

export interface ToolDefinition {
  readonly kind: 'tool'
  readonly toolId: string
  /** Open vocabulary: `primitive`, `http`, `runtime`, `harness`, `sink`, `mcp_tool`, … */
  readonly toolType: string
  readonly version: string
  /** Next link of the chain; null only for `tool_type: primitive`. */
  readonly executorId: string | null
  readonly config: JsonObject
  /** JSON Schema (object) of the parameters, from `parameters[]`, `input_schema` or `PARAMETERS`; null accepts an empty object. */
  readonly inputSchema: JsonObject | null
  readonly requires: readonly Requirement[]
  readonly retry: JsonObject | null
  readonly effect: Effect
  readonly loop: JsonObject | null
  /** `required`: somebody must agree to each call that a thread makes. */
  readonly approval: 'required' | null
  /** JSON Schema of the primitive's merged configuration; only primitives have one. */
  readonly configSchema: JsonObject | null
  /** Exact versions a runtime tool needs, by package name. */
  readonly dependencies: Readonly<Record<string, string>>
  /** Set for a `.ts`/`.js` file: the file is the code. */
  readonly module: boolean
  /** What a module of type `capability` declares; absent on every other tool. */
  readonly capability?: CapabilityDeclaration
}

/** The literal constants of a capability module. */
export interface CapabilityDeclaration {
  readonly capabilities: readonly string[]
  readonly description: string
  /** What each is for, where `CAPABILITIES` is a map from id to text; `description` stands for the others. */
  readonly descriptions?: Readonly<Record<string, string>>
  /** True for all of them, or the ids that only shipped directives may ask for. */
  readonly systemOnly: boolean | readonly string[]
  /** Parameter that a bare `requires` entry takes its scope from; null when the module names none. */
  readonly defaultParameter: string | null
  /** How scopes of these capabilities are written (`SCOPE`); null: they have none. */
  readonly scope: 'path' | 'host' | 'id' | null
  /** Capabilities that one brings with it, of the same scope (`IMPLIES`). */
  readonly implies: Readonly<Record<string, readonly string[]>>
}

export interface DirectiveInput {
  readonly name: string
  readonly type: string
  readonly required: boolean
  readonly description: string
  readonly default?: Json
}

export interface DirectiveStep {
  readonly name: string
  readonly text: string
}

/** `<cost>` (or `<limits>`) in one form; absent means no limit, `0` forbids. Times in seconds, money in USD as written. */
export interface CostLimits {
  readonly max_turns: number
  readonly on_exceeded: 'stop' | 'warn' | 'escalate'
  readonly max_input_tokens?: number
  readonly max_output_tokens?: number
  readonly max_total_tokens?: number
  readonly max_context_tokens?: number
  /** 0..1, default 0.8. */
  readonly context_warning_threshold: number
  readonly on_context_full: 'stop' | 'handoff'
  readonly max_cost_usd?: number
  readonly max_duration_seconds?: number
  readonly max_tool_calls?: number
  readonly max_spawns?: number
  /** Threads below this one that have not ended, at once. */
  readonly max_live_spawns?: number
  readonly max_depth?: number
  /** How often the work may be handed on when the context is full (`on_context_full: handoff`). */
  readonly max_handoffs?: number
}

/** One permission tag as written: `<read resource="filesystem" path="src/**"/>`. */
export interface PermissionTag {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly PermissionTag[]
  readonly text: string
  readonly line: number
}

export interface ModelChoice {
  /** A tier of the configuration (`fast`, `balanced`, …); null when a model is named outright. */
  readonly tier: string | null
  readonly id: string | null
  readonly fallback: string | null
}

/** One `<hook>`: a directive that is run on a child thread when the expression is true. */
export interface DirectiveHook {
  readonly when: Expression
  /** The expression as written. */
  readonly source: string
  readonly directive: string
  /** Values of the directive's inputs: text in which `${path}` stands for a value of the event. */
  readonly inputs: Readonly<Record<string, string>>
  readonly line: number
}

/** Something that the harness itself looks at before it believes that the work is done. */
export type SuccessCheck =
  | { readonly type: 'command'; readonly command: string; readonly timeoutSeconds: number }
  /** `sha256` in lower-case hex; null: the file need only exist. */
  | { readonly type: 'file'; readonly path: string; readonly sha256: string | null }
  /** JSON Schema that the structured result must match. */
  | { readonly type: 'schema'; readonly schema: JsonObject }

export interface DirectiveDefinition {
  readonly kind: 'directive'
  readonly name: string
  readonly version: string | null
  readonly description: string
  readonly author: string | null
  readonly model: ModelChoice | null
  readonly cost: CostLimits | null
  readonly permissions: readonly PermissionTag[] | null
  readonly hooks: readonly DirectiveHook[]
  readonly relationships: readonly PermissionTag[]
  readonly context: string
  readonly inputs: readonly DirectiveInput[]
  readonly steps: readonly DirectiveStep[]
  readonly successCriteria: readonly string[]
  /** `<check>`s among the criteria, in order. */
  readonly checks: readonly SuccessCheck[]
  readonly outputs: readonly DirectiveInput[]
  /** `<schema>` of the outputs: the result must be JSON that matches it; null leaves the result a text. */
  readonly outputsSchema: JsonObject | null
}

export interface KnowledgeDefinition {
  readonly kind: 'knowledge'
  readonly title: string
  readonly tags: readonly string[]
  /** Ids named by `[[links]]` in the body. */
  readonly links: readonly string[]
  readonly content: string
}

export type Definition = ToolDefinition | DirectiveDefinition | KnowledgeDefinition

/** One file of one space. An unavailable item is listed, found and loadable, but does not execute. */
export interface Item {
  readonly type: ItemType
  readonly id: string
  readonly space: Space
  readonly category: string
  readonly description: string
  readonly version: string | null
  /** Absolute; never shown. */
  readonly path: string
  /** As in `ItemProblem.file`. */
  readonly file: string
  readonly state:
    | { readonly kind: 'available'; readonly definition: Definition }
    | { readonly kind: 'unavailable'; readonly problems: readonly ItemProblem[] }
  readonly warnings: readonly ItemProblem[]
}
