import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_RESULT_BYTES, boundedResult } from '../../src/mcp/bounded-result.ts'

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

test('a result that fits is returned unchanged', () => {
  const result = { success: true, thread_id: 't', list: [1, 2] } as const
  assert.deepEqual(boundedResult(result), { value: result, text: JSON.stringify(result) })
})

test('a long result is shortened below the limit and keeps its short fields', () => {
  const { value: bounded } = boundedResult({
    success: true,
    thread_id: 't_1',
    content: 'x'.repeat(200_000),
    rows: Array.from({ length: 5000 }, (_, id) => ({ id })),
  })
  assert.ok(bytesOf(bounded) <= MAX_RESULT_BYTES)
  assert.equal(bounded['thread_id'], 't_1')
  assert.match(String(bounded['content']), /^x+… \[\d+ more characters\]$/u)
  assert.deepEqual((bounded['truncated'] as { original_bytes: number }).original_bytes > 200_000, true)
})

test('multi-byte text and escapes count in bytes as they are sent', () => {
  const { value: bounded } = boundedResult({ success: true, text: '\u0000"日本語😀'.repeat(20_000) })
  assert.ok(bytesOf(bounded) <= MAX_RESULT_BYTES)
})

test('a result of hundreds of thousands of fields or levels is still answered within the limit', () => {
  const wide = Object.fromEntries(
    Array.from({ length: 100_000 }, (_, index) => [`field_with_a_rather_long_name_${index}`, 'v'.repeat(50)]),
  )
  assert.ok(bytesOf(boundedResult({ success: true, ...wide }).value) <= MAX_RESULT_BYTES)
  const deep = Array.from({ length: 2000 }).reduce<unknown>((inner) => ({ inner, pad: 'p'.repeat(30) }), 1)
  assert.ok(bytesOf(boundedResult({ success: true, deep }).value) <= MAX_RESULT_BYTES)
})

test('a failure stays a failure with its code', () => {
  const error = {
    code: 'EXECUTION_FAILED',
    message: 'm'.repeat(90_000),
    chain: [],
    failed_at: null,
    cause: null,
    retryable: false,
    suggestion: null,
  } as const
  const { value: bounded } = boundedResult({ success: false, error })
  assert.equal(bounded['success'], false)
  assert.equal((bounded['error'] as { code: string }).code, 'EXECUTION_FAILED')
  assert.ok(bytesOf(bounded) <= MAX_RESULT_BYTES)
})
