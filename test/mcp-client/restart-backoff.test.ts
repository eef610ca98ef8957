import assert from 'node:assert/strict'
import { test } from 'node:test'
import { McpFailure, type McpFailureCode } from '../../src/mcp-client/contract.ts'
import { createRestartBackoff, type RestartBackoff, stillBackingOff } from '../../src/mcp-client/restart-backoff.ts'

const failure = (code: McpFailureCode = 'MCP_SERVER_ENDED'): McpFailure =>
  new McpFailure(code, 'It ended.', { retryable: true, detail: { server: 'peer' } })

interface Clocked {
  readonly backoff: RestartBackoff
  readonly clock: { ms: number }
}

function clocked(): Clocked {
  const clock = { ms: 1_000 }
  return { clock, backoff: createRestartBackoff(() => clock.ms) }
}

/** Fails as soon as it may be tried again, and gives the waits. */
function waitsOf({ backoff, clock }: Clocked, times: number): readonly number[] {
  return Array.from({ length: times }, () => {
    backoff.failed('key', failure())
    const waitMs = backoff.standing('key')?.waitMs ?? 0
    clock.ms += waitMs
    return waitMs
  })
}

test('each failure in a row doubles the wait, up to half a minute', () => {
  assert.deepEqual(waitsOf(clocked(), 8), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
})

test('a server is tried again when its wait is over, and others are not held up', () => {
  const { backoff, clock } = clocked()
  backoff.failed('key', failure())
  assert.equal(backoff.standing('other'), null)
  clock.ms += 499
  assert.equal(backoff.standing('key')?.waitMs, 1)
  clock.ms += 1
  assert.equal(backoff.standing('key'), null)
})

test('a server that lived for long, or ended in peace, begins anew', () => {
  const long = clocked()
  waitsOf(long, 4)
  long.backoff.failed('key', failure(), 30_000)
  assert.equal(long.backoff.standing('key')?.waitMs, 500)
  const peace = clocked()
  waitsOf(peace, 4)
  peace.backoff.ended('key')
  assert.deepEqual(waitsOf(peace, 1), [500])
})

for (const code of [
  'ABORTED',
  'PERMISSION_DENIED',
  'CONFIG_VALIDATION_ERROR',
  'LIMIT_EXCEEDED',
  'SANDBOX_UNAVAILABLE',
] as const) {
  test(`${code} is no failure of the server`, () => {
    const { backoff } = clocked()
    backoff.failed('key', failure(code))
    assert.equal(backoff.standing('key'), null)
  })
}

test('only so many servers are remembered', () => {
  const { backoff } = clocked()
  for (let index = 0; index <= 256; index += 1) backoff.failed(`key-${index}`, failure())
  assert.equal(backoff.standing('key-0'), null)
  assert.notEqual(backoff.standing('key-256'), null)
})

test('a caller who does not wait is told the last failure, and when to come again', () => {
  const told = stillBackingOff({ failure: failure(), waitMs: 700 })
  assert.deepEqual([told.code, told.retryable, told.detail], ['MCP_SERVER_ENDED', true, { server: 'peer', retry_after_ms: 700 }])
  assert.match(told.message, /It ended\. It is tried again in 700 ms/)
})
