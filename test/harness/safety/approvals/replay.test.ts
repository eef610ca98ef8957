import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Runner } from '../../../../src/threads/engine.ts'
import { executes, openWorkshop, says } from '../workshop.ts'
import type { WorkshopOptions } from '../workshop.ts'
import { answer, DEPLOY, question, questions, runs, WORK } from './guarded.ts'

const ASKS: WorkshopOptions = {
  directives: WORK,
  tools: { deploy: DEPLOY },
  scenario: ({ turn }) => (turn === 1 ? executes(['deploy', { target: 'prod' }]) : says('Done.')),
}

/** A runner whose next turn that `when` says yes to throws away what it did after its last step, as a host that is killed there does. */
function losing(lost: { turns: number }, when: (steps: readonly string[]) => boolean): (runner: Runner) => Runner {
  return (runner) => ({
    ...runner,
    runTurn: async (ctx, state) => {
      const steps: string[] = []
      const step: typeof ctx.step = (name, options, run) => {
        steps.push(name)
        return ctx.step(name, options, run)
      }
      const result = await runner.runTurn({ ...ctx, step }, state)
      if (lost.turns > 0 && when(steps)) {
        lost.turns -= 1
        // The turn does not end: the host is closed under it.
        await new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)))
      }
      return result
    },
  })
}

async function lostTurns(lost: { readonly turns: number }): Promise<void> {
  while (lost.turns > 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('a question survives its host, and the answer that came meanwhile is obeyed', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: id } = await shop.run('work')
  await shop.restart()
  const { approval_id: approvalId } = await question(shop, id)
  await answer(shop, approvalId, 'approve_once')
  await shop.restart()
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  assert.deepEqual([runs(shop), shop.threads.approvals.list({ thread_id: id }).length], [[{ target: 'prod' }], 1])
})

test('a turn that is lost after it asked asks once', async (t) => {
  const lost = { turns: 1 }
  const shop = await openWorkshop(t, {
    ...ASKS,
    wrapRunner: losing(lost, (steps) => steps.some((name) => name.startsWith('tool-'))),
  })
  const id = await shop.spawn('work')
  await lostTurns(lost)
  const [first] = await questions(shop, id)
  await shop.restart()
  await shop.until(id, 'waiting')
  assert.deepEqual([await questions(shop, id), runs(shop), shop.model.requests().length], [[first], [], 1])
  await answer(shop, first?.approval_id ?? '', 'approve_once')
  await shop.until(id, 'completed')
  assert.deepEqual(runs(shop), [{ target: 'prod' }])
})

test('a turn that is lost after the approved call ran does not run it again', async (t) => {
  const lost = { turns: 1 }
  const shop = await openWorkshop(t, {
    ...ASKS,
    wrapRunner: losing(lost, (steps) => steps.some((name) => name.startsWith('answered-'))),
  })
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'approve_once')
  await lostTurns(lost)
  await shop.restart()
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  assert.deepEqual([runs(shop), shop.results(id)], [[{ target: 'prod' }], ['{"deployed":"prod"}']])
})

test('an approved call that lost its host while it ran is unknown, and is not repeated', async (t) => {
  const hangs = DEPLOY.replace(
    'return {',
    "await new Promise((resolve) => context.signal.addEventListener('abort', resolve))\n  return {",
  )
  const shop = await openWorkshop(t, { ...ASKS, tools: { deploy: hangs } })
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'approve_once')
  while (runs(shop).length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  await shop.restart()
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  assert.match(shop.results(id)[0] ?? '', /outcome of this call is unknown/)
  assert.deepEqual([runs(shop).length, shop.results(id).length, shop.model.requests().length], [1, 1, 2])
})

test('what was approved for the thread still is after a restart', async (t) => {
  const shop = await openWorkshop(t, {
    ...ASKS,
    scenario: ({ turn }) => (turn < 4 ? executes(['deploy', { target: `${turn}` }]) : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'approve_thread')
  while (runs(shop).length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  await shop.restart()
  await shop.until(id, 'completed')
  assert.deepEqual(
    [shop.threads.approvals.list({ thread_id: id }).length, new Set(runs(shop).map(({ target }) => target)).size],
    [1, 3],
  )
})

test('the token of an approval is proven offline, with the one that it comes from', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: id } = await shop.run('work')
  const { approval_id: approvalId } = await question(shop, id)
  await answer(shop, approvalId, 'approve_once')
  await shop.until(id, 'completed')
  const jtis = shop.store
    .statement('SELECT jti FROM tokens WHERE thread_id = ? ORDER BY id')
    .all(id)
    .map(({ jti }) => String(jti))
  const approved = jtis.find((jti) => jti.startsWith(`approval:${approvalId}:`)) ?? ''
  const { proven, links } = await shop.proof(approved)
  assert.deepEqual([proven, links.map(({ thread_id: of }) => of)], [true, [id, id]])
  assert.deepEqual(
    links.map(({ grants }) => grants?.capabilities['tool.approved']),
    [['deploy'], undefined],
  )
  assert.equal(shop.threads.tokens.latest(id)?.jti, links[1]?.jti)
})
