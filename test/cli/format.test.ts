import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorText } from '../../src/cli/output.ts'
import type { Json, JsonObject } from '../../src/json.ts'
import { KiwiError } from '../../src/kernel/errors.ts'
import { age, clip, count, dollars, fields, table } from '../../src/cli/format.ts'
import { noteOf } from '../../src/cli/event-note.ts'
import { eventLine, failureText, saidIn, statusOf, tokensOf } from '../../src/cli/thread-text.ts'

test('money, counts and ages are short and keep what matters', () => {
  assert.deepEqual([dollars(0), dollars(12_345_678), dollars(12_340_000_000)], ['$0.0000', '$0.0123', '$12.34'])
  assert.deepEqual(
    [count(999), count(1234), count(34_499), count(999_999), count(1_234_567)],
    ['999', '1.2k', '34k', '1.0M', '1.2M'],
  )
  const at = (seconds: number): string => age('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:00Z') + seconds * 1000)
  assert.deepEqual([at(-5), at(59), at(61), at(7300), at(200_000)], ['0s', '59s', '1m', '2h', '2d'])
})

test('a table is aligned, and a cell cannot break out of its line', () => {
  assert.equal(
    table(
      ['ID', 'NAME'],
      [
        ['a', 'x\ny\u001B[2J'],
        ['long', 'z'],
      ],
    ),
    'ID    NAME\na     x y\nlong  z',
  )
})

test('fields leave out what is null and pad names', () => {
  assert.equal(
    fields([
      ['a', '1'],
      ['gone', null],
      ['long', '2'],
    ]),
    'a     1\nlong  2',
  )
})

test('clipping never leaves half a character', () => {
  assert.equal(clip('ab😀cd', 4), 'ab…')
  assert.equal(clip('short', 10), 'short')
})

test('tokens are the sum of the disjoint classes', () => {
  assert.equal(
    tokensOf({
      input_uncached: 1,
      cache_read: 2,
      cache_write_5m: 4,
      cache_write_1h: 8,
      output: 16,
      reasoning: 32,
      cost_nano: 1000,
    }),
    63,
  )
})

test('a status names its reason only when it adds something', () => {
  assert.equal(statusOf({ status: 'completed', end_reason: 'done', wait_reason: null }), 'completed')
  assert.equal(statusOf({ status: 'cancelled', end_reason: 'cancelled', wait_reason: null }), 'cancelled')
  assert.equal(statusOf({ status: 'error', end_reason: 'max_turns', wait_reason: null }), 'error (max_turns)')
  assert.equal(statusOf({ status: 'waiting', end_reason: null, wait_reason: 'approval' }), 'waiting (approval)')
})

test('an event is one line without control characters', () => {
  const event = {
    seq: 7,
    ts: '2026-01-01T10:11:12.000Z',
    event_type: 'tool_result',
    payload: { tool: 'read_file', success: true, summary: 'a\nb\u001B[2J', none: null },
  }
  assert.equal(eventLine(event, 200), '   7  10:11:12  tool_result        tool=read_file success=true summary=a b')
})

test('an event about a message shows what was said in place of its number', () => {
  const event = {
    id: 1,
    thread_id: 'a',
    seq: 1,
    ts: '2026-01-01T10:11:12.000Z',
    event_type: 'assistant_message',
    payload: { message_seq: 2 },
  }
  const holding = (content: Json) => ({ messages: () => [{ seq: 2, turn: 1, role: 'assistant' as const, content }] })
  const blocks = [
    { type: 'reasoning', text: 'hm' },
    { type: 'text', text: 'one\ntwo' },
  ]
  assert.equal(
    eventLine(event, 200, saidIn(holding({ role: 'assistant', blocks }), event)),
    '   1  10:11:12  assistant_message  content=one two',
  )
  assert.equal(saidIn(holding({ role: 'user', content: 'hello' }), event), 'hello')
  assert.equal(saidIn(holding({ role: 'assistant', blocks: [] }), event), null)
  assert.equal(eventLine(event, 200, null), '   1  10:11:12  assistant_message  message_seq=2')
})

test('an error is told whole, because its end says what to do', () => {
  const message = `${'x'.repeat(200)} Check the URL.`
  assert.equal(
    noteOf({ event_type: 'stream_error', payload: { code: 'CONNECTION_REFUSED', message } }, 80),
    `  ! stream_error CONNECTION_REFUSED ${message}`,
  )
})

test('why a thread was cancelled is told like why it failed, and a result of another thread is no failure', () => {
  const result = { message: 'A hook aborted the thread.' }
  assert.equal(failureText({ status: 'cancelled', result }), 'A hook aborted the thread.')
  assert.equal(failureText({ status: 'error', result }), 'A hook aborted the thread.')
  assert.equal(failureText({ status: 'completed', result }), null)
  assert.equal(failureText({ status: 'cancelled', result: null }), null)
})

test('who follows a thread reads in words what was done to it, and what its hooks and checks say', () => {
  const by = { kind: 'operator', door: 'cli' }
  const noted = (event_type: string, payload: JsonObject): string | null => noteOf({ event_type, payload }, 120)
  assert.equal(
    noted('intervention', { action: 'budget', by, reason: 'more to read', signal_id: 's', add_turns: 3 }),
    '  ! budget by operator (cli), add_turns=3: more to read',
  )
  assert.equal(
    noted('intervention', { action: 'inject', by: { kind: 'thread', thread_id: 'boss', token: 't' }, reason: null }),
    '  ! inject by thread boss',
  )
  assert.equal(
    noted('hook_started', { event: 'on_error', code: 'permission_denied', directive: 'judge', thread_id: 'judge_1' }),
    '  → hook judge for on_error permission_denied: thread judge_1',
  )
  assert.equal(noted('hook_finished', { action: 'skip', message: 'not needed' }), '  ✓ hook: skip: not needed')
  assert.equal(noted('hook_failed', { outcome: 'went_on', reason: 'timeout' }), '  ✗ hook failed, the thread went on: timeout')
  assert.equal(
    noted('check_failed', { check: 'check-1', kind: 'file', what: 'a.txt', detail: 'it does not exist' }),
    '  ✗ check check-1 (file a.txt): it does not exist',
  )
  assert.equal(noted('status', { limit_reached: 'max_turns', action: 'warn', message: '2 of 2' }), '  ! max_turns (warn): 2 of 2')
  assert.equal(noted('status', { help: 'guidance', reason: 'Which?' }), '  ? the model asks for guidance: Which?')
  assert.equal(noted('status', { status: 'running' }), null)
  assert.equal(noted('handoff', { action: 'given_up', reason: 'no summary' }), '  ! handoff given up: no summary')
  assert.equal(noted('approval_expired', { approval_id: 'tool_1' }), '  ! nobody answered tool_1 in time, which is a no')
})

test('the error that ends a thread is no note: it is told with the result', () => {
  assert.equal(noteOf({ event_type: 'error', payload: { code: 'stream_failed', message: 'no' } }, 80), null)
})

test('what the message of an error says already is not repeated below it', () => {
  const cause = { code: 'ITEM_NOT_FOUND' as const, message: 'There is no x.' }
  const violations = [{ field: 'cost', error: 'no cost' }]
  const error = new KiwiError('SPAWN_FAILED', 'Not spawned: There is no x. cost: no cost', {
    failedAt: { tool_id: 't', config_path: null, validation_errors: [...violations, { field: '', error: 'other' }] },
    facts: { validation_errors: violations, problems: ['no cost', 'one\nmore'], given: { a: 1 } },
  }).toEnvelope()
  assert.deepEqual(errorText({ ...error, error: { ...error.error, cause } }).split('\n'), [
    'error: Not spawned: There is no x. cost: no cost [SPAWN_FAILED]',
    '  at t',
    '  other',
    '  cause: ITEM_NOT_FOUND',
    '  problems: one more',
    '  given: {"a":1}',
  ])
})

test('what to do stands at the end alone, and a fact of several lines keeps them', () => {
  const error = new KiwiError('MCP_TOOL_CHANGED', 'It is another. Look at x.', {
    suggestion: 'Look at x.',
    facts: { diff: '--- a\n+++ b\n\r-\u001B[2Jold\n', stderr: '', remediation: 'Look at x.' },
  }).toEnvelope()
  assert.deepEqual(errorText(error).split('\n'), [
    'error: It is another. [MCP_TOOL_CHANGED]',
    '  diff:',
    '    --- a',
    '    +++ b',
    '    ',
    '    -old',
    '  → Look at x.',
  ])
})

test('a follower is told of tools and warnings, not of bookkeeping', () => {
  const note = (event_type: string, payload: Record<string, string | boolean>) => noteOf({ event_type, payload }, 80)
  assert.match(note('tool_result', { tool: 'write_file', success: false, summary: 'no' }) ?? '', /✗ write_file: no/u)
  assert.match(note('context_warning', {}) ?? '', /context_warning/u)
  assert.equal(note('turn_start', {}), null)
})
