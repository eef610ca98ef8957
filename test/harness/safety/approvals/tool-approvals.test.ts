import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { directive, executes, limited, openWorkshop, says } from '../workshop.ts'
import type { WorkshopOptions } from '../workshop.ts'
import { answer, DEPLOY, question, questions, runs, WORK } from './guarded.ts'

const ASKS: WorkshopOptions = {
  directives: WORK,
  tools: { deploy: DEPLOY },
  scenario: ({ turn }) => (turn === 1 ? executes(['deploy', { target: 'prod' }]) : says('Done.')),
}

test('a marked tool does not run before somebody agrees, and then runs with what was shown', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const row = await shop.run('work')
  const asked = await question(shop, row.thread_id)
  assert.deepEqual([row.status, row.wait_reason, runs(shop)], ['waiting', 'approval', []])
  assert.deepEqual([asked.kind, asked.title], ['tool', 'run deploy with {"target":"prod"}'])
  const { args_hash: argsHash, ...subject } = asked.subject
  assert.deepEqual(subject, {
    tool: 'deploy',
    parameters: { target: 'prod' },
    path: null,
    diff: null,
    thread: row.thread_id,
    directive: 'work',
  })
  const given = await answer(shop, asked.approval_id, 'approve_once', { reason: 'Go.' })
  assert.deepEqual(
    [given['status'], (given['answer'] as { by: unknown }).by],
    ['approved', { kind: 'operator', door: 'library' }],
  )
  assert.equal((await shop.until(row.thread_id, 'completed')).end_reason, 'done')
  assert.deepEqual([runs(shop), shop.results(row.thread_id)], [[{ target: 'prod' }], ['{"deployed":"prod"}']])
  const [call] = shop.events(row.thread_id, 'tool_call')
  assert.deepEqual([call?.payload['approval_id'], call?.payload['args_hash']], [asked.approval_id, argsHash])
})

test('waiting for an answer costs no turn, and one call is one tool call', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'approve_once')
  const row = await shop.until(id, 'completed')
  assert.deepEqual([row.total_usage['tool_calls'], shop.model.requests().length], [1, 2])
  assert.deepEqual(shop.events(id, 'tool_call').length, 1)
})

test('what was approved once is asked again, and what was approved for the thread is not', async (t) => {
  const targets = ['a', 'b', 'c', 'd']
  const shop = await openWorkshop(t, {
    ...ASKS,
    scenario: ({ turn }) => (turn <= targets.length ? executes(['deploy', { target: targets[turn - 1] ?? '' }]) : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'approve_once')
  const second = await question(shop, id)
  await answer(shop, second.approval_id, 'approve_thread')
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  assert.deepEqual(
    runs(shop),
    targets.map((target) => ({ target })),
  )
  assert.deepEqual(
    shop.events(id, 'tool_call').map(({ payload }) => payload['approval_id'] === second.approval_id),
    [false, true, true, true],
  )
})

test('an approval for one thread is none for another', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: first } = await shop.run('work')
  await answer(shop, (await question(shop, first)).approval_id, 'approve_thread')
  await shop.until(first, 'completed')
  const { thread_id: other } = await shop.run('work')
  assert.equal((await question(shop, other)).thread_id, other)
})

test('what one thread was approved for is asked again by its child', async (t) => {
  const shop = await openWorkshop(t, {
    ...ASKS,
    directives: { ...WORK, child: directive('child') },
    scenario: ({ firstUserText, turn, results }) => {
      if (firstUserText.includes('<directive name="child"')) return executes(['deploy', { target: 'child' }])
      if (turn === 1) return executes(['deploy', { target: 'parent' }])
      if (turn === 2) return executes(['thread_directive', { directive_name: 'child' }])
      return executes(['wait_thread', { thread_id: /"thread_id":"([^"]+)"/.exec(results.at(-1)?.content ?? '')?.[1] ?? '' }])
    },
  })
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'approve_thread')
  while (shop.threads.list({ parent_thread_id: id }).length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const [child] = shop.threads.list({ parent_thread_id: id })
  const asked = await question(shop, child?.thread_id ?? '')
  assert.deepEqual([asked.subject['parameters'], runs(shop)], [{ target: 'child' }, [{ target: 'parent' }]])
})

test('threat row 43: what was approved once does not run when ten minutes have gone by since', async (t) => {
  // Without `ONCE_MS` in deliver-answer.ts it runs whenever the thread is resumed.
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: id } = await shop.run('work')
  const { approval_id: approvalId } = await question(shop, id)
  await shop.call('pause_thread', { thread_id: id })
  await shop.until(id, 'paused')
  await answer(shop, approvalId, 'approve_once')
  shop.store.statement('UPDATE approvals SET answered_at_ms = answered_at_ms - 600000 WHERE approval_id = ?').run(approvalId)
  await shop.call('resume_thread', { thread_id: id })
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  assert.deepEqual(runs(shop), [])
  assert.match(shop.results(id)[0] ?? '', /TOKEN_INVALID.*its time is over/)
})

test('a denied call is told with its reason as a denial, and the thread goes on', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'deny', { reason: 'Not on a Friday.' })
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  assert.match(shop.results(id)[0] ?? '', /PERMISSION_DENIED.*not agreed to. The reason: Not on a Friday./)
  assert.deepEqual([runs(shop), shop.events(id, 'permission_denied').length], [[], 1])
})

test('a thread whose every call is denied ends, as with any denial', async (t) => {
  const shop = await openWorkshop(t, { ...ASKS, scenario: ({ turn }) => executes(['deploy', { target: `try ${turn}` }]) })
  const { thread_id: id } = await shop.run('work')
  for (let turn = 1; turn <= 5; turn += 1)
    await answer(shop, (await question(shop, id)).approval_id, 'deny', { reason: `No, ${turn}.` })
  assert.equal((await shop.until(id, 'error')).end_reason, 'permission_denied')
  assert.deepEqual(runs(shop), [])
})

test('when nobody answers nothing runs, and the silence is a no', async (t) => {
  const shop = await openWorkshop(t, { ...ASKS, approvalTimeoutMs: 30 })
  const id = await shop.spawn('work')
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  const [row] = shop.threads.approvals.list({ thread_id: id })
  assert.deepEqual([row?.status, runs(shop)], ['expired', []])
  assert.match(shop.results(id)[0] ?? '', /PERMISSION_DENIED.*nobody answered in time/)
  const late = await shop.call('answer_approval', { approval_id: row?.approval_id ?? '', decision: 'approve_once' })
  assert.equal(late.success || late.error.code, 'APPROVAL_CLOSED')
})

test('a thread that is cancelled while it waits leaves no question and runs nothing', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: id } = await shop.run('work')
  const { approval_id: approvalId } = await question(shop, id)
  await shop.call('cancel_thread', { thread_id: id })
  await shop.until(id, 'cancelled')
  const late = await shop.call('answer_approval', { approval_id: approvalId, decision: 'approve_once' })
  assert.deepEqual([shop.threads.approvals.get(approvalId).status, late.success, runs(shop)], ['cancelled', false, []])
})

test('who resumes a thread without answering has not agreed', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const { thread_id: id } = await shop.run('work')
  const { approval_id: approvalId } = await question(shop, id)
  await shop.call('resume_thread', { thread_id: id })
  await shop.until(id, 'completed')
  assert.deepEqual([shop.threads.approvals.get(approvalId).status, runs(shop)], ['cancelled', []])
  assert.match(shop.results(id)[0] ?? '', /resumed without an answer/)
})

test('two calls of one turn are two questions, and each runs when it is answered', async (t) => {
  const shop = await openWorkshop(t, {
    ...ASKS,
    scenario: ({ turn }) => (turn === 1 ? executes(['deploy', { target: 'a' }], ['deploy', { target: 'b' }]) : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  const [first, second] = await questions(shop, id, 2)
  await answer(shop, second?.approval_id ?? '', 'approve_once')
  await questions(shop, id, 1)
  while (runs(shop).length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual([runs(shop), shop.model.requests().length], [[second?.subject['parameters']], 1])
  await answer(shop, first?.approval_id ?? '', 'deny')
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  assert.deepEqual([runs(shop).length, shop.model.requests().length], [1, 2])
})

test('equal calls with one id are two questions, and a yes to one is none to the other', async (t) => {
  const call = { name: 'execute', arguments: { item_type: 'tool', item_id: 'deploy', parameters: { target: 'a' } } }
  const shop = await openWorkshop(t, {
    ...ASKS,
    scenario: ({ turn }) => (turn === 1 ? { reply: { tool_calls: [call, call] } } : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  const [first, second] = await questions(shop, id, 2)
  await answer(shop, first?.approval_id ?? '', 'approve_once')
  await answer(shop, second?.approval_id ?? '', 'deny')
  await shop.until(id, 'completed')
  assert.equal(runs(shop).length, 1)
})

test('a call that waits for a child and one that waits for an answer are both delivered', async (t) => {
  const shop = await openWorkshop(t, {
    ...ASKS,
    directives: { ...WORK, child: directive('child') },
    scenario: ({ firstUserText, turn, results }) => {
      if (firstUserText.includes('<directive name="child"')) return says('I am the child.')
      if (turn === 1) return executes(['thread_directive', { directive_name: 'child' }])
      const spawned = /"thread_id":"([^"]+)"/.exec(results[0]?.content ?? '')?.[1] ?? ''
      if (turn === 2) return executes(['wait_thread', { thread_id: spawned }], ['deploy', { target: 'a' }])
      return says('Done.')
    },
  })
  const { thread_id: id } = await shop.run('work')
  await answer(shop, (await question(shop, id)).approval_id, 'approve_once')
  assert.equal((await shop.until(id, 'completed')).end_reason, 'done')
  const results = shop.results(id).slice(1).toSorted()
  assert.deepEqual([results.length, results[0]?.includes('deployed'), results[1]?.includes('I am the child.')], [2, true, true])
})

for (const { title, permissions, parameters, found } of [
  {
    title: 'the tool itself',
    permissions: '<write resource="filesystem" path="runs/**"/>',
    parameters: { target: 'a' },
    found: /PERMISSION_DENIED.*tool\.execute/,
  },
  {
    title: 'what it requires',
    permissions: '<execute resource="tool" id="deploy"/>',
    parameters: { target: 'a' },
    found: /PERMISSION_DENIED.*fs\.write/,
  },
  {
    title: 'the right arguments',
    permissions: '<execute resource="tool" id="deploy"/><write resource="filesystem" path="runs/**"/>',
    parameters: { target: 7 },
    found: /PARAMETER_VALIDATION_ERROR/,
  },
]) {
  test(`nobody is asked about a call that lacks ${title}`, async (t) => {
    const shop = await openWorkshop(t, {
      ...ASKS,
      directives: { work: limited('work', permissions) },
      scenario: ({ turn }) => (turn === 1 ? executes(['deploy', parameters]) : says('Done.')),
    })
    const row = await shop.run('work')
    assert.deepEqual([row.end_reason, shop.threads.approvals.list()], ['done', []])
    assert.match(shop.results(row.thread_id)[0] ?? '', found)
  })
}

test('a tool that is executed through a marked one is asked about under its own name', async (t) => {
  const shop = await openWorkshop(t, {
    ...ASKS,
    files: {
      '.ai/tools/release.yaml': [
        'tool_id: release',
        'tool_type: runtime',
        'version: "1.0.0"',
        'description: Deploys to prod.',
        'executor_id: deploy',
        'config: { parameters: { target: prod } }',
        '',
      ].join('\n'),
    },
    scenario: ({ turn }) => (turn === 1 ? executes(['release', {}]) : says('Done.')),
  })
  const signed = await shop.kernel.sign({ item_type: 'tool', item_id: 'release' })
  assert.equal(signed.success, true, JSON.stringify(signed))
  const { thread_id: id } = await shop.run('work')
  const asked = await question(shop, id)
  assert.equal(asked.title, 'run release')
  await answer(shop, asked.approval_id, 'approve_once')
  await shop.until(id, 'completed')
  assert.deepEqual(runs(shop), [{ target: 'prod' }])
})

test('a write that needs an approval is shown as the difference it makes', async (t) => {
  const shop = await openWorkshop(t, {
    ...ASKS,
    files: {
      '.ai/tools/publish.yaml': [
        'tool_id: publish',
        'tool_type: runtime',
        'version: "1.0.0"',
        'description: Writes a page.',
        'executor_id: write_file',
        'approval: required',
        '',
      ].join('\n'),
    },
    scenario: ({ turn }) =>
      turn === 1 ? executes(['publish', { path: 'site/a.txt', content: 'one\n2\nthree\n' }]) : says('Done.'),
  })
  mkdirSync(join(shop.projectPath, 'site'))
  writeFileSync(join(shop.projectPath, 'site/a.txt'), 'one\ntwo\nthree\n')
  assert.equal((await shop.kernel.sign({ item_type: 'tool', item_id: 'publish' })).success, true)
  const { thread_id: id } = await shop.run('work')
  const { subject } = await question(shop, id)
  assert.deepEqual(
    [subject['path'], subject['diff']],
    ['site/a.txt', '--- a/site/a.txt\n+++ b/site/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n'],
  )
})

test('the operator runs a marked tool without being asked', async (t) => {
  const shop = await openWorkshop(t, ASKS)
  const result = await shop.call('deploy', { target: 'mine' })
  assert.deepEqual([result.success, runs(shop)], [true, [{ target: 'mine' }]])
})
