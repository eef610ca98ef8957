/**
 * One walk over an upstream JSON Schema, which builds another one of the keywords that are known here and of nothing else.
 *
 * W1. Nothing is copied: each keyword has a reader that checks its value or builds it anew; a keyword without one is dropped.
 * W2. What is dropped makes the schema accept more, since the server checks its arguments itself. So there are no readers for `not`, `if`
 *     and their like, in which accepting more means accepting less, and `oneOf` becomes `anyOf`.
 * W3. The result depends on the definition, not on the order of its keys.
 */
import type { Json, JsonObject } from '../../json.ts'
import { neutralText } from './neutral-text.ts'
import { isList, isMap, isPlainName, isPlainNumber, plainValue } from './schema-values.ts'

const MAX_DEPTH = 20
const MAX_SCHEMAS = 1000
/** Values of all `enum` and names of all `required` together. */
const MAX_VALUES = 4000
/** Characters of all texts together. */
const MAX_TEXT = 40_000
const MAX_CHARACTERS = { title: 120, description: 1000, default: 1000, const: 200, enum: 200, examples: 200 } as const
const MAX_EXAMPLES = 3
/** Comparing each element with each other one takes the square of their number. */
const MAX_UNIQUE_ITEMS = 1000
const MAX_LABELS = 100
const BEYOND_LIMITS = 'parts beyond the limits of size and depth'

const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']
const FORMATS =
  /^(?:date-time|date|time|duration|email|hostname|ipv4|ipv6|uri|uri-reference|uuid|byte|binary|int32|int64|float|double|password)$/

/** A schema as it came out, by its JSON pointer (`''` is the root). Only these may be the target of a reference. */
export type SchemasByPointer = ReadonlyMap<string, JsonObject | boolean>

export interface WalkOutcome {
  readonly schema: JsonObject
  readonly schemas: SchemasByPointer
  /** Keywords that were dropped, with how often. */
  readonly dropped: ReadonlyMap<string, number>
  /** Parameters that no call can give, as they are called upstream. */
  readonly lostNames: readonly string[]
  /** The texts that were made visible, as they came. */
  readonly texts: readonly string[]
}

/** `keepReference`: whether a `$ref` to this pointer may stay. */
export function walkSchema(schema: JsonObject, keepReference: (pointer: string) => boolean): WalkOutcome {
  const walk: Walk = {
    keepReference,
    schemas: new Map(),
    dropped: new Map(),
    lostNames: [],
    texts: [],
    spent: { ...NOTHING_SPENT },
  }
  const built = readSchema(schema, { pointer: '', depth: 0, walk })
  return { schema: isMap(built) ? built : { type: 'object' }, ...walk }
}

const NOTHING_SPENT = { schemas: 0, values: 0, text: 0 }

interface Walk {
  readonly keepReference: (pointer: string) => boolean
  readonly schemas: Map<string, JsonObject | boolean>
  readonly dropped: Map<string, number>
  readonly lostNames: string[]
  readonly texts: string[]
  readonly spent: { schemas: number; values: number; text: number }
}

interface At {
  readonly pointer: string
  readonly depth: number
  readonly walk: Walk
}

/** Gives the value of a keyword anew; undefined drops it. `schema` is the upstream schema around it. */
type Reader = (value: Json, at: At, schema: JsonObject) => Json | undefined

/** In the order in which keywords are written. */
const READERS: Readonly<Record<string, Reader>> = {
  $ref: readReference,
  type: readType,
  title: (value, at) => readText(value, MAX_CHARACTERS.title, at),
  description: (value, at) => readText(value, MAX_CHARACTERS.description, at),
  enum: readEnum,
  const: (value) => plainValue(value, MAX_CHARACTERS.const),
  default: (value) => plainValue(value, MAX_CHARACTERS.default),
  format: (value) => (typeof value === 'string' && FORMATS.test(value) ? value : undefined),
  minimum: readNumber,
  maximum: readNumber,
  exclusiveMinimum: readNumber,
  exclusiveMaximum: readNumber,
  multipleOf: (value) => (isPlainNumber(value) && value > 0 ? value : undefined),
  minLength: readCount,
  maxLength: readCount,
  minItems: readCount,
  maxItems: readCount,
  uniqueItems: readUnique,
  prefixItems: readSchemaList,
  items: (value, at) => (isMap(value) || typeof value === 'boolean' ? readSchema(value, deeper(at)) : undefined),
  minProperties: readCount,
  maxProperties: readCount,
  properties: readProperties,
  required: readRequired,
  dependentRequired: readDependentRequired,
  // Names that a dropped pattern or a property beyond the limits would have allowed must stay allowed (W2).
  additionalProperties: (value, at, { patternProperties }) =>
    patternProperties === undefined && at.walk.spent.schemas < MAX_SCHEMAS ? readSchema(value, deeper(at)) : undefined,
  propertyNames: (value, at) => readSchema(value, deeper(at)),
  anyOf: readSchemaList,
  allOf: readSchemaList,
  examples: (value) => (isList(value) ? plainValues(value, MAX_CHARACTERS.examples).slice(0, MAX_EXAMPLES) : undefined),
  deprecated: readFlag,
  readOnly: readFlag,
  writeOnly: readFlag,
  $defs: readSchemaMap,
  definitions: readSchemaMap,
}

/** Says nothing that anybody would miss, or is told of in another way. */
const SILENT: ReadonlySet<string> = new Set(['$schema', '$comment', 'nullable', 'title', 'description'])

function readSchema(given: Json, at: At): JsonObject | boolean {
  const { walk, pointer, depth } = at
  walk.spent.schemas += 1
  const isWithin = depth <= MAX_DEPTH && walk.spent.schemas <= MAX_SCHEMAS
  if (!isWithin) drop(walk, BEYOND_LIMITS)
  const isBuilt = isWithin && isMap(given)
  const built = isBuilt ? buildSchema(depth === 0 ? { ...given, type: 'object' } : given, at) : given === false ? false : {}
  walk.schemas.set(pointer, built)
  return built
}

function buildSchema(given: JsonObject, at: At): JsonObject {
  const schema = inTodaysWords(given)
  const entries: [string, Json][] = []
  for (const [keyword, read] of Object.entries(READERS)) {
    const value = Object.hasOwn(schema, keyword) ? schema[keyword] : undefined
    if (value === undefined) continue
    const built = read(value, { ...at, pointer: `${at.pointer}/${keyword}` }, schema)
    if (built !== undefined) entries.push([keyword, built])
    else if (!SILENT.has(keyword)) drop(at.walk, keyword)
  }
  for (const keyword of Object.keys(schema).toSorted()) {
    if (!Object.hasOwn(READERS, keyword) && !SILENT.has(keyword)) drop(at.walk, keyword)
  }
  return Object.fromEntries(entries)
}

/** Older drafts and `oneOf` (W2) in the keywords that have readers. */
function inTodaysWords(given: JsonObject): JsonObject {
  const schema = new Map(Object.entries(given))
  const { items, additionalItems, oneOf, anyOf, nullable, type, $ref } = given
  if (isList(items)) {
    schema.set('prefixItems', items).delete('items')
    if (additionalItems !== undefined) schema.set('items', additionalItems)
  }
  schema.delete('additionalItems')
  if (oneOf !== undefined && anyOf === undefined) {
    schema.set('anyOf', oneOf)
    schema.delete('oneOf')
  }
  if (nullable === true && typeof type === 'string') schema.set('type', [type, 'null'])
  // The validator has no name for the whole schema; all that can be said of it here is that it describes an object.
  if ($ref === '#' && type === undefined) schema.set('type', 'object')
  return Object.fromEntries(schema)
}

function readReference(value: Json, { walk }: At): Json | undefined {
  const pointer = typeof value === 'string' ? localPointer(value) : null
  if (pointer === null || !walk.keepReference(pointer)) return undefined
  return `#${pointer.split('/').map(encodeURIComponent).join('/').replaceAll('%24', '$')}`
}

/** The JSON pointer of `#/$defs/node`, not percent-encoded; null for every other reference, and for the whole schema. */
function localPointer(reference: string): string | null {
  if (!reference.startsWith('#/')) return null
  try {
    return decodeURIComponent(reference.slice(1))
  } catch {
    return null // a percent sign that encodes nothing
  }
}

function readType(value: Json): Json | undefined {
  const types = [...new Set(isList(value) ? value : [value])].filter((one) => typeof one === 'string' && TYPES.includes(one))
  const [first] = types
  return types.length > 1 ? types : first
}

function readText(value: Json, max: number, { walk }: At): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  const text = neutralText(value, { maxCharacters: max, multiline: max > MAX_CHARACTERS.title })
  walk.spent.text += text.length
  if (walk.spent.text > MAX_TEXT) {
    drop(walk, `descriptions beyond ${MAX_TEXT} characters`)
    return undefined
  }
  walk.texts.push(value.slice(0, max * 2))
  return text === '' ? undefined : text
}

function readEnum(value: Json, { walk }: At): Json | undefined {
  if (!isList(value) || !takeValues(value.length, walk)) return undefined
  const plain = plainValues(value, MAX_CHARACTERS.enum)
  if (plain.length < value.length && plain.length > 0) drop(walk, 'values of enum that cannot be shown as they are')
  return plain.length === 0 ? undefined : plain
}

function plainValues(values: readonly Json[], max: number): readonly Json[] {
  return values.map((one) => plainValue(one, max)).filter((one) => one !== undefined)
}

function takeValues(count: number, { spent }: Walk): boolean {
  if (spent.values + count > MAX_VALUES) return false
  spent.values += count
  return true
}

function readNumber(value: Json): number | undefined {
  return isPlainNumber(value) ? value : undefined
}

function readCount(value: Json): number | undefined {
  return isPlainNumber(value) && Number.isInteger(value) && value >= 0 ? value : undefined
}

function readUnique(value: Json, _at: At, { maxItems = null }: JsonObject): boolean | undefined {
  const isBounded = value === false || (readCount(maxItems) ?? MAX_UNIQUE_ITEMS + 1) <= MAX_UNIQUE_ITEMS
  return isBounded ? readFlag(value) : undefined
}

function readFlag(value: Json): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}

function readSchemaList(value: Json, at: At): Json | undefined {
  if (!isList(value) || value.length === 0 || value.length > MAX_SCHEMAS - at.walk.spent.schemas) return undefined
  return value.map((one, index) => readSchema(one, { ...deeper(at), pointer: `${at.pointer}/${index}` }))
}

/** Required ones first, in their order: a text that is read from the top should begin with them. */
function readProperties(value: Json, at: At, { required }: JsonObject): Json | undefined {
  if (!isMap(value)) return undefined
  const wanted = isList(required) ? required.filter((name) => typeof name === 'string' && Object.hasOwn(value, name)) : []
  const names = [...new Set([...wanted.map(String), ...Object.keys(value).toSorted()])]
  const lost = names.filter((name) => !canBeGiven(name, at.depth))
  for (const name of lost) at.walk.lostNames.push(name)
  const isLost = new Set(lost)
  return readNamed(
    value,
    names.filter((name) => !isLost.has(name)),
    at,
  )
}

function readSchemaMap(value: Json, at: At): Json | undefined {
  return isMap(value) ? readNamed(value, Object.keys(value).filter(isPlainName).toSorted(), at) : undefined
}

function readNamed(value: JsonObject, names: readonly string[], at: At): JsonObject {
  const { walk, pointer } = at
  const within = names.slice(0, Math.max(MAX_SCHEMAS - walk.spent.schemas, 0))
  if (within.length < names.length) drop(walk, BEYOND_LIMITS)
  const entries = within.map((name) => {
    const place = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    return [name, readSchema(value[name] ?? null, { ...deeper(at), pointer: place })] as const
  })
  return Object.fromEntries(entries)
}

/** The kernel refuses parameters of the outermost object that begin with `__`: those are the execution context. */
function canBeGiven(name: string, depth: number): boolean {
  return isPlainName(name) && (depth > 0 || !name.startsWith('__'))
}

function readRequired(value: Json, { walk, depth }: At): Json | undefined {
  if (!isList(value) || !takeValues(value.length, walk)) return undefined
  return [...new Set(value)].filter((name) => typeof name === 'string' && canBeGiven(name, depth))
}

function readDependentRequired(value: Json, at: At): Json | undefined {
  if (!isMap(value)) return undefined
  const entries = Object.keys(value)
    .toSorted()
    .filter((name) => canBeGiven(name, at.depth))
  const lists = entries.map((name) => [name, readRequired(value[name] ?? null, at)] as const)
  return Object.fromEntries(lists.flatMap(([name, list]) => (list === undefined ? [] : [[name, list] as const])))
}

function deeper(at: At): At {
  return { ...at, depth: at.depth + 1 }
}

function drop(walk: Walk, what: string): void {
  const label = walk.dropped.size < MAX_LABELS ? neutralText(what, { maxCharacters: 60, multiline: false }) : 'other things'
  walk.dropped.set(label, (walk.dropped.get(label) ?? 0) + 1)
}
