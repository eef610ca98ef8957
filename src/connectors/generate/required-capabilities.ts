import type { JsonObject } from '../../json.ts'
import type { ConnectorConfig } from '../contract.ts'

/** What the first pattern that fits the name asks for besides `mcp.<server>`; nothing when none fits. */
export function requiredCapabilities(
  upstreamName: string,
  { capabilities }: Pick<ConnectorConfig, 'capabilities'>,
): readonly (string | JsonObject)[] {
  return capabilities.find(({ pattern }) => matchesPattern(pattern, upstreamName))?.requires ?? []
}

/** Whether the connector makes a file for this tool. */
export function isWanted(upstreamName: string, { tools }: Pick<ConnectorConfig, 'tools'>): boolean {
  return tools === null || tools.some((pattern) => matchesPattern(pattern, upstreamName))
}

/** Exact, or a beginning followed by `*`. Case counts. */
function matchesPattern(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}
