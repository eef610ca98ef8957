import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Json, JsonObject } from '../../../src/json.ts'
import type { UpstreamTool } from '../../../src/mcp-client/contract.ts'
import { definitionHash } from '../../../src/mcp-client/definitions/definition-hash.ts'

const TOOL: UpstreamTool = {
  name: 'read',
  title: 'Read',
  description: 'Reads a file.',
  inputSchema: { type: 'object', properties: { path: { type: 'string', description: 'Where.' }, lines: { enum: [1, 2] } } },
  outputSchema: { type: 'object' },
  annotations: { readOnlyHint: true },
}

test('the hash of a definition is that of its canonical JSON', () => {
  const canonical = '{"inputSchema":{"a":[1,"x"],"type":"object"},"name":"t"}'
  const expected = `sha256:${createHash('sha256').update(canonical).digest('hex')}`
  assert.equal(definitionHash({ name: 't', inputSchema: { type: 'object', a: [1, 'x'] } }), expected)
})

test('another order of keys is the same definition, at every depth', () => {
  const { name, title, description, inputSchema, outputSchema, annotations } = TOOL
  const other = { annotations, outputSchema, inputSchema: reversed(inputSchema) as JsonObject, description, title, name }
  assert.equal(definitionHash(other as UpstreamTool), definitionHash(TOOL))
})

test('every part of a definition that could mislead somebody counts', () => {
  const { title: _title, ...untitled } = TOOL
  const others: readonly UpstreamTool[] = [
    { ...TOOL, name: 'Read' },
    { ...TOOL, title: 'Read ' },
    untitled,
    { ...untitled, title: '' },
    { ...TOOL, description: 'Reads a file!' },
    { ...TOOL, inputSchema: { ...TOOL.inputSchema, required: ['path'] } },
    { ...TOOL, inputSchema: { ...TOOL.inputSchema, properties: { path: { type: 'string' } } } },
    { ...TOOL, inputSchema: { ...TOOL.inputSchema, properties: { path: TOOL.inputSchema, lines: { enum: [2, 1] } } } },
    { ...TOOL, outputSchema: {} },
    { ...TOOL, annotations: { readOnlyHint: false } },
    { ...TOOL, annotations: { readOnlyHint: 'true' } },
  ]
  const hashes = [TOOL, ...others].map(definitionHash)
  assert.equal(new Set(hashes).size, hashes.length)
})

// Guard: the hash is over the texts as they came; over neutralised ones all of these would be one definition.
test('threat row 31: a definition that differs in invisible characters alone is another one', () => {
  const description = TOOL.description ?? ''
  const hidden = [
    '\u200B',
    '\u202E',
    '\u{E0041}',
    '\uFE0F',
    '\u00AD',
    '\uFEFF',
    '\u0000',
    '\uD800',
    '\uDC00',
    ' ',
    '\u00A0',
    '\u0301',
  ]
  const places = Array.from({ length: description.length + 1 }, (_, index) => index)
  const texts = places.flatMap((at) => hidden.map((one) => description.slice(0, at) + one + description.slice(at)))
  const distinct = new Set([description, ...texts])
  const hashes = new Set([...distinct].map((text) => definitionHash({ ...TOOL, description: text })))
  assert.equal(hashes.size, distinct.size)
})

test('keys that belong to a prototype are ordinary keys of a definition', () => {
  const schema = (text: string) => ({ name: 't', inputSchema: JSON.parse(text) as { readonly [key: string]: Json } })
  const hashes = ['{}', '{"__proto__":{}}', '{"__proto__":{"a":1}}', '{"constructor":1}'].map((text) =>
    definitionHash(schema(text)),
  )
  assert.equal(new Set(hashes).size, 4)
})

test('a definition may be nested deeper than any stack', () => {
  let schema: Record<string, Json> = {}
  for (let depth = 0; depth < 200_000; depth += 1) schema = { not: schema }
  assert.match(definitionHash({ name: 't', inputSchema: schema }), /^sha256:[0-9a-f]{64}$/)
})

function reversed(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (isList(value)) return value.map(reversed)
  const entries: [string, Json][] = Object.entries(value)
  return Object.fromEntries(entries.toReversed().map(([key, child]) => [key, reversed(child)] as const))
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
