import { ITEM_ID } from '../../kernel/items/names.ts'
import { quotedName } from '../../mcp-client/definitions/neutral-text.ts'
import type { ConnectorConfig } from '../contract.ts'

export type ToolName =
  | { readonly kind: 'named'; readonly upstream: string; readonly toolId: string }
  /** `toolId` is there where the name gives one. */
  | { readonly kind: 'skipped'; readonly upstream: string; readonly toolId: string | null; readonly reason: string }

export interface ToolNameOptions {
  /** Begins every id: `<server>_`, perhaps with more behind it. */
  readonly prefix: string
  /** Who has an id already, for the reason (`the shipped tool anthropic_messages`); null when it is free or this connector's own. */
  readonly takenBy?: (toolId: string) => string | null
}

/**
 * Letters and digits of ASCII only, so that no two names look alike. The protocol allows no `/`; servers that group their tools have it
 * nevertheless.
 */
const UPSTREAM_NAME = /^[A-Za-z0-9_./-]{1,128}$/
const MAX_TOLD = 3

/**
 * Ids of all tools of one server, in its order. An id always begins with the prefix: whatever a server calls its tools, it takes the name
 * of no other one's. Names that give the same id are skipped all of them, because the server could choose which one is meant.
 */
export function toolNames(upstream: readonly string[], options: ToolNameOptions): readonly ToolName[] {
  const read = upstream.map((name) => readName(name, options))
  const byId = Map.groupBy(read, ({ toolId }) => toolId)
  return read.map((name, index) => {
    if (name.kind === 'skipped') return name
    const others = (byId.get(name.toolId) ?? []).filter((other) => other !== read[index])
    return others.length === 0 ? name : skipped(name.upstream, name.toolId, sameIdReason(name.toolId, others))
  })
}

/** Where the file of a tool lies, relative to the project. */
export function outputFileOf({ outputDir }: Pick<ConnectorConfig, 'outputDir'>, toolId: string): string {
  return `${outputDir.replace(/\/+$/, '')}/${toolId}.yaml`
}

function readName(upstream: string, { prefix, takenBy }: ToolNameOptions): ToolName {
  if (!UPSTREAM_NAME.test(upstream)) {
    const rule = 'a name has 1 to 128 of the characters A-Z a-z 0-9 _ . - /'
    return skipped(upstream, null, `The server calls it ${quotedName(upstream)}; ${rule}.`)
  }
  const toolId = prefix + upstream.toLowerCase().replace(/[^a-z0-9_.-]/g, '_')
  if (!ITEM_ID.test(toolId)) return skipped(upstream, null, `Its id would be ${quotedName(toolId)}, which is none: ${ID_RULE}.`)
  const owner = takenBy?.(toolId) ?? null
  return owner === null
    ? { kind: 'named', upstream, toolId }
    : skipped(upstream, toolId, `Its id would be ${toolId}, which belongs to ${owner}. Set another tool_prefix.`)
}

const ID_RULE = 'an id has at most 128 characters and begins with a letter, a digit or _'

function sameIdReason(toolId: string, others: readonly ToolName[]): string {
  const names = others.slice(0, MAX_TOLD).map(({ upstream }) => quotedName(upstream))
  const more = others.length > MAX_TOLD ? ` and ${others.length - MAX_TOLD} more` : ''
  return `Its id would be ${toolId}, and so would that of the server's ${names.join(', ')}${more}; none of them is made.`
}

function skipped(upstream: string, toolId: string | null, reason: string): ToolName {
  return { kind: 'skipped', upstream, toolId, reason }
}
