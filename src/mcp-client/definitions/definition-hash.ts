import { createHash } from 'node:crypto'
import type { Json } from '../../json.ts'
import type { UpstreamTool } from '../contract.ts'

const CHUNK_CHARACTERS = 65_536

/**
 * `sha256:` and 64 hex digits over everything in a definition that a model or a user could be misled by: name, title, description, input
 * and output schema, annotations. Equal for another order of keys, different for any other change, invisible characters included.
 */
export function definitionHash(tool: UpstreamTool): string {
  const { name, title, description, inputSchema, outputSchema, annotations } = tool
  const given = Object.entries({ name, title, description, inputSchema, outputSchema, annotations })
  const definition = Object.fromEntries(given.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])))
  const hash = createHash('sha256')
  let chunk = ''
  for (const piece of canonicalJson(definition)) {
    chunk += piece
    if (chunk.length < CHUNK_CHARACTERS) continue
    hash.update(chunk)
    chunk = ''
  }
  return `sha256:${hash.update(chunk).digest('hex')}`
}

type Pending = { readonly text: string } | { readonly value: Json }

/** JSON without blanks, keys in the order of their UTF-16 units. Its own stack: a server may nest deeper than ours goes. */
function* canonicalJson(whole: Json): Generator<string> {
  const pending: Pending[] = [{ value: whole }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if ('text' in next) yield next.text
    else if (typeof next.value !== 'object' || next.value === null) yield JSON.stringify(next.value)
    else pending.push(...piecesOf(next.value).toReversed())
  }
}

function piecesOf(value: object): readonly Pending[] {
  const isList = Array.isArray(value)
  const pieces: Pending[] = [{ text: isList ? '[' : '{' }]
  // What came out of JSON holds own, enumerable keys and JSON values only.
  for (const [index, [key, child]] of entriesOf(value as Json & object).entries()) {
    const comma = index === 0 ? '' : ','
    pieces.push({ text: isList ? comma : `${comma}${JSON.stringify(key)}:` }, { value: child })
  }
  pieces.push({ text: isList ? ']' : '}' })
  return pieces
}

function entriesOf(value: Json & object): readonly (readonly [string, Json])[] {
  const entries: [string, Json][] = Object.entries(value)
  return Array.isArray(value) ? entries : entries.toSorted(([left], [right]) => (left < right ? -1 : 1))
}
