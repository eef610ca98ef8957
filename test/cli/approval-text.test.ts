import assert from 'node:assert/strict'
import { test } from 'node:test'
import { questionText } from '../../src/cli/approval-text.ts'
import type { ApprovalRow } from '../../src/threads/approvals/approval.ts'

const CHANGE: ApprovalRow = {
  approval_id: 'change_1',
  thread_id: 'mends_1',
  directive_id: 'mends',
  kind: 'change',
  status: 'pending',
  title: 'Write and sign the directive work',
  subject: { action: 'write', content: 'first\nsecond\n', diff: '@@ -1 +1,2 @@\n first\n+second' },
  answer: null,
  requested_at: '2026-01-01T00:00:00.000Z',
  answered_at: null,
  expires_at: '2026-01-01T01:00:00.000Z',
}

test('a proposed file is shown by its diff alone', () => {
  const text = questionText(CHANGE, Date.parse(CHANGE.requested_at))
  assert.match(text, /^diff\n {2}@@ -1 \+1,2 @@\n {3}first\n {2}\+second$/mu)
  assert.doesNotMatch(text, /content/u)
})

test('what a tool would be called with is shown whole, whatever it is named', () => {
  const subject = { tool: 'write_file', content: 'first\nsecond\n', diff: 'none' }
  const text = questionText({ ...CHANGE, kind: 'tool', subject }, Date.parse(CHANGE.requested_at))
  assert.match(text, /^content\n {2}first\n {2}second$/mu)
})
