import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exitCodeOfError, exitCodeOfThread, exitCodeOfThreads } from '../../src/cli/exit-codes.ts'
import type { EndReason, Status, WaitReason } from '../../src/threads/engine.ts'

const row = (status: Status, end_reason: EndReason | null = null, wait_reason: WaitReason | null = null) => ({
  status,
  end_reason,
  wait_reason,
})

test('a completed thread exits 0 and a cancelled one 1', () => {
  assert.equal(exitCodeOfThread(row('completed', 'done')), 0)
  assert.equal(exitCodeOfThread(row('cancelled', 'cancelled')), 1)
})

test('every limit exits 4, a denial 3 and a broken run 1', () => {
  const reasons = ['max_turns', 'max_tokens', 'max_tool_calls', 'max_duration', 'cost_exceeded', 'context_exceeded'] as const
  assert.deepEqual(
    reasons.map((reason) => exitCodeOfThread(row('error', reason))),
    [4, 4, 4, 4, 4, 4],
  )
  assert.equal(exitCodeOfThread(row('error', 'permission_denied')), 3)
  assert.equal(exitCodeOfThread(row('error', 'stream_failed')), 1)
})

test('a thread that needs a person exits 5 and one that goes on by itself has no exit code', () => {
  assert.equal(exitCodeOfThread(row('waiting', null, 'escalated')), 5)
  assert.equal(exitCodeOfThread(row('paused')), 5)
  assert.equal(exitCodeOfThread(row('waiting', null, 'children')), null)
  assert.equal(exitCodeOfThread(row('running')), null)
})

test('several threads exit with the first code that is not 0', () => {
  assert.equal(exitCodeOfThreads([row('completed', 'done'), row('error', 'max_turns'), row('error', 'internal')]), 4)
  assert.equal(exitCodeOfThreads([row('completed', 'done'), row('running')]), 1)
  assert.equal(exitCodeOfThreads([row('completed', 'done')]), 0)
})

test('an error envelope exits by its code', () => {
  assert.deepEqual(
    [exitCodeOfError('PERMISSION_DENIED'), exitCodeOfError('BUDGET_EXCEEDED'), exitCodeOfError('INVALID_REQUEST')],
    [3, 4, 2],
  )
  assert.equal(exitCodeOfError('TOOL_CHAIN_FAILED'), 1)
  // Only Ctrl-C, SIGTERM or a reader that went away abort what a verb does.
  assert.equal(exitCodeOfError('ABORTED'), 130)
})
