import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { connectorsOf } from '../../../src/connectors/connector-services.ts'
import type { ConnectorRun } from '../../../src/connectors/contract.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'mcp'
export const __description__ =
  'Behind every connector file: list the tools of its MCP server and write one signed tool file for each. Edited files and changed definitions are left alone.'
export const __requires__ = ['tool.modify'] as const
export const __effect__ = 'idempotent'
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  properties: {
    dry_run: { type: 'boolean', default: false, description: 'Only tell what would change.' },
  },
}

/** Executed by the name of a connector file, never by its own. Changed definitions are accepted on the command line alone. */
export default async function tool(
  { dry_run: dryRun }: { readonly dry_run: boolean },
  context: ExecutionContext,
): Promise<ConnectorRun> {
  return await connectorsOf(context).run(context.__called ?? 'mcp_connector', context, { dryRun })
}
