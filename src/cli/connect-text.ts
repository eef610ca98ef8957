import type { ConnectorChange, ConnectorRow, ConnectorRun, ConnectorTool } from '../connectors/contract.ts'
import type { Requirement } from '../kernel/items/item.ts'
import { table } from './format.ts'

/** Each tool with its id, what it requires, and all that its server says of it: this is what a person approves. */
export function approvalText(tools: readonly ConnectorTool[]): string {
  return tools.map(toolText).join('\n\n')
}

/** What a run did, or would do. `shown` are the ids of created tools that are told elsewhere. */
export function changesText({ changes, warnings, server }: ConnectorRun, shown: readonly string[] = []): string {
  const unchanged = changes.filter(({ what }) => what === 'unchanged').length
  const told = changes.filter(({ what, toolId }) => what !== 'unchanged' && !(what === 'created' && shown.includes(toolId)))
  return [
    ...(changes.length === 0 ? ['The server offers no tools that this connector asks for.'] : []),
    ...told.map(changeText),
    ...warnings.map((warning) => `warning: ${warning}`),
    summaryOf(changes, unchanged),
    ...adviceOf(changes, server),
  ].join('\n')
}

/** What a directive declares to use these tools. */
export function permissionsText(lines: readonly string[], isCommand: boolean): string {
  return [
    'To use these tools, a directive declares in <permissions>:',
    ...lines.map((line) => `  ${line}`),
    ...(isCommand ? ['and <read resource="filesystem" path="…"/>, or <write …/>, for the files that the server may see.'] : []),
  ].join('\n')
}

export function connectorsText(connectors: readonly ConnectorRow[]): string {
  if (connectors.length === 0)
    return 'No connectors. Add one with: kiwi connect add NAME URL, or: kiwi connect add NAME -- COMMAND'
  return table(
    ['SERVER', 'CONNECTOR', 'TOOLS', 'EDITED', 'FILE IS', 'ENDPOINT'],
    connectors.map(({ server, connector, tools, edited, integrity, endpoint }) => [
      server,
      connector,
      String(tools),
      String(edited),
      integrity,
      endpoint,
    ]),
  )
}

export function removedText({
  removed,
  kept,
}: {
  readonly removed: readonly string[]
  readonly kept: readonly string[]
}): string {
  return [
    ...removed.map((file) => `removed ${file}`),
    ...kept.map((file) => `kept ${file}: it is not as the connector wrote it; what you signed still runs`),
    `${removed.length} removed, ${kept.length} kept.`,
  ].join('\n')
}

function toolText({ toolId, upstream, requires, effect, description }: ConnectorTool): string {
  const named = upstream === null ? '' : ` (${JSON.stringify(upstream)} at its server)`
  return [
    `${toolId}${named}`,
    `  requires: ${requires.map(requirementText).join(', ')}; effect: ${effect ?? 'unknown'}`,
    ...description.split('\n').map((line) => `  | ${line}`),
  ].join('\n')
}

function requirementText(requirement: Requirement): string {
  if (typeof requirement === 'string') return requirement
  const scope = Object.entries(requirement.scope).map(([name, value]) => `${name} ${value}`)
  return `${requirement.cap} (${scope.join(', ')})`
}

function changeText({ what, toolId, upstream, reason, diff }: ConnectorChange): string {
  const name = toolId === '' ? JSON.stringify(upstream ?? '') : toolId
  return [`${what} ${name}${reason === undefined ? '' : `: ${reason}`}`, ...(diff === undefined ? [] : [diff.trimEnd()])].join(
    '\n',
  )
}

function summaryOf(changes: readonly ConnectorChange[], unchanged: number): string {
  const counts = new Map<string, number>()
  for (const { what } of changes) if (what !== 'unchanged') counts.set(what, (counts.get(what) ?? 0) + 1)
  return `${[...[...counts].map(([what, count]) => `${count} ${what}`), `${unchanged} unchanged`].join(', ')}.`
}

function adviceOf(changes: readonly ConnectorChange[], server: string): readonly string[] {
  const did = (what: ConnectorChange['what']): boolean => changes.some((change) => change.what === what)
  return [
    ...(did('drifted')
      ? [`A tool whose definition changed is not called until you accept it: kiwi connect accept ${server} [TOOL…]`]
      : []),
    ...(did('kept')
      ? [`To have what the server offers instead of a kept file, delete it, then: kiwi connect refresh ${server}`]
      : []),
  ]
}
