import type { Tool } from '@modelcontextprotocol/server'
import { META_TOOLS, type MetaToolDescription } from '../kernel/meta-tools/meta-tools.ts'

/** The five meta-tools, or four without `sign`, as clients are shown them. The same whatever is installed. */
export function listedTools(options: { readonly signing: boolean }): readonly Tool[] {
  return META_TOOLS.filter(({ name }) => options.signing || name !== 'sign').map(listedTool)
}

/** Hints for hosts that ask before risky calls. `load` can copy an item over another, so it is not read-only. */
const ANNOTATIONS: Readonly<Record<MetaToolDescription['name'], NonNullable<Tool['annotations']>>> = {
  search: { title: 'Search items', readOnlyHint: true, openWorldHint: false },
  load: { title: 'Load an item', readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  execute: { title: 'Execute an item', readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  sign: { title: 'Sign an item', readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  help: { title: 'Help', readOnlyHint: true, openWorldHint: false },
}

const CURSOR = {
  type: 'string',
  description: 'next_cursor of a shortened result: gives the next page of it as JSON text. Other arguments are then not used.',
}

/** Every result fits it, errors and pages too; what else is in one depends on the item. */
const OUTPUT_SCHEMA: NonNullable<Tool['outputSchema']> = {
  type: 'object',
  required: ['success'],
  properties: {
    success: { type: 'boolean' },
    next_cursor: { type: ['string', 'null'], description: 'There is more: give it as cursor.' },
  },
}

function listedTool({ name, description, inputSchema }: MetaToolDescription): Tool {
  // The schemas are constants of the kernel with `type: object`; the library's type spells that out.
  const schema = inputSchema as Tool['inputSchema']
  return {
    name,
    description,
    inputSchema: { ...schema, properties: { ...schema.properties, cursor: CURSOR } },
    outputSchema: OUTPUT_SCHEMA,
    annotations: ANNOTATIONS[name],
  }
}
