import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directive, openWorkshop } from '../workshop.ts'

const LIMITED = directive(
  'work',
  '<max_turns>9</max_turns><on_exceeded>stop</on_exceeded><max_duration_seconds>600</max_duration_seconds>',
)

const CAPPED = directive('work', '<max_turns>9</max_turns><on_exceeded>stop</on_exceeded><max_cost_usd>5</max_cost_usd>')

test('a provider that stalls ends the thread with stream_failed, also when the thread has a time limit that is far off', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: LIMITED },
    files: { '.ai/tools/impatient.yaml': IMPATIENT },
    model: { tool: 'impatient' },
    scenario: () => ({ reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } }),
  })
  await shop.kernel.sign({ item_type: 'tool', item_id: 'impatient' })
  const row = await shop.run('work')
  assert.deepEqual([row.end_reason, (row.result as { error_code: string }).error_code], ['stream_failed', 'TIMEOUT'])
})

test('a call that was sent and never answered is charged the most it can have cost, and one that was refused nothing', async (t) => {
  const silent = await openWorkshop(t, {
    directives: { work: CAPPED },
    files: { '.ai/tools/impatient.yaml': IMPATIENT },
    model: { tool: 'impatient' },
    scenario: () => ({ reply: { text: 'late' }, fault: { kind: 'slow_first_byte', delay_ms: 60_000 } }),
  })
  await silent.kernel.sign({ item_type: 'tool', item_id: 'impatient' })
  const unanswered = await silent.run('work')
  const refusing = await openWorkshop(t, {
    directives: { work: CAPPED },
    scenario: () => ({ fault: { kind: 'status', status: 400 } }),
  })
  const refused = await refusing.run('work')
  assert.ok(Number(unanswered.total_usage['cost_nano']) > 0, JSON.stringify(unanswered.total_usage))
  assert.equal(refused.total_usage['cost_nano'], 0)
})

const IMPATIENT = `tool_id: impatient
tool_type: http
version: '1.0.0'
executor_id: anthropic_thread
description: A model endpoint that waits a moment only.
effect: idempotent
config:
  timeouts_ms: { first_byte: 200, between_bytes: 200 }
parameters:
  - { name: thread_id, type: string, required: true }
`
