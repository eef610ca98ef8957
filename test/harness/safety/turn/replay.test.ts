import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Runner } from '../../../../src/threads/engine.ts'
import { directive, executes, openWorkshop, runtimeTool, says } from '../workshop.ts'

test('a tool that is removed while its thread is interrupted still has its one recorded result', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    tools: {
      quick: runtimeTool("return 'quick result'"),
      slow: runtimeTool(
        "await new Promise((_, reject) => context.signal.addEventListener('abort', () => reject(new Error('stopped'))))",
      ),
    },
    scenario: ({ turn }) => (turn === 1 ? executes(['quick', {}], ['slow', {}]) : says('Done.')),
  })
  const id = await shop.spawn('work')
  const deadline = performance.now() + 5_000
  while (shop.events(id, 'tool_result').length === 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5))
  for (const tool of ['quick', 'slow']) rmSync(join(shop.projectPath, `.ai/tools/${tool}.ts`))
  await shop.restart()
  const row = await shop.until(id, 'completed', 'error')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const results = shop.results(id)
  assert.deepEqual([results.length, results[0]], [2, 'quick result'], JSON.stringify(results))
})

/** A runner whose first turn that takes this step does not end: its host is killed when that stands in the journal, and nothing else. */
function lostAfter(step: string, onLost: () => void): (runner: Runner) => Runner {
  let lost = false
  return (runner) => ({
    ...runner,
    runTurn: async (ctx, state) => {
      const stopped = Promise.withResolvers<never>()
      ctx.signal.addEventListener('abort', () => stopped.reject(ctx.signal.reason))
      const watched: typeof ctx.step = async (name, options, run) => {
        const outcome = await ctx.step(name, options, run)
        if (lost || name !== step) return outcome
        lost = true
        onLost()
        return stopped.promise
      }
      stopped.promise.catch(() => undefined)
      return runner.runTurn({ ...ctx, step: watched }, state)
    },
  })
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Threads of this directive take no turn before that. */
function heldUntil(directiveId: string, free: Promise<void>, runner: Runner): Runner {
  return {
    ...runner,
    runTurn: async (ctx, state) => {
      if (ctx.start.directiveId === directiveId) await free
      return runner.runTurn(ctx, state)
    },
  }
}

test('a call that is ready only when an interrupted turn is taken again gets its result too', async (t) => {
  let isLost = false
  const [begin, free] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const losing = lostAfter('deliver', () => {
    isLost = true
  })
  const shop = await openWorkshop(t, {
    directives: { work: directive('work'), quick: directive('quick'), slow: directive('slow') },
    scenario: ({ firstUserText, turn, results }) => {
      if (firstUserText.includes('<directive name="quick"')) return says('quick')
      if (firstUserText.includes('<directive name="slow"')) return says('slow')
      if (turn === 1)
        return executes(['thread_directive', { directive_name: 'quick' }], ['thread_directive', { directive_name: 'slow' }])
      if (turn > 2) return says('Done.')
      const ids = results.map(({ content }) => (JSON.parse(content) as { thread_id: string }).thread_id)
      return executes(...ids.map((id) => ['wait_thread', { thread_id: id }] as const), ['wait_thread', { thread_ids: ids }])
    },
    wrapRunner: (runner) => heldUntil('slow', free.promise, heldUntil('quick', begin.promise, losing(runner))),
  })
  const id = await shop.spawn('work')
  await shop.until(id, 'waiting')
  begin.resolve()
  await until(() => isLost)
  // What the other calls wait for ends in between.
  free.resolve()
  await until(() => shop.threads.list({ parent_thread_id: id }).every(({ status }) => status === 'completed'))
  await shop.restart()
  const row = await shop.until(id, 'completed', 'error')
  assert.equal(row.end_reason, 'done', JSON.stringify([row.result, shop.problems]))
  const waits = shop.results(id).slice(2)
  assert.deepEqual(
    waits.map((text) => text.includes('"settled":true')),
    [true, true, true],
    JSON.stringify(waits),
  )
})

test('a call that was answered because a thread waited for somebody is not answered again when that goes on', async (t) => {
  let isLost = false
  const free = Promise.withResolvers<void>()
  const losing = lostAfter('deliver', () => {
    isLost = true
  })
  const shop = await openWorkshop(t, {
    directives: { work: directive('work'), child: directive('child') },
    scenario: ({ firstUserText, turn, results }) => {
      if (firstUserText.includes('<directive name="child"')) {
        if (turn > 1) return { fault: { kind: 'stall', after_events: 0 } }
        return { reply: { tool_calls: [{ name: 'help', arguments: { action: 'escalate', reason: 'Which?' } }] } }
      }
      if (turn === 1) return executes(['thread_directive', { directive_name: 'child' }])
      if (turn > 2) return says('Done.')
      const { thread_id: child } = JSON.parse(results[0]?.content ?? '{}') as { thread_id: string }
      return executes(['wait_thread', { thread_id: child, wake_on_waiting: true, timeout_seconds: 5 }])
    },
    wrapRunner: (runner) => heldUntil('child', free.promise, losing(runner)),
  })
  const id = await shop.spawn('work')
  await shop.until(id, 'waiting')
  free.resolve()
  await until(() => isLost)
  const child = shop.threads.list({ parent_thread_id: id })[0]?.thread_id ?? ''
  const resumed = await shop.call('resume_thread', { thread_id: child })
  assert.ok(resumed.success, JSON.stringify(resumed))
  await shop.until(child, 'running')
  await shop.restart()
  const row = await shop.until(id, 'completed', 'error')
  assert.deepEqual([row.end_reason, shop.results(id).length], ['done', 2], JSON.stringify([row.result, shop.results(id)]))
})
