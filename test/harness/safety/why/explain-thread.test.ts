import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainThread } from '../../../../src/harness/safety/why/explain-thread.ts'
import { directive, executes, limited, openWorkshop, says } from '../workshop.ts'

test('a thread that was denied says what it lacked, and what to declare', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: limited('work', '<execute resource="tool" id="write_file"/>') },
    scenario: ({ turn }) =>
      turn === 1 ? executes(['write_file', { path: 'secret/x.txt', content: 'x' }]) : says('I could not.'),
  })
  const row = await shop.run('work')
  const why = explainThread(shop.threads, row.thread_id)
  assert.match(why.verdict, /completed, although a call was denied: fs\.write "secret\/x\.txt"/u)
  assert.equal(why.denials.length, 1)
  assert.equal(typeof why.denials[0]?.['suggestion'], 'string')
  assert.deepEqual(
    why.failures.map(({ tool, code }) => [tool, code]),
    [['write_file', 'PERMISSION_DENIED']],
  )
})

test('a thread that reached a limit says which, with what was used of it', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', '<max_turns>2</max_turns><on_exceeded>stop</on_exceeded>') },
    files: { 'a.txt': 'a\nb\nc\n' },
    scenario: ({ turn }) => executes(['read_file', { path: 'a.txt', offset_line: turn }]),
  })
  const row = await shop.run('work')
  const why = explainThread(shop.threads, row.thread_id)
  assert.equal(why.end_reason, 'max_turns')
  assert.match(why.verdict, /max_turns is reached: 2 of 2/u)
  assert.deepEqual(
    why.budget.filter(({ reached }) => reached),
    [{ limit: 'max_turns', used: 2, max: 2, reached: true }],
  )
})

test('what was added to a limit counts with it', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', '<max_turns>1</max_turns><on_exceeded>escalate</on_exceeded>') },
    files: { 'a.txt': 'a\nb\nc\n' },
    scenario: ({ turn }) => (turn < 3 ? executes(['read_file', { path: 'a.txt', offset_line: turn }]) : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  await shop.call('resume_thread', { thread_id: id, add_turns: 4 })
  await shop.until(id, 'completed')
  const { budget } = explainThread(shop.threads, id)
  assert.deepEqual(budget, [{ limit: 'max_turns', used: 3, max: 5, reached: false }])
})

test('a failed call names the link of its chain that failed', async (t) => {
  const broken = 'tool_id: broken\ntool_type: http\nversion: "1.0.0"\nexecutor_id: missing_link\ndescription: Leads nowhere.\n'
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    files: { '.ai/tools/broken.yaml': broken },
    scenario: ({ turn }) => (turn === 1 ? executes(['broken', {}]) : says('It failed.')),
  })
  assert.equal((await shop.kernel.sign({ item_type: 'tool', item_id: 'broken' })).success, true)
  const row = await shop.run('work')
  const [failure] = explainThread(shop.threads, row.thread_id).failures
  assert.equal(failure?.code, 'TOOL_CHAIN_FAILED')
  assert.equal(failure.failing_link, 'broken')
})

test('a thread that waits names the open question, and where it stands in its tree', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    scenario: () => ({
      reply: { tool_calls: [{ name: 'help', arguments: { action: 'escalate', reason: 'Which file is meant?' } }] },
    }),
  })
  const row = await shop.run('work')
  const why = explainThread(shop.threads, row.thread_id)
  assert.match(why.verdict, /waits for an answer to escalation_[0-9a-f]+ until .*: Which file is meant\?/u)
  assert.deepEqual(
    why.ancestry.map(({ thread_id: id }) => id),
    [row.thread_id],
  )
  assert.equal(why.timeline.at(-1)?.event_type, 'status')
})
