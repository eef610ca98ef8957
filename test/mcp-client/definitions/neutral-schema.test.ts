import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json, JsonObject } from '../../../src/json.ts'
import { createSchemaValidation } from '../../../src/kernel/chain/schema-validation.ts'
import { neutralDefinition } from '../../../src/mcp-client/definitions/neutral-schema.ts'
import type { NeutralDefinition } from '../../../src/mcp-client/definitions/neutral-schema.ts'
import { isList, isMap } from '../../../src/mcp-client/definitions/schema-values.ts'
import { createRandom } from '../../capabilities/scopes/random.ts'
import { hostileSchema } from './hostile-schemas.ts'
import { NPM_SERVERS, toolsOfNpmServer } from './npm-servers.ts'

const SERVER_CHECKS = 'Left out of its input schema, for the server to check:'

for (const server of NPM_SERVERS) {
  test(`every tool of ${server} keeps its parameters and compiles`, async () => {
    const validation = createSchemaValidation()
    for (const tool of await toolsOfNpmServer(server)) {
      const { inputSchema, description } = neutralDefinition(tool)
      assert.deepEqual(namesOf(inputSchema['properties']), namesOf(tool.inputSchema['properties']), tool.name)
      assert.deepEqual(inputSchema['required'], tool.inputSchema['required'], tool.name)
      assert.equal(description, tool.description, tool.name)
      await validation.check(inputSchema, {})
    }
  })
}

test('a schema of known keywords stays as it is', () => {
  const inputSchema: JsonObject = {
    type: 'object',
    properties: {
      query: { type: 'string', description: 'What to look for.', minLength: 1, maxLength: 200 },
      kind: { type: ['string', 'null'], enum: ['a', 'b', null], default: 'a' },
      limits: { type: 'array', items: { type: 'integer', minimum: 1, maximum: 9 }, maxItems: 5, uniqueItems: true },
      when: { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'number' }] },
    },
    required: ['query'],
    additionalProperties: false,
  }
  const neutral = neutralDefinition({ name: 't', description: 'Looks.', inputSchema })
  assert.deepEqual(neutral, { description: 'Looks.', inputSchema, notes: [] })
})

// Guard: `pattern` and `patternProperties` have no reader in schema-walk.ts (W1).
test('threat row 30: no regular expression of a server runs in this process', async () => {
  const { inputSchema, notes } = neutralOf({
    properties: { a: { type: 'string', pattern: '^(a+)+$' }, b: { type: 'string', format: 'regex' } },
    patternProperties: { '^(x+)+$': { type: 'string' } },
    additionalProperties: false,
  })
  assert.doesNotMatch(JSON.stringify(inputSchema), /\(a\+\)|\(x\+\)|regex/)
  assert.deepEqual(notes, [`${SERVER_CHECKS} pattern, format, additionalProperties, patternProperties.`])
  assert.deepEqual(await check(inputSchema, { a: `${'a'.repeat(60)}!`, [`${'x'.repeat(60)}!`]: 'y' }), [])
})

// Guard: references are kept only to pointers that the first walk built (`withoutReferences.schemas.has`).
test('threat row 30: a reference into plain data does not make a schema of it', async () => {
  const { inputSchema } = neutralOf({
    properties: {
      a: { default: { pattern: '^(a+)+$' } },
      b: { $ref: '#/properties/a/default' },
      c: { $ref: '#/properties/a/default/pattern' },
    },
  })
  assert.deepEqual(inputSchema['properties'], { a: { default: { pattern: '^(a+)+$' } }, b: {}, c: {} })
})

test('references within the schema are kept, those to elsewhere are not', async () => {
  const { inputSchema, notes } = neutralOf({
    $id: 'https://example.com/schema',
    $schema: 'http://json-schema.org/draft-07/schema#',
    properties: {
      tree: { $ref: '#/definitions/node' },
      same: { $ref: '#/%24defs/a~1b%20c' },
      web: { $ref: 'https://example.com/other' },
      anchor: { $ref: '#name' },
      gone: { $ref: '#/definitions/nobody' },
    },
    definitions: {
      node: { type: 'object', properties: { left: { $ref: '#/definitions/node' }, right: { $ref: '#/definitions/node' } } },
    },
    $defs: { 'a/b c': { type: 'number' } },
  })
  assert.deepEqual(notes, [`${SERVER_CHECKS} $ref (3 times), $id.`])
  assert.deepEqual(await check(inputSchema, { tree: { left: { right: {} } }, same: 1, web: {}, anchor: [], gone: null }), [])
  const wrong = await check(inputSchema, { tree: { left: { right: 5 } }, same: 'x' })
  assert.deepEqual(
    wrong.map(({ field }) => field),
    ['same', 'tree.left.right'],
  )
})

// Guard: `isCheap` in schema-cost.ts; without it these checks do not end.
test('threat row 30: a schema that doubles the work at each reference or each level loses its references', async () => {
  const doubling = Object.fromEntries(
    Array.from({ length: 60 }, (_, at) => [
      `d${at}`,
      { allOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] },
    ]),
  )
  const chained = neutralOf({ $defs: { ...doubling, d60: { type: 'string' } }, properties: { a: { $ref: '#/$defs/d0' } } })
  const child = { properties: { next: { $ref: '#/$defs/node' } } }
  const level = neutralOf({ $defs: { node: { allOf: [child, child] } }, properties: { a: { $ref: '#/$defs/node' } } })
  const round = neutralOf({
    $defs: { a: { $ref: '#/$defs/b' }, b: { anyOf: [{ $ref: '#/$defs/a' }] } },
    properties: { a: { $ref: '#/$defs/a' } },
  })
  const wide = neutralOf({
    $defs: { big: { properties: Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`p${at}`, {}])) } },
    properties: Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`q${at}`, { $ref: '#/$defs/big' }])),
  })
  for (const { inputSchema, notes } of [chained, level, round, wide]) {
    assert.equal(notes[0], 'References within its input schema were left out: a check against them could take for ever.')
    assert.deepEqual(await check(inputSchema, { a: nested(60) }), [])
  }
})

test('a schema that goes on below itself in one way at each level is kept', async () => {
  const json = {
    anyOf: [
      { type: 'string' },
      { type: 'array', items: { $ref: '#/$defs/json' } },
      { type: 'object', additionalProperties: { $ref: '#/$defs/json' } },
    ],
  }
  const { inputSchema, notes } = neutralOf({ $defs: { json }, properties: { a: { $ref: '#/$defs/json' } } })
  assert.deepEqual(notes, [])
  assert.deepEqual(await check(inputSchema, { a: { b: [{ c: 'x' }] } }), [])
  assert.notDeepEqual(await check(inputSchema, { a: { b: [{ c: 5 }] } }), [])
})

test('a reference to the whole schema says that an object is wanted', () => {
  assert.deepEqual(neutralOf({ properties: { child: { $ref: '#' } } }).inputSchema['properties'], { child: { type: 'object' } })
})

test('older ways of writing are read as today ones', async () => {
  const { inputSchema, notes } = neutralOf({
    properties: {
      pair: { type: 'array', items: [{ type: 'string' }, { type: 'number' }], additionalItems: false },
      name: { type: 'string', nullable: true },
      one: { oneOf: [{ type: 'string' }, { type: 'number' }] },
    },
  })
  assert.deepEqual(notes, [])
  assert.deepEqual(inputSchema['properties'], {
    name: { type: ['string', 'null'] },
    one: { anyOf: [{ type: 'string' }, { type: 'number' }] },
    pair: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], items: false },
  })
})

test('what is left out of a schema makes it accept more, never less', async () => {
  const { inputSchema } = neutralOf({
    properties: {
      a: { not: { pattern: 'x' } },
      b: JSON.parse('{"if":{"pattern":"x"},"then":false}') as JsonObject,
      c: { oneOf: [{ pattern: 'x' }, { pattern: 'y' }] },
    },
    patternProperties: { '^d': {} },
    additionalProperties: false,
    unevaluatedProperties: false,
  })
  assert.deepEqual(await check(inputSchema, { a: 'q', b: 'q', c: 'x', d: 1 }), [])
})

test('the root describes an object, whatever the server says', () => {
  assert.equal(neutralOf({ type: 'string' }).inputSchema['type'], 'object')
  assert.deepEqual(neutralOf({ type: 'string' }).notes, ['Its input schema describes no object; it was made to.'])
  assert.deepEqual(neutralOf({}).inputSchema, { type: 'object' })
})

test('parameters that no call can give are left out and told', () => {
  const properties = JSON.parse(
    '{"__auth":{},"__proto__":{"type":"string"},"constructor":{},"<<":{},"a\\u200b":{},"ok":{}}',
  ) as JsonObject
  const { inputSchema, notes } = neutralOf({ properties, required: ['ok', '__auth', '__proto__'] })
  assert.deepEqual(inputSchema, { type: 'object', properties: { ok: {} }, required: ['ok'] })
  assert.match(notes.join(), /No call can give its parameters "__auth", "__proto__", "<<", "a\[U\+200B\]", "constructor"/)
})

test('names below the outermost object may begin with two underscores', () => {
  const { inputSchema } = neutralOf({
    properties: { a: { properties: { __typename: { type: 'string' } }, required: ['__typename'] } },
  })
  assert.deepEqual(inputSchema['properties'], { a: { properties: { __typename: { type: 'string' } }, required: ['__typename'] } })
})

// Guard: `isPlainValue` and `readText` in schema-walk.ts.
test('threat row 30: texts of parameters are visible and cut, and values with hidden characters are left out', () => {
  const { inputSchema, notes } = neutralOf({
    properties: {
      a: {
        title: 'T\u202E',
        description: `\u001B[8mhidden\u200B ${'x'.repeat(5000)}`,
        enum: ['ok', 'o\u200Bk'],
        default: 'o\u{E0041}k',
      },
    },
  })
  const { a } = inputSchema['properties'] as { a: { title: string; description: string; enum: Json; default?: Json } }
  assert.equal(a.title, 'T[U+202E]')
  assert(a.description.startsWith('[U+001B][8mhidden[U+200B] x') && a.description.length <= 1000)
  assert.deepEqual([a.enum, a.default], [['ok'], undefined])
  assert.deepEqual(notes, [
    'Hidden characters in its texts were made visible: 1 bidirectional (U+202E), 1 control (U+001B), 1 zero-width (U+200B).',
    `${SERVER_CHECKS} values of enum that cannot be shown as they are, default.`,
  ])
})

test('a definition without any text is described as such, one with a title alone by that', () => {
  assert.equal(neutralDefinition({ name: 't', inputSchema: {} }).description, 'The server does not describe this tool.')
  assert.equal(neutralDefinition({ name: 't', title: 'Tee', description: ' \n', inputSchema: {} }).description, 'Tee')
})

test('a schema that is too deep or too large is cut, and one that is no schema accepts any object', async () => {
  let deep: JsonObject = { type: 'string' }
  for (let depth = 0; depth < 50_000; depth += 1) deep = { properties: { a: deep } }
  const wide = {
    properties: Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`p${at}`, { type: 'string' }])),
    additionalProperties: false,
  }
  for (const schema of [deep, wide]) {
    const { inputSchema, notes } = neutralOf(schema)
    assert(JSON.stringify(inputSchema).length < 100_000)
    assert.match(notes.join(), /parts beyond the limits of size and depth/)
    assert.deepEqual(await check(inputSchema, { p49999: 'x' }), [])
  }
  assert.deepEqual(neutralOf(JSON.parse('[]') as JsonObject).inputSchema, { type: 'object' })
})

test('whatever the schema, the result compiles in the kernel, checks deep values, and depends on no order of keys', async () => {
  const random = createRandom(33)
  const validation = createSchemaValidation()
  for (let round = 0; round < 400; round += 1) {
    const schema = hostileSchema(random, 4)
    if (!isMap(schema)) continue
    const neutral = neutralOf(schema)
    const shown = JSON.stringify({ schema, neutral })
    assert.doesNotMatch(neutral.notes.join(), /does not compile/, shown)
    assert.equal(neutral.inputSchema['type'], 'object', shown)
    await validation.check(neutral.inputSchema, { a: nested(40), b: [[nested(9)]] })
    assert.equal(JSON.stringify(neutralOf(reversed(schema) as JsonObject)), JSON.stringify(neutral), shown)
    assert.deepEqual(neutralOf(neutral.inputSchema).inputSchema, neutral.inputSchema, shown)
  }
})

function neutralOf(inputSchema: JsonObject): NeutralDefinition {
  return neutralDefinition({ name: 't', description: 'Does.', inputSchema })
}

function check(schema: JsonObject, value: Json) {
  return createSchemaValidation().check(schema, value)
}

function nested(depth: number): Json {
  return depth === 0 ? {} : { next: nested(depth - 1), a: {} }
}

function namesOf(properties: Json | undefined): readonly string[] {
  return Object.keys(properties ?? {}).toSorted()
}

function reversed(value: Json): Json {
  if (isList(value)) return value.map(reversed)
  if (!isMap(value)) return value
  const entries = Object.entries(value).toReversed()
  return Object.fromEntries(entries.map(([key, child]) => [key, reversed(child)] as const))
}
