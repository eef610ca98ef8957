/**
 * How long a check against a schema may take. References can double the work at each step (`a: [b, b]`, `b: [c, c]`, …), or at each level
 * of a value (a node that describes its child twice), or go round without ever going down.
 */
import type { JsonObject } from '../../json.ts'
import type { SchemasByPointer } from './schema-walk.ts'
import { isMap } from './schema-values.ts'

/** Deep enough to tell growth from repetition: what doubles at each level is over four thousand millions by then. */
const LEVELS = 32
const MAX_CHECKS = 5000
/** The validator writes the target of a reference out at each place that has one. */
const MAX_WRITTEN_OUT = 4000

/** Whether checking one path into a value, however deep it goes, stays cheap, and compiling does too. */
export function isCheap(schemas: SchemasByPointer): boolean {
  const size = writtenOut(schemas)
  if (size === 0) return true // without references a schema is no larger than it is
  if (size > MAX_WRITTEN_OUT) return false
  const parts = new Map([...schemas].map(([pointer, schema]) => [pointer, partsOf(pointer, schema)]))
  let below: Level = new Map()
  for (let level = 0; level < LEVELS; level += 1) {
    const here: Level = new Map()
    const walk: LevelWalk = { parts, below, here, open: new Set() }
    if (Math.max(checksAt('', 'object', walk), checksAt('', 'array', walk)) > MAX_CHECKS) return false
    for (const pointer of parts.keys()) {
      checksAt(pointer, 'object', walk)
      checksAt(pointer, 'array', walk)
    }
    below = here
  }
  return true
}

type Kind = 'object' | 'array'

/** Schemas that are checked for one schema, by `<kind> <pointer>`. */
type Level = Map<string, number>

interface Parts {
  /** Checked on the same value. */
  readonly same: readonly string[]
  /** Checked on one property of it: all of `every`, and one of `one`. */
  readonly object: { readonly every: readonly string[]; readonly one: readonly string[] }
  readonly array: { readonly every: readonly string[]; readonly one: readonly string[] }
}

interface LevelWalk {
  readonly parts: ReadonlyMap<string, Parts>
  readonly below: Level
  readonly here: Level
  readonly open: Set<string>
}

function checksAt(pointer: string, kind: Kind, walk: LevelWalk): number {
  const key = `${kind} ${pointer}`
  const known = walk.here.get(key)
  if (known !== undefined) return known
  const parts = walk.parts.get(pointer)
  if (parts === undefined) return 1
  if (walk.open.has(key)) return Number.POSITIVE_INFINITY // it comes back to itself on the same value
  walk.open.add(key)
  const inside = (child: string): number => Math.max(...KINDS.map((one) => walk.below.get(`${one} ${child}`) ?? 1))
  const { every, one } = parts[kind]
  const down = sum(every.map(inside)) + one.reduce((most, child) => Math.max(most, inside(child)), 0)
  const checks = 1 + sum(parts.same.map((child) => checksAt(child, kind, walk))) + down
  walk.open.delete(key)
  walk.here.set(key, checks)
  return checks
}

const KINDS: readonly Kind[] = ['object', 'array']

function partsOf(pointer: string, schema: JsonObject | boolean): Parts {
  const { properties, additionalProperties, propertyNames, items, prefixItems, anyOf, allOf, $ref } = isMap(schema) ? schema : {}
  const named = isMap(properties) ? Object.keys(properties) : []
  const place = (keyword: string, value: unknown): readonly string[] => (value === undefined ? [] : [`${pointer}/${keyword}`])
  const list = (keyword: string, value: unknown): readonly string[] =>
    Array.isArray(value) ? value.map((_, index) => `${pointer}/${keyword}/${index}`) : []
  return {
    same: [
      ...list('anyOf', anyOf),
      ...list('allOf', allOf),
      ...(typeof $ref === 'string' ? [decodeURIComponent($ref.slice(1))] : []),
    ],
    object: {
      every: place('propertyNames', propertyNames),
      one: [
        ...named.map((name) => `${pointer}/properties/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
        ...place('additionalProperties', additionalProperties),
      ],
    },
    array: { every: [], one: [...list('prefixItems', prefixItems), ...place('items', items)] },
  }
}

function writtenOut(schemas: SchemasByPointer): number {
  const pointers = [...schemas.keys()]
  const sizes = new Map<string, number>()
  let total = 0
  for (const schema of schemas.values()) {
    const reference = isMap(schema) ? schema['$ref'] : undefined
    if (typeof reference !== 'string') continue
    const target = decodeURIComponent(reference.slice(1))
    const size = sizes.get(target) ?? pointers.filter((pointer) => pointer === target || pointer.startsWith(`${target}/`)).length
    sizes.set(target, size)
    total += size
  }
  return total
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}
