import type { ConnectorConfig } from '../contract.ts'

export type ToolName =
  | { readonly kind: 'named'; readonly upstream: string; readonly toolId: string }
  /** `toolId` is there where the name gives one. */
  | { readonly kind: 'skipped'; readonly upstream: string; readonly toolId: string | null; readonly reason: string }

export interface ToolNameOptions {
  readonly prefix: string
  /** Who has an id already, for the reason (`the system tool anthropic_messages`); null when it is free or this connector's own. */
  readonly takenBy?: (toolId: string) => string | null
}

/** Ids of all tools of one server, in its order. */
export function toolNames(upstream: readonly string[], options: ToolNameOptions): readonly ToolName[] {
  return upstream.map((name) => ({ kind: 'named', upstream: name, toolId: `${options.prefix}${name}` }))
}

/** Where the file of a tool lies, relative to the project. */
export function outputFileOf({ outputDir }: Pick<ConnectorConfig, 'outputDir'>, toolId: string): string {
  return `${outputDir}/${toolId}.yaml`
}
