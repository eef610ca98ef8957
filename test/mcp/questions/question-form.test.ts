import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formAnswer, questionForm } from '../../../src/mcp/questions/question-form.ts'
import type { ApprovalRow } from '../../../src/threads/approvals/approval.ts'

function row(question: Partial<ApprovalRow>): ApprovalRow {
  return {
    approval_id: 'tool_1',
    thread_id: 'a_thread',
    directive_id: 'a_directive',
    kind: 'tool',
    status: 'pending',
    title: 'run deploy with {"target":"prod"}',
    subject: { tool: 'deploy', parameters: { target: 'prod' } },
    requested_at: '2026-11-01T00:00:00.000Z',
    expires_at: '2026-11-01T01:00:00.000Z',
    answered_at: null,
    answer: null,
    ...question,
  }
}

const CHANGE = {
  kind: 'change',
  title: 'change directive site/build: +tool.execute bash',
  subject: {
    action: 'write',
    file: '.ai/directives/site/build.md',
    reason: 'It needs a shell.',
    permissions: { added: ['tool.execute bash'], removed: [] },
    diff: '--- a/build.md\n+++ b/build.md\n@@ -1 +1 @@\n-old\n+new\n',
    content: 'the whole new file',
    retry_thread_id: 'b_thread',
  },
} as const

const decisions = (question: Partial<ApprovalRow>): unknown => {
  const { decision } = questionForm(row(question)).requestedSchema.properties
  return decision !== undefined && 'enum' in decision ? decision.enum : null
}

test('a call of a tool can be approved once or for the thread, everything else once', () => {
  assert.deepEqual(decisions({}), ['approve_once', 'approve_thread', 'deny'])
  for (const kind of ['escalation', 'stuck', 'budget', 'loop', 'change'] as const)
    assert.deepEqual(decisions({ kind }), ['approve_once', 'deny'])
})

test('the form says who asks, what exactly, until when, and by which id', () => {
  const { message } = questionForm(row({}))
  assert.deepEqual(message.split('\n'), [
    'A thread asks: may it run this tool? (thread a_thread of a_directive)',
    '| run deploy with {"target":"prod"}',
    '| tool: deploy',
    '| parameters: {',
    '|  "target": "prod"',
    '| }',
    'approve_once: this call runs. approve_thread: every call of this tool by this thread runs. deny: it does not run.',
    'Until 2026-11-01T01:00:00.000Z; no answer is a no. Id: tool_1',
  ])
})

test('a change is shown by its difference and its permissions, and not twice', () => {
  const { message } = questionForm(row(CHANGE))
  for (const part of ['| reason: It needs a shell.', 'tool.execute bash', '| -old', '| +new', '| retry_thread_id: b_thread'])
    assert.ok(message.includes(part), part)
  assert.doesNotMatch(message, /the whole new file/u)
})

test('a change that is too long to be shown whole can only be denied in the dialog', () => {
  const long = row({ ...CHANGE, subject: { ...CHANGE.subject, diff: `+${'x'.repeat(20_000)}\n` } })
  assert.deepEqual(decisions(long), ['deny'])
  assert.match(questionForm(long).message, /NOT ALL OF IT IS SHOWN HERE, so it can only be denied here/u)
  assert.equal(formAnswer(long, { action: 'accept', content: { decision: 'approve_once' } }), null)
  assert.equal(formAnswer(long, { action: 'accept', content: { decision: 'deny' } })?.decision, 'deny')
})

test('a call that is too long to be shown whole says so before anything else', () => {
  const { message } = questionForm(row({ subject: { tool: 'deploy', parameters: { target: 'x'.repeat(20_000) } } }))
  assert.match(message.split('\n')[1] ?? '', /^NOT ALL OF IT IS SHOWN HERE/u)
  assert.ok(message.length < 8_000)
})

test('many facts and huge texts make no huge form', () => {
  const subject = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`fact_${index}`, 'x'.repeat(10_000)]))
  const { message } = questionForm(row({ subject, title: 'y'.repeat(100_000) }))
  assert.ok(message.length < 12_000)
  assert.match(message, /^\| \(\d+ more facts\)$/mu)
})

test('a limit can be raised by what is asked for, or by another amount', () => {
  const budget = row({
    kind: 'budget',
    title: 'max_turns is reached: 2 of 2.',
    subject: { limit: 'max_turns', ask: { add_turns: 2 } },
  })
  const { message, requestedSchema } = questionForm(budget)
  assert.match(message, /approve_once: it goes on and gets more turns: 2\. deny: it ends at its limit\./u)
  assert.deepEqual(Object.keys(requestedSchema.properties), ['decision', 'add_turns', 'reason'])
  const answer = (content: object): unknown => formAnswer(budget, { action: 'accept', content })
  const approved = { decision: 'approve_once', reason: '', amounts: {} }
  assert.deepEqual(answer({ decision: 'approve_once' }), approved)
  assert.deepEqual(answer({ decision: 'approve_once', add_turns: 7, add_usd: 9 }), { ...approved, amounts: { add_turns: 7 } })
  assert.deepEqual(answer({ decision: 'approve_once', add_turns: -1 }), approved)
  assert.deepEqual(answer({ decision: 'deny', add_turns: 7 }), { decision: 'deny', reason: '', amounts: {} })
})

test('only what the form offers is an answer', () => {
  for (const response of [
    null,
    'accept',
    {},
    { action: 'cancel', content: { decision: 'approve_once' } },
    { action: 'accept' },
    { action: 'accept', content: {} },
    { action: 'accept', content: { decision: true } },
    { action: 'accept', content: [{ decision: 'approve_once' }] },
  ])
    assert.equal(formAnswer(row({}), response), null, JSON.stringify(response))
  assert.equal(formAnswer(row({ kind: 'loop' }), { action: 'accept', content: { decision: 'approve_thread' } }), null)
  assert.deepEqual(formAnswer(row({}), { action: 'decline' }), { decision: 'deny', reason: 'declined by the user', amounts: {} })
})
