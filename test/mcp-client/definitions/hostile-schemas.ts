import type { Json, JsonObject } from '../../../src/json.ts'
import type { Random } from '../../capabilities/scopes/random.ts'
import { hostileText } from './hostile-texts.ts'

const NAMES = [
  'a',
  'b',
  'items',
  'properties',
  '$defs',
  'a/b',
  'a~b',
  'a%2Fb',
  'ü',
  '<<',
  '__x',
  'constructor',
  'toString',
  'anyOf',
  '',
] as const
const REFERENCES = [
  '#',
  '#/',
  '#/$defs/a',
  '#/$defs/b',
  '#/$defs/a~1b',
  '#/%24defs/a',
  '#/properties/a',
  '#/properties/a/default',
] as const
const ELSEWHERE = [
  '#/$defs/a/properties/b',
  '#a',
  'https://example.com/s',
  'file:///etc/passwd',
  '#/%',
  '#/anyOf/0',
  '#/items',
] as const
const KEYWORDS = [
  'not',
  'if',
  'then',
  'contains',
  'unevaluatedProperties',
  'additionalItems',
  'x-note',
  '$dynamicRef',
  '$vocabulary',
] as const
const SCALARS = [
  'type',
  'format',
  'pattern',
  '$id',
  '$schema',
  '$anchor',
  '$comment',
  'contentSchema',
  'discriminator',
  'nullable',
] as const
const COUNTS = [
  'minLength',
  'maxItems',
  'minimum',
  'multipleOf',
  'maxProperties',
  'exclusiveMinimum',
  'uniqueItems',
  'minContains',
] as const

/** A schema as no honest program writes it: every keyword with values of every kind, references to all places and to none. */
export function hostileSchema(random: Random, depth: number): Json {
  if (depth === 0)
    return random.pick([{}, true, false, null, 7, 'string', [], { type: 'string' }, { $ref: random.pick(REFERENCES) }])
  const entries = random.some((): [string, Json] => {
    switch (random.below(12)) {
      case 0:
      case 1:
        return [
          random.pick(['properties', '$defs', 'definitions', 'patternProperties', 'dependentSchemas']),
          schemaMap(random, depth),
        ]
      case 2:
        return [random.pick(['items', 'additionalProperties', 'propertyNames', ...KEYWORDS]), hostileSchema(random, depth - 1)]
      case 3:
        return [
          random.pick(['anyOf', 'allOf', 'oneOf', 'prefixItems', 'items']),
          random.some(() => hostileSchema(random, depth - 1), 3),
        ]
      case 4:
      case 5:
        return ['$ref', random.pick([...REFERENCES, ...REFERENCES, ...ELSEWHERE])]
      case 6:
        return [
          random.pick(SCALARS),
          random.pick<Json>(['string', 'object', '(a+)+$', ['string', 'null'], [], 'date-time', hostileText(random, 9)]),
        ]
      case 7:
        return [random.pick(COUNTS), random.pick<Json>([0, 1, -1, 2.5, 1e21, Number.MAX_SAFE_INTEGER, '3', true, null])]
      case 8:
        return [random.pick(['description', 'title']), random.pick<Json>([hostileText(random, 30), 5, ''])]
      case 9:
        return [random.pick(['default', 'const', 'examples', 'enum']), value(random, 3)]
      case 10:
        return ['enum', random.some(() => value(random, 1), 4)]
      default:
        return ['required', random.some((): Json => random.pick([...NAMES, 1, null]), 4)]
    }
  }, 5)
  return Object.fromEntries(entries)
}

function schemaMap(random: Random, depth: number): JsonObject {
  return Object.fromEntries(
    random.some(() => [random.pick([...NAMES, hostileText(random, 4)]), hostileSchema(random, depth - 1)] as const, 4),
  )
}

function value(random: Random, depth: number): Json {
  if (depth === 0) return random.pick<Json>([null, true, 0, 1.5, 1e300, 'x', hostileText(random, 6)])
  return random.pick<() => Json>([
    () => value(random, 0),
    () => random.some(() => value(random, depth - 1), 3),
    () =>
      Object.fromEntries(random.some(() => [random.pick(['pattern', '$ref', ...NAMES]), value(random, depth - 1)] as const, 3)),
  ])()
}
