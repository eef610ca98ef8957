import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSchemaValidation, schemaFault } from '../../../src/kernel/chain/schema-validation.ts'
import type { JsonObject } from '../../../src/json.ts'

const DRAFT_7 = 'http://json-schema.org/draft-07/schema#'

test('a schema that compiles has no fault, in 2020-12 and in draft 7', () => {
  assert.equal(schemaFault({ type: 'object', properties: { a: { $ref: '#/$defs/b' } }, $defs: { b: { type: 'string' } } }), null)
  assert.equal(schemaFault({ $schema: DRAFT_7, definitions: { a: {} }, type: 'object' }), null)
})

for (const [schema, reason] of [
  [{ type: 'objekt' }, /type must be equal to one of/],
  [{ required: 'a' }, /required must be array/],
  [{ pattern: '(' }, /Invalid regular expression/],
  [{ $ref: '#/$defs/nothing' }, /can't resolve reference/],
  [{ $ref: 'https://example.com/schema.json' }, /can't resolve reference/],
  [{ $schema: 'http://json-schema.org/draft-04/schema#' }, /no schema with key/],
  [{ $async: true }, /\$async/],
  [{ properties: { a: { $async: true, type: 'string' } } }, /async schema/],
] as const satisfies readonly (readonly [JsonObject, RegExp])[]) {
  test(`the schema ${JSON.stringify(schema)} has a fault`, () => {
    assert.match(schemaFault(schema) ?? '', reason)
  })
}

test('a fault is told shortly, and the same schema may be asked about again', () => {
  const schema: JsonObject = { allOf: Array.from({ length: 100 }, () => ({ type: 'objekt' })) }
  assert.equal(schemaFault(schema)?.length, 201)
  assert.equal(schemaFault(schema)?.length, 201)
  const named: JsonObject = { $id: 'https://example.com/a', type: 'object' }
  assert.deepEqual([schemaFault(named), schemaFault({ ...named })], [null, null])
})

test('a schema that takes the name of the validator own ones changes nothing for the next', () => {
  for (const name of ['https://json-schema.org/draft/2020-12/schema', DRAFT_7]) schemaFault({ $schema: name, $id: name })
  assert.equal(schemaFault({ $schema: DRAFT_7, type: 'object' }), null)
  assert.match(schemaFault({ type: 'objekt' }) ?? '', /type must be equal/)
})

test('a schema whose answer would come later is no yes', async () => {
  await assert.rejects(createSchemaValidation().check({ $async: true, type: 'string' }, 5), /\$async/)
})
