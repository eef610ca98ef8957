import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainThread } from '../../../../src/harness/safety/why/explain-thread.ts'
import { asksForHelp, decides, finish, guarded, hook, hookThreads, openGuarded } from '../hooks/hooked.ts'
import { directive, executes, openWorkshop, runtimeTool, says, USAGE } from '../workshop.ts'

const FAILS = runtimeTool("throw new Error('the build is broken')")
const BY = { kind: 'operator', door: 'cli' }

test('a cancelled thread says who cancelled it, and why', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    scenario: () => asksForHelp('escalate', 'Which?'),
  })
  const { thread_id: id } = await shop.run('work')
  await shop.threads.signal(id, { id: 'c1', kind: 'cancel', body: { mode: 'graceful', by: BY, reason: 'Enough of it.' } })
  await shop.until(id, 'cancelled')
  const why = explainThread(shop.threads, id)
  assert.equal(why.verdict, 'It was cancelled by the operator (cli): Enough of it.')
  assert.deepEqual(
    why.interventions.map(({ action, reason }) => [action, reason]),
    [['cancel', 'Enough of it.']],
  )
})

test('a paused thread says who paused it', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    scenario: () => asksForHelp('escalate', 'Which?'),
  })
  const { thread_id: id } = await shop.run('work')
  await shop.threads.signal(id, { id: 'p1', kind: 'pause', body: { by: BY } })
  await shop.until(id, 'paused')
  assert.equal(explainThread(shop.threads, id).verdict, 'It is paused by the operator (cli).')
})

test('a thread that its hook ended names the hook, what it was asked and what it said', async (t) => {
  const shop = await openGuarded(t, hook('event.code == "tool_failed"'), {
    tools: { build: FAILS },
    scenario: guarded(
      () => executes(['build', {}]),
      () => decides('fail', 'The build cannot be repaired.'),
    ),
  })
  const { thread_id: id } = await finish(shop)
  const [child] = hookThreads(shop, id)
  const why = explainThread(shop.threads, id)
  const said = `The hook guard (thread ${child?.thread_id}) said fail about on_error (tool_failed).`
  assert.ok(why.verdict.endsWith(said), why.verdict)
  assert.deepEqual(
    why.hooks.map(({ directive: name, answer }) => [name, answer]),
    [['guard', 'fail']],
  )
})

test('a thread whose hook gave no answer goes on, and the hook is told without ending anything', async (t) => {
  const shop = await openGuarded(t, hook('event.code == "tool_failed"'), {
    tools: { build: FAILS },
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['build', {}]) : says('Done.')),
      ({ turn }) => executes(['read_file', { path: `${turn}.txt` }]),
    ),
  })
  const { thread_id: id } = await finish(shop)
  const { verdict, hooks } = explainThread(shop.threads, id)
  assert.equal(verdict, 'It completed.')
  assert.deepEqual(
    hooks.map(({ answer, outcome }) => [answer, outcome]),
    [['failed', 'went_on']],
  )
})

test('a thread that waits for a hook names it', async (t) => {
  const shop = await openGuarded(t, hook('event.code == "tool_failed"'), {
    tools: { build: FAILS },
    scenario: guarded(
      () => executes(['build', {}]),
      () => asksForHelp('escalate', 'May I?'),
    ),
  })
  const id = await shop.spawn('work')
  await shop.until(id, 'waiting')
  const [child] = hookThreads(shop, id)
  assert.equal(
    explainThread(shop.threads, id).verdict,
    `It waits for the hook guard on thread ${child?.thread_id}, which was asked about on_error (tool_failed).`,
  )
})

test('a thread whose checks failed says what they found, without those that passed', async (t) => {
  const checks = '<check type="file" path="a.txt"/><check type="file" path="b.txt"/>'
  const work = directive('work', undefined, `<success_criteria>${checks}</success_criteria>`)
  const shop = await openWorkshop(t, { directives: { work }, files: { 'a.txt': 'a' }, scenario: () => says('Both are there.') })
  const { thread_id: id } = await shop.run('work')
  const why = explainThread(shop.threads, id)
  assert.match(why.verdict, /^It ended with check_failed: .* check-2: it does not exist\.$/u)
  assert.deepEqual(
    why.checks.map(({ check }) => check),
    ['check-2'],
  )
})

test('a thread that could not hand its work on says why it ended with a full context', async (t) => {
  const cost =
    '<max_turns>40</max_turns><on_exceeded>stop</on_exceeded><max_context_tokens>1000</max_context_tokens><on_context_full>handoff</on_context_full>'
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', cost) },
    files: { 'a.txt': 'one\n'.repeat(200) },
    scenario: ({ turn }) => {
      const { reply } = executes(['read_file', { path: 'a.txt', offset_line: turn }])
      return { reply: { ...reply, usage: { ...USAGE, input: turn < 4 ? 850 : 1_100 } } }
    },
  })
  const { thread_id: id } = await shop.run('work')
  const why = explainThread(shop.threads, id)
  assert.match(why.verdict, /^It ended with context_exceeded.* It could not hand its work on: The model called tools instead\.$/u)
  assert.deepEqual(
    why.handoffs.map(({ action }) => action),
    ['asked', 'given_up'],
  )
})
