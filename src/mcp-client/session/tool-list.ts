import type { JsonObject } from '../../json.ts'
import type { UpstreamTool } from '../contract.ts'

/** A list that is longer than one of these has no end. */
const MAX_PAGES = 64
const MAX_TOOLS = 2_000
const MAX_LIST_CHARACTERS = 16 * 1024 * 1024
const MAX_CURSOR_CHARACTERS = 16 * 1024

export type ToolWalk =
  | { readonly kind: 'complete'; readonly tools: readonly UpstreamTool[] }
  | { readonly kind: 'violation'; readonly violation: 'endless_pages' | 'bad_result'; readonly reason: string }

/** Asks for page after page; `ask` rejects when one cannot be had. */
export async function walkTools(ask: (params: JsonObject | undefined) => Promise<JsonObject>): Promise<ToolWalk> {
  const tools: UpstreamTool[] = []
  const cursors = new Set<string>()
  let characters = 0
  let cursor: string | undefined
  for (let pages = 1; ; pages += 1) {
    // oxlint-disable-next-line no-await-in-loop -- the next page is named by the one before
    const page = await ask(cursor === undefined ? undefined : { cursor })
    const read = readPage(page)
    if (read === null) return bad('answered tools/list with something that is no list of tools')
    tools.push(...read.tools)
    characters += JSON.stringify(read.tools).length
    cursor = read.cursor
    if (tools.length > MAX_TOOLS) return endless(`listed more than ${MAX_TOOLS} tools`)
    if (characters > MAX_LIST_CHARACTERS) return endless(`described its tools in more than ${MAX_LIST_CHARACTERS} characters`)
    if (cursor === undefined) return { kind: 'complete', tools }
    if (cursors.has(cursor)) return endless('listed its tools in pages that come back to one that was shown')
    if (pages === MAX_PAGES) return endless(`listed its tools in more than ${MAX_PAGES} pages`)
    cursors.add(cursor)
  }
}

function endless(reason: string): ToolWalk {
  return { kind: 'violation', violation: 'endless_pages', reason }
}

function bad(reason: string): ToolWalk {
  return { kind: 'violation', violation: 'bad_result', reason }
}

function readPage({
  tools,
  nextCursor,
}: JsonObject): { readonly tools: readonly UpstreamTool[]; readonly cursor: string | undefined } | null {
  if (!Array.isArray(tools)) return null
  const hasCursor = nextCursor !== undefined && nextCursor !== null
  if (hasCursor && (typeof nextCursor !== 'string' || nextCursor.length > MAX_CURSOR_CHARACTERS)) return null
  const read = tools.map(readTool)
  const known = read.filter((tool) => tool !== null)
  return known.length === read.length ? { tools: known, cursor: hasCursor ? nextCursor : undefined } : null
}

function readTool(tool: unknown): UpstreamTool | null {
  if (!isObject(tool)) return null
  const { name, title, description, inputSchema, outputSchema, annotations } = tool
  if (typeof name !== 'string' || !isObject(inputSchema)) return null
  if (title !== undefined && typeof title !== 'string') return null
  if (description !== undefined && typeof description !== 'string') return null
  if ((outputSchema !== undefined && !isObject(outputSchema)) || (annotations !== undefined && !isObject(annotations)))
    return null
  return {
    name,
    inputSchema,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(outputSchema === undefined ? {} : { outputSchema }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
