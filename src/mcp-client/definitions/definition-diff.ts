import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff'
import type { JsonObject } from '../../json.ts'
import type { UpstreamTool } from '../contract.ts'
import { neutralDefinition } from './neutral-schema.ts'
import { sortedKeys } from './schema-values.ts'

/** What a tool file holds of the definition that was signed. */
export interface PinnedDefinition {
  readonly description: string
  readonly inputSchema: JsonObject | null
}

const MAX_CHARACTERS = 8000
const MAX_DESCRIPTION_LINES = 400
/** Lines that are taken away or added before two texts count as having nothing in common. */
const MAX_EDITS = 2000
const LINE_CHARACTERS = 120

/**
 * Unified diff, of at most 8,000 characters, from what a tool file holds to what its server says now, all of it visible. `null`: the server
 * has no such tool any more. Where nothing that the file holds differs, it says in what the definition can differ all the same.
 */
export function definitionDiff(pinned: PinnedDefinition, current: UpstreamTool | null): string {
  if (current === null) return 'The server does not offer this tool any more.\n'
  const { description, inputSchema, notes } = neutralDefinition(current)
  const told = notes.map((note) => `# ${note}\n`).join('')
  const before = readable(pinned)
  const after = readable({ description, inputSchema })
  if (before === after) return bounded(`${UNSEEN}${told}`)
  const patch = createTwoFilesPatch('pinned', 'now', before, after, undefined, undefined, {
    context: 3,
    headerOptions: FILE_HEADERS_ONLY,
    maxEditLength: MAX_EDITS,
  })
  return bounded(`${told}${patch ?? `The two have next to nothing in common. What the server says now:\n${after}`}`)
}

const UNSEEN =
  'What the tool file holds reads the same. The definition differs in what is not shown: its title, its annotations, its output schema, ' +
  'parts that were left out, or hidden characters.\n'

function readable({ description, inputSchema }: PinnedDefinition): string {
  const lines = description.split('\n').flatMap(wrapped).slice(0, MAX_DESCRIPTION_LINES)
  return `description:\n${lines.map((line) => `  ${line}`.trimEnd()).join('\n')}\ninput_schema:\n${schemaText(inputSchema ?? {})}\n`
}

/** A long line in lines of some words each, so that a diff shows the words that changed and not the whole text twice. */
function wrapped(line: string): readonly string[] {
  return line.length <= LINE_CHARACTERS ? [line] : (line.match(WRAP) ?? [line])
}

/** Joiners and marks stay with the characters that they belong to. */
const WRAP = new RegExp(
  `.{1,${LINE_CHARACTERS}}(?:\\s|$)|.{1,${LINE_CHARACTERS}}(?<![\\u200C\\u200D])(?:\\p{M}|[\\u200C\\u200D].?)*`,
  'gu',
)

function schemaText(schema: JsonObject): string {
  // A file keeps the order of keys of the day on which it was written.
  return JSON.stringify(sortedKeys(schema), null, 2)
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}

function bounded(text: string): string {
  if (text.length <= MAX_CHARACTERS) return text
  const note = `\n… [cut here: it has ${text.length} characters]\n`
  return `${text.slice(0, MAX_CHARACTERS - note.length).replace(/[\uD800-\uDBFF\u200C\u200D]+$/u, '')}${note}`
}
