import type { JsonObject } from '../../json.ts'
import type { UpstreamTool } from '../contract.ts'

export interface NeutralDefinition {
  /** Never empty. */
  readonly description: string
  /** `type: object`; compiles; checking a value against it takes time in proportion to the value. */
  readonly inputSchema: JsonObject
  /** One sentence for each thing that was left out or changed, for people. */
  readonly notes: readonly string[]
}

/** What a server says of a tool, made safe to show and to validate with. Equal for definitions of equal hash. Never throws. */
export function neutralDefinition(tool: UpstreamTool): NeutralDefinition {
  return { description: tool.description ?? tool.name, inputSchema: { type: 'object' }, notes: [] }
}
