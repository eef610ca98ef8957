import type { JsonObject } from '../../json.ts'
import type { UpstreamTool } from '../contract.ts'

/** Unified diff, of at most 8,000 characters, from what a tool file holds to what its server says now; `null`: the server has no such tool. */
export function definitionDiff(
  _pinned: { readonly description: string; readonly inputSchema: JsonObject | null },
  _current: UpstreamTool | null,
): string {
  return ''
}
