import type { UpstreamTool } from '../../mcp-client/contract.ts'
import type { ConnectorConfig } from '../contract.ts'

export interface ToolFileRequest {
  readonly connector: ConnectorConfig
  /** Id of the connector's own file, for the comment on top. */
  readonly connectorId: string
  readonly tool: UpstreamTool
  /** From `toolNames`. */
  readonly toolId: string
}

export interface ToolFile {
  readonly toolId: string
  readonly upstreamHash: string
  /** YAML, unsigned. Equal for equal requests and definitions of equal hash. */
  readonly text: string
  /** For people: what was left out of the definition. They stand in the file as comments, too. */
  readonly notes: readonly string[]
}

/** The file of one upstream tool. @throws {KiwiError} CONFIG_VALIDATION_ERROR for a text of the connector that is no template. */
export function toolFileText({ toolId }: ToolFileRequest): ToolFile {
  return { toolId, upstreamHash: '', text: '', notes: [] }
}
