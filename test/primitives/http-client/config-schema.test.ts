import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { parseConfig } from '../../../src/primitives/http-client/config.ts'

const tool = parse(readFileSync(new URL('../../../system/tools/primitives/http_client.yaml', import.meta.url), 'utf8'))
const matchesSchema = new Ajv({ strict: true, allowUnionTypes: true }).compile(tool.config_schema)

const GOOD: readonly Record<string, unknown>[] = [
  { url: 'https://api.example.com', anything: 'else' },
  {
    url: 'http://localhost',
    method: 'post',
    path: '/v1',
    query: { a: [1, null] },
    headers: { a: 'b', c: 1, d: null },
    body: { a: 1 },
  },
  {
    url: 'http://localhost',
    mode: 'stream',
    stream: {
      transport: 'sse',
      destinations: [{ type: 'return' }, { type: 'file', path: 'x', on_error: 'drop' }],
      buffer_events: true,
      max_buffer_size: 5,
    },
  },
  {
    url: 'http://localhost',
    timeouts_ms: { connect: 1, first_byte: 1, between_bytes: 1, total: 1 },
    limits: { max_events: 1, max_event_bytes: 1 },
  },
  {
    url: 'http://localhost',
    retry: { max_attempts: 2, backoff_ms: [0], retryable_errors: ['TIMEOUT', 502] },
    follow_redirects: 5,
  },
]

const BAD: readonly Record<string, unknown>[] = [
  {},
  { url: 7 },
  { url: 'http://localhost', method: 'FETCH' },
  { url: 'http://localhost', mode: 'both' },
  { url: 'http://localhost', stream: { destination: [] } },
  { url: 'http://localhost', timeouts_ms: { total: 0 } },
  { url: 'http://localhost', limits: { max_events: 1.5 } },
  { url: 'http://localhost', retry: { backoff_ms: [] } },
  { url: 'http://localhost', follow_redirects: 6 },
]

test('the tool is a primitive with a schema', () => {
  assert.deepEqual([tool.tool_id, tool.tool_type, tool.effect], ['http_client', 'primitive', 'once'])
})

test('schema and client accept the same configurations', () => {
  const answers = GOOD.map((config) => [matchesSchema(config), parseConfig(config, 'stream').kind])
  assert.deepEqual(
    answers,
    GOOD.map(() => [true, 'valid']),
  )
})

test('schema and client refuse the same configurations', () => {
  const answers = BAD.map((config) => [matchesSchema(config), parseConfig(config, 'stream').kind])
  assert.deepEqual(
    answers,
    BAD.map(() => [false, 'invalid']),
  )
})
