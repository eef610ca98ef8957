import { createTwoFilesPatch } from 'diff'
import { KiwiError } from '../kernel/errors.ts'
import type { UpstreamTool } from '../mcp-client/contract.ts'
import type { ConnectorChange, ConnectorConfig } from './contract.ts'
import { isWanted } from './generate/required-capabilities.ts'
import { type ToolFile, toolFileText } from './generate/tool-file.ts'
import { outputFileOf, toolNames } from './generate/tool-name.ts'
import type { GeneratedFile } from './generated-files.ts'

export interface RunFacts {
  readonly connectorId: string
  readonly connector: ConnectorConfig
  readonly tools: readonly UpstreamTool[]
  readonly files: readonly GeneratedFile[]
  /** Who has an id already, besides the file at the place that a tool of this connector would have. */
  readonly takenBy: (toolId: string) => string | null
  /** Upstream names of the drifted tools that are pinned anew. */
  readonly accept: readonly string[] | 'all'
  /** False in the run of a thread, once a person has connected the server: what is removed and offered again, or new, is for a person to read. */
  readonly mayCreate: boolean
  /** Name of the variable whose value a text holds: a server may repeat what it was told, and files are no place for that. */
  readonly secretIn: (text: string) => string | null
}

/** One change, and what it does to the file. */
export interface PlannedChange {
  readonly change: ConnectorChange
  /** Text of the unsigned file that is to be written. */
  readonly write?: string
  /** The file that is replaced or removed. */
  readonly existing?: GeneratedFile
}

export interface RunPlan {
  readonly changes: readonly PlannedChange[]
  readonly warnings: readonly string[]
}

const MAX_DIFF_CHARS = 20_000

/**
 * What a run would do, decided from what is there. Writes nothing.
 *
 * @throws {KiwiError} INVALID_REQUEST when a tool is to be accepted that did not drift; CONFIG_VALIDATION_ERROR for a text that is no template.
 */
export function planRun(facts: RunFacts): RunPlan {
  const { connector, tools, takenBy } = facts
  const byId = new Map(facts.files.map((file) => [file.toolId, file]))
  // A server that lists two tools of one name chooses which one is called: neither is made.
  const wanted = Map.groupBy(
    tools.filter(({ name }) => isWanted(name, connector)),
    ({ name }) => name,
  )
  const names = toolNames([...wanted.keys()], { prefix: connector.toolPrefix, takenBy })
  const warnings: string[] = []
  const planned = names.map((name): PlannedChange => {
    const [tool, ...others] = wanted.get(name.upstream) ?? []
    if (name.kind === 'skipped' || tool === undefined || others.length > 0) {
      const reason = name.kind === 'skipped' ? name.reason : `The server lists ${others.length + 1} tools of this name.`
      return { change: { upstream: name.upstream, toolId: name.toolId ?? '', file: null, what: 'skipped', reason } }
    }
    const generated = toolFileText({ connector, connectorId: facts.connectorId, tool, toolId: name.toolId })
    const { planned: change, usesText } = planTool(facts, { tool, generated, existing: byId.get(name.toolId) ?? null })
    if (usesText) warnings.push(...generated.notes.map((note) => `${name.toolId}: ${note}`))
    return change
  })
  assertAccepted(facts, planned)
  const claimed = new Set(names.map(({ toolId }) => toolId))
  const gone = facts.files.filter(({ toolId }) => !claimed.has(toolId)).map((file) => planGone(file, facts))
  return { changes: [...planned, ...gone], warnings: [...idlePatterns(facts), ...warnings] }
}

interface ToolCase {
  readonly tool: UpstreamTool
  readonly generated: ToolFile
  readonly existing: GeneratedFile | null
}

function planTool(
  facts: RunFacts,
  { tool, generated, existing }: ToolCase,
): { readonly planned: PlannedChange; readonly usesText: boolean } {
  const { toolId, text, upstreamHash } = generated
  const file = outputFileOf(facts.connector, toolId)
  const base = { upstream: tool.name, toolId, file }
  const left = (what: ConnectorChange['what'], more: Partial<ConnectorChange> = {}) => ({
    planned: { change: { ...base, what, ...more } },
    usesText: false,
  })
  const written = (what: ConnectorChange['what'], more: Partial<ConnectorChange> = {}) => ({
    planned: { change: { ...base, what, ...more }, write: text, ...(existing === null ? {} : { existing }) },
    usesText: true,
  })
  if (existing !== null && existing.foreign !== null) return left('kept', { reason: existing.foreign })
  const secret = facts.secretIn(text)
  if (secret !== null) {
    return left('skipped', {
      reason: `its definition repeats the value of ${secret}`,
      ...(existing === null ? { file: null } : {}),
    })
  }
  if (existing === null && !facts.mayCreate)
    return left('skipped', { file: null, reason: 'it is new, and a person adds it: kiwi connect refresh' })
  if (existing === null) return written('created')
  if (existing.text === text) return left('unchanged')
  if (existing.pinnedHash === upstreamHash) return written('updated')
  const diff = diffOf(existing, text)
  if (isAccepted(facts.accept, tool.name)) return written('accepted', { diff })
  return left('drifted', { diff, reason: 'the server describes it otherwise than when it was signed' })
}

function planGone(existing: GeneratedFile, { tools }: RunFacts): PlannedChange {
  const { toolId, upstream, file, foreign } = existing
  const isOffered = tools.some(({ name }) => name === upstream)
  const why = isOffered ? 'the connector does not ask for it any more' : 'the server does not offer it any more'
  if (foreign === null) return { change: { upstream, toolId, file, what: 'removed', reason: why }, existing }
  return { change: { upstream, toolId, file, what: 'kept', reason: `${foreign}; ${why}` } }
}

function isAccepted(accept: RunFacts['accept'], upstream: string): boolean {
  return accept === 'all' || accept.includes(upstream)
}

function assertAccepted({ accept, connectorId }: RunFacts, planned: readonly PlannedChange[]): void {
  if (accept === 'all') return
  const drifted = planned.filter(({ change }) => change.what === 'accepted' || change.what === 'drifted')
  const odd = accept.find((name) => !drifted.some(({ change }) => change.upstream === name))
  if (odd === undefined) return
  const names = drifted.map(({ change }) => change.upstream)
  throw new KiwiError('INVALID_REQUEST', `${JSON.stringify(odd)} is no tool of "${connectorId}" whose definition changed.`, {
    suggestion: names.length === 0 ? 'None changed, so there is nothing to accept.' : `Those that changed: ${names.join(', ')}.`,
  })
}

/** A pattern that fits nothing is most likely misspelt, and a capability that nobody needs guards nothing. */
function idlePatterns({ connector, tools }: RunFacts): readonly string[] {
  const fits = (pattern: string): boolean => tools.some(({ name }) => isWanted(name, { tools: [pattern] }))
  const idle = (field: string, patterns: readonly string[]): readonly string[] =>
    patterns.filter((pattern) => !fits(pattern)).map((pattern) => `${field}: no tool of the server fits ${pattern}.`)
  return [
    ...idle('config.tools', connector.tools ?? []),
    ...idle(
      'config.capabilities',
      connector.capabilities.map(({ pattern }) => pattern),
    ),
  ]
}

function diffOf(existing: GeneratedFile, text: string): string {
  const patch = createTwoFilesPatch(existing.file, existing.file, existing.text, text, 'signed', 'offered now', { context: 2 })
  const diff = patch.slice(patch.indexOf('--- '))
  return diff.length <= MAX_DIFF_CHARS
    ? diff
    : `${diff.slice(0, MAX_DIFF_CHARS)}\n… [cut here: the whole has ${diff.length} characters]\n`
}
