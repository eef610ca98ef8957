import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApprovalRow } from '../../../../src/threads/approvals/approval.ts'
import { directive, executes, openWorkshop, says } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'

const ESCALATES = '<max_turns>1</max_turns><on_exceeded>escalate</on_exceeded>'
const READS = executes(['read_file', { path: 'a.txt' }])
const FILES = { 'a.txt': 'one' }

function helps(reason: string): typeof READS {
  return { reply: { tool_calls: [{ name: 'help', arguments: { action: 'escalate', reason } }] } }
}

function open(shop: Workshop, threadId: string): readonly ApprovalRow[] {
  return shop.threads.approvals.list({ thread_id: threadId, status: 'pending' })
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('a thread that is resumed without what it lacks asks again each time, and the new question can be answered', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', ESCALATES) },
    files: FILES,
    scenario: ({ turn }) => (turn === 1 ? READS : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  const asked = new Set<string>()
  for (let round = 1; round <= 3; round += 1) {
    await until(() => open(shop, id).some(({ approval_id: one }) => !asked.has(one)))
    for (const { approval_id: one } of open(shop, id)) asked.add(one)
    assert.equal(asked.size, round)
    if (round < 3) await shop.call('resume_thread', { thread_id: id })
  }
  const [last] = open(shop, id)
  const answered = await shop.call('answer_approval', { approval_id: last?.approval_id ?? '', decision: 'approve_once' })
  assert.ok(answered.success, JSON.stringify(answered))
  assert.equal((await shop.until(id, 'completed', 'error')).end_reason, 'done')
})

test('the time for an answer begins with the question, however long its turn has taken', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    approvalTimeoutMs: 1_000,
    scenario: ({ turn }) =>
      turn === 1
        ? { reply: { text: 'I need a person.', ...helps('Which one?').reply, delay_ms: 120, piece_chars: 4 } }
        : says('Done.'),
  })
  const { thread_id: id } = await shop.run('work')
  const [row] = shop.threads.approvals.list({ thread_id: id })
  assert.ok(row !== undefined && Date.parse(row.expires_at) > Date.parse(row.requested_at), JSON.stringify(row))
})

test('a question whose time passes while there is no host is a no when the next one starts', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', ESCALATES) },
    files: FILES,
    approvalTimeoutMs: 50,
    scenario: () => READS,
  })
  const { thread_id: id } = await shop.run('work')
  await shop.restart()
  const row = await shop.until(id, 'error', 'completed')
  assert.deepEqual([row.end_reason, shop.threads.approvals.list({ thread_id: id })[0]?.status], ['max_turns', 'expired'])
})

test('a question whose time passes below a pause is a no after the resume', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', ESCALATES) },
    files: FILES,
    approvalTimeoutMs: 50,
    scenario: () => READS,
  })
  const { thread_id: id } = await shop.run('work')
  await shop.call('pause_thread', { thread_id: id })
  await shop.until(id, 'paused')
  await until(() => shop.threads.approvals.list({ thread_id: id })[0]?.status === 'expired')
  await shop.call('resume_thread', { thread_id: id })
  assert.equal((await shop.until(id, 'error', 'completed')).end_reason, 'max_turns')
})

test('two things of one turn that need somebody are asked one after the other', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    files: FILES,
    scenario: ({ turn }) => {
      if (turn > 3) return says('Done.')
      const { tool_calls: calls = [] } = READS.reply
      return turn < 3 ? READS : { reply: { tool_calls: [...calls, ...(helps('Which one?').reply.tool_calls ?? [])] } }
    },
  })
  const id = await shop.spawn('work')
  for (const kind of ['loop', 'escalation']) {
    await until(() => open(shop, id).length > 0)
    const [asked] = open(shop, id)
    assert.equal(asked?.kind, kind)
    await shop.call('answer_approval', { approval_id: asked?.approval_id ?? '', decision: 'approve_once' })
    await until(() => open(shop, id).every(({ approval_id: one }) => one !== asked?.approval_id))
  }
  assert.equal((await shop.until(id, 'completed', 'error')).end_reason, 'done')
})
