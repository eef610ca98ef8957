import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ThreadRow } from '../../../../src/threads/threads-client.ts'
import { executes, runtimeTool, says } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'
import { decides, finish, guarded, hook, hookEvents, hookThreads, notes, openGuarded } from './hooked.ts'

const FAILS = runtimeTool("throw new Error('the build is broken')")
const ON_FAILURE = hook('event.code == "tool_failed"')
/** One turn, and then the limit. */
const ONE_TURN = '<max_turns>1</max_turns><on_exceeded>stop</on_exceeded>'
const ON_LIMIT = hook('event.name == "on_limit" and event.code == "max_turns"')

/** A thread whose first call fails, and whose hook gives this answer. */
async function afterFailure(
  t: TestContext,
  answer: ReturnType<typeof says>,
): Promise<{ readonly shop: Workshop; readonly row: ThreadRow; readonly message: string }> {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['build', {}]) : says('Done.')),
      () => answer,
    ),
  })
  const row = await finish(shop)
  return { shop, row, message: String((row.result as { message?: string } | null)?.message) }
}

test('retry lets the thread go on, and tells the model why', async (t) => {
  const { shop, row } = await afterFailure(t, decides('retry', 'The compiler is there now.'))
  assert.equal(row.end_reason, 'done')
  assert.deepEqual(notes(shop, row.thread_id), [
    'A hook lets you try again after tool_failed (1 of 3). The compiler is there now.',
  ])
})

test('continue does what would have happened without the hook', async (t) => {
  const { shop, row } = await afterFailure(t, decides('continue'))
  assert.deepEqual([row.end_reason, notes(shop, row.thread_id)], ['done', []])
})

test('skip leaves the thing as it is, and tells the model', async (t) => {
  const { shop, row } = await afterFailure(t, decides('skip', 'Nobody needs the build.'))
  assert.equal(row.end_reason, 'done')
  assert.deepEqual(notes(shop, row.thread_id), ['A hook has settled this (tool_failed): go on. Nobody needs the build.'])
})

test('fail ends the thread with an error that says why', async (t) => {
  const { row, message } = await afterFailure(t, decides('fail', 'A broken build is the end.'))
  assert.deepEqual([row.status, row.end_reason], ['error', 'check_failed'])
  assert.match(message, /^tool_failed: .*the build is broken.* A hook ended the thread\. A broken build is the end\.$/)
})

test('abort cancels the thread', async (t) => {
  const { row, message } = await afterFailure(t, decides('abort', 'Not today.'))
  assert.deepEqual([row.status, row.end_reason], ['cancelled', 'cancelled'])
  assert.match(message, /aborted the thread \(tool_failed\)\. Not today\./)
})

test('an unknown action is fail', async (t) => {
  const { shop, row, message } = await afterFailure(t, decides('ignore', 'Never mind.'))
  assert.equal(row.end_reason, 'check_failed')
  assert.match(message, /the unknown action "ignore", which counts as fail\. Never mind\./)
  assert.equal(hookEvents(shop, row.thread_id).at(-1)?.['action'], 'fail')
})

test('prose without an action is fail', async (t) => {
  const { row, message } = await afterFailure(t, says('I would retry.'))
  assert.equal(row.end_reason, 'check_failed')
  assert.match(message, /answered with no action/)
})

test('the fourth retry after the same thing is fail', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(
      ({ turn }) => executes(['build', { attempt: turn }]),
      () => decides('retry'),
    ),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'check_failed')
  assert.match(JSON.stringify(row.result), /try again 3 times after tool_failed, which is the most/)
  assert.equal(hookThreads(shop, row.thread_id).length, 4)
})

test('a limit that a hook wants to skip ends the thread all the same', async (t) => {
  const shop = await openGuarded(t, ON_LIMIT, {
    cost: ONE_TURN,
    files: { 'a.txt': 'a' },
    scenario: guarded(
      () => executes(['read_file', { path: 'a.txt' }]),
      () => decides('skip'),
    ),
  })
  const row = await finish(shop)
  assert.deepEqual([row.end_reason, hookEvents(shop, row.thread_id).at(-1)?.['action']], ['max_turns', 'skip'])
})

test('a limit is asked about again after a retry, until the retries are used up', async (t) => {
  const shop = await openGuarded(t, ON_LIMIT, {
    cost: ONE_TURN,
    files: { 'a.txt': 'a' },
    scenario: guarded(
      () => executes(['read_file', { path: 'a.txt' }]),
      () => decides('retry'),
    ),
  })
  const row = await finish(shop)
  assert.deepEqual([row.end_reason, hookThreads(shop, row.thread_id).length], ['max_turns', 4])
  assert.match(JSON.stringify(row.result), /max_turns is reached: 1 of 1\. Hooks have let the thread try again 3 times/)
})

test('a hook on a limit that escalates is heard before a person is asked, who reads what it said', async (t) => {
  const shop = await openGuarded(t, ON_LIMIT, {
    cost: ONE_TURN.replace('stop', 'escalate'),
    files: { 'a.txt': 'a' },
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')),
      () => decides('continue', 'It is half way through.'),
    ),
  })
  const id = await shop.spawn('work')
  const [question] = await asked(shop, id)
  assert.deepEqual([question?.kind, question?.subject['hook_message']], ['budget', 'It is half way through.'])
})

test('a hook on a limit that escalates can end the thread without a person', async (t) => {
  const shop = await openGuarded(t, ON_LIMIT, {
    cost: ONE_TURN.replace('stop', 'escalate'),
    files: { 'a.txt': 'a' },
    scenario: guarded(
      () => executes(['read_file', { path: 'a.txt' }]),
      () => decides('fail', 'It goes nowhere.'),
    ),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'max_turns')
  assert.equal(shop.threads.approvals.list({ thread_id: row.thread_id }).length, 0)
})

async function asked(shop: Workshop, threadId: string): Promise<ReturnType<Workshop['threads']['approvals']['list']>> {
  const deadline = performance.now() + 15_000
  for (;;) {
    const questions = shop.threads.approvals.list({ thread_id: threadId })
    if (questions.length > 0) return questions
    if (performance.now() > deadline) throw new Error('nobody was asked')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
