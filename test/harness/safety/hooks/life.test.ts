import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Runner } from '../../../../src/threads/engine.ts'
import type { ScenarioFunction } from '../../../../src/scripted-model/scenario.ts'
import { CALL_NANO, executes, runtimeTool, says } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'
import { decides, finish, guard, guarded, hook, hookEvents, hookThreads, openGuarded } from './hooked.ts'

const FAILS = runtimeTool("throw new Error('the build is broken')")
const ON_FAILURE = hook('event.code == "tool_failed"')
const FAILING_WORK: ScenarioFunction = ({ turn }) => (turn === 1 ? executes(['build', {}]) : says('Done.'))
const STALLED = { fault: { kind: 'stall', after_events: 0 } } as const

function capped(usd: string): string {
  return `<max_turns>9</max_turns><on_exceeded>stop</on_exceeded><max_cost_usd>${usd}</max_cost_usd>`
}

async function started(shop: Workshop, threadId: string): Promise<string> {
  const deadline = performance.now() + 15_000
  for (;;) {
    const [child] = hookThreads(shop, threadId)
    if (child?.status === 'running') return child.thread_id
    if (performance.now() > deadline) throw new Error('no hook was started')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function account(shop: Workshop, threadId: string): object {
  const row = shop.store
    .statement('SELECT granted_nano, spent_nano, reserved_nano, escrow_nano FROM ledger WHERE thread_id = ?')
    .get(threadId)
  return { ...row }
}

for (const [what, cost] of [
  ['with a cap of its own', capped('0.1')],
  ['without one', undefined],
] as const) {
  test(`what a hook ${what} spends counts in the budget of its thread, and the rest comes back`, async (t) => {
    const shop = await openGuarded(t, ON_FAILURE, {
      cost: capped('1'),
      tools: { build: FAILS },
      directives: { guard: guard('guard', cost) },
      scenario: guarded(FAILING_WORK, () => decides('skip')),
    })
    const row = await finish(shop)
    const spent = { granted_nano: 1_000_000_000, spent_nano: 3 * CALL_NANO, reserved_nano: 0, escrow_nano: 0 }
    assert.deepEqual(account(shop, row.thread_id), spent)
  })
}

test('a hook that asks for more money than its thread has left is not spawned', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    cost: capped('0.5'),
    tools: { build: FAILS },
    directives: { guard: guard('guard', capped('0.6')) },
    scenario: guarded(FAILING_WORK, () => decides('skip')),
  })
  const row = await finish(shop)
  assert.deepEqual([row.end_reason, hookThreads(shop, row.thread_id).length], ['done', 0])
  assert.equal(hookEvents(shop, row.thread_id)[0]?.['type'], 'hook_failed')
})

test("a thread waits for its hook without a turn, and a hook's turns are not its own", async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    files: { 'a.txt': 'a' },
    scenario: guarded(FAILING_WORK, ({ turn }) => (turn < 3 ? executes(['read_file', { path: 'a.txt' }]) : decides('skip'))),
  })
  const row = await finish(shop)
  assert.equal(shop.events(row.thread_id, 'turn_start').length, 2)
})

test('a hook goes on after its host was killed, and its one answer is obeyed once', async (t) => {
  let calls = 0
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(FAILING_WORK, () => {
      calls += 1
      return calls === 1 ? STALLED : decides('skip')
    }),
  })
  const id = await shop.spawn('work')
  await until(() => calls === 1)
  await shop.restart()
  const row = await shop.until(id, 'completed', 'error')
  assert.equal(row.end_reason, 'done', JSON.stringify([row.result, shop.problems]))
  assert.equal(hookThreads(shop, id).length, 1)
  assert.deepEqual(
    hookEvents(shop, id).map(({ type }) => type),
    ['hook_started', 'hook_finished'],
  )
})

test('a host that was killed just after it had spawned a hook finds it again and spawns no other', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(FAILING_WORK, () => decides('skip')),
    wrapRunner: hangingOnce('hook-on_error'),
  })
  const id = await shop.spawn('work')
  await until(() => hookThreads(shop, id)[0]?.status === 'completed')
  await shop.restart()
  const row = await shop.until(id, 'completed', 'error')
  assert.equal(row.end_reason, 'done', JSON.stringify([row.result, shop.problems]))
  assert.deepEqual([hookThreads(shop, id).length, hookEvents(shop, id).length], [1, 2])
})

test('an answer that was read is read again as it was after the host was killed', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(FAILING_WORK, () => decides('retry', 'Once more.')),
    wrapRunner: hangingOnce('pending-note'),
  })
  const id = await shop.spawn('work')
  await until(() => hookEvents(shop, id).length === 2)
  await shop.restart()
  const row = await shop.until(id, 'completed', 'error')
  assert.equal(row.end_reason, 'done', JSON.stringify([row.result, shop.problems]))
  assert.deepEqual(
    hookEvents(shop, id).map(({ type }) => type),
    ['hook_started', 'hook_finished'],
  )
  const told = shop.threads.messages(id).filter(({ role }) => role === 'system_note')
  assert.equal(told.length, 1)
})

test('the cancel of a thread ends the hook that it waits for', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(FAILING_WORK, () => STALLED),
  })
  const id = await shop.spawn('work')
  const child = await started(shop, id)
  await shop.call('cancel_thread', { thread_id: id })
  assert.equal((await shop.until(id, 'cancelled')).end_reason, 'cancelled')
  assert.equal((await shop.until(child, 'cancelled')).end_reason, 'cancelled')
})

test('a thread with a hook that is paused takes the answer when it is resumed', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(FAILING_WORK, () => decides('skip')),
  })
  const id = await shop.spawn('work')
  await until(() => hookThreads(shop, id).length === 1)
  await shop.call('pause_thread', { thread_id: id })
  await until(() => hookThreads(shop, id)[0]?.status === 'completed')
  await shop.until(id, 'paused')
  await shop.call('resume_thread', { thread_id: id })
  assert.equal((await shop.until(id, 'completed', 'error')).end_reason, 'done')
})

/** A runner whose first step of that name does what it does and then never comes back, as if its host had died at that moment. */
function hangingOnce(name: string): (runner: Runner) => Runner {
  let hung = false
  return (runner) => ({
    ...runner,
    runTurn: (ctx, state) =>
      runner.runTurn(
        {
          ...ctx,
          step: (step, options, run) =>
            ctx.step(step, options, async (meta) => {
              const done = await run(meta)
              if (hung || !step.startsWith(name)) return done
              hung = true
              return new Promise((_, reject) => meta.signal.addEventListener('abort', () => reject(meta.signal.reason as Error)))
            }),
        },
        state,
      ),
  })
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
