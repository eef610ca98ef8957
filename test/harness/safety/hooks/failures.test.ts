import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ScenarioFunction } from '../../../../src/scripted-model/scenario.ts'
import { directive, executes, runtimeTool, says } from '../workshop.ts'
import { asksForHelp, decides, finish, guard, guarded, hook, hookEvents, hookThreads, openGuarded, withHooks } from './hooked.ts'

const FAILS = runtimeTool("throw new Error('the build is broken')")
const ON_FAILURE = hook('event.code == "tool_failed"')
const ON_LIMIT = hook('event.name == "on_limit"')
const NO_SPAWNS = '<max_turns>1</max_turns><on_exceeded>stop</on_exceeded><max_spawns>0</max_spawns>'
/** It never comes to an answer: each turn calls a tool until its turns are used up. */
const LOST_GUARD: ScenarioFunction = ({ turn }) => executes(['read_file', { path: `${turn}.txt` }])
const FAILING_WORK: ScenarioFunction = ({ turn }) => (turn === 1 ? executes(['build', {}]) : says('Done.'))
const DENIED = '<execute resource="kiwi-mcp" action="execute"/>'

test('a hook on a failed tool that ends without an answer is passed over', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    scenario: guarded(FAILING_WORK, LOST_GUARD),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done')
  const { type, reason, outcome } = hookEvents(shop, row.thread_id).at(-1) ?? {}
  assert.deepEqual([type, reason, outcome], ['hook_failed', 'guard ended with max_turns.', 'went_on'])
})

test('a hook on a failed tool that cannot be spawned is passed over', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    cost: NO_SPAWNS.replace('<max_turns>1<', '<max_turns>9<'),
    tools: { build: FAILS },
    scenario: FAILING_WORK,
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done')
  assert.deepEqual(hookThreads(shop, row.thread_id), [])
  assert.match(String(hookEvents(shop, row.thread_id)[0]?.['reason']), /max_spawns/)
})

test('threat row 48: a hook on a limit that cannot be spawned ends the thread with that limit', async (t) => {
  // Guard: `isGuard` in obey.ts. Without it the failing hook would be passed over, here with a question to a person.
  const shop = await openGuarded(t, ON_LIMIT, {
    cost: NO_SPAWNS.replace('stop', 'escalate'),
    files: { 'a.txt': 'a' },
    scenario: ({ turn }) => (turn === 1 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'max_turns')
  assert.match(JSON.stringify(row.result), /The hook for it failed: .*max_spawns/)
  assert.equal(shop.threads.approvals.list({ thread_id: row.thread_id }).length, 0)
})

test('a hook on a denied permission that gives no answer ends the thread', async (t) => {
  const shop = await openGuarded(t, hook('event.code == "permission_denied"'), {
    permissions: DENIED,
    scenario: guarded(({ turn }) => (turn === 1 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')), LOST_GUARD),
  })
  const row = await finish(shop)
  assert.deepEqual([row.end_reason, hookEvents(shop, row.thread_id).at(-1)?.['outcome']], ['permission_denied', 'ended'])
})

test('a hook that takes too long is cancelled, and the thread goes on without it', async (t) => {
  const shop = await openGuarded(t, ON_FAILURE, {
    tools: { build: FAILS },
    directives: {
      guard: guard(
        'guard',
        '<max_turns>3</max_turns><on_exceeded>stop</on_exceeded><max_duration_seconds>1</max_duration_seconds>',
      ),
    },
    // It waits for a person, which is not counted against its own duration.
    scenario: guarded(FAILING_WORK, () => asksForHelp('escalate', 'Who knows?')),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done')
  assert.equal(hookEvents(shop, row.thread_id).at(-1)?.['reason'], 'guard gave no answer in time.')
  const [child] = hookThreads(shop, row.thread_id)
  assert.equal((await shop.until(child?.thread_id ?? '', 'cancelled')).end_reason, 'cancelled')
})

test('threat row 48: a thread that runs as a hook fires no hooks', async (t) => {
  // Guard: `isHookThread` in `hooksOf` of directive-step.ts. Without it each hook would start another, down to the depth that is allowed.
  const shop = await openGuarded(t, ON_FAILURE, {
    cost: '<max_turns>9</max_turns><on_exceeded>stop</on_exceeded><max_depth>3</max_depth>',
    tools: { build: FAILS },
    directives: { guard: withHooks(guard(), hook('event.name == "before_step" or event.name == "on_error"')) },
    scenario: guarded(FAILING_WORK, ({ turn }) => (turn === 1 ? executes(['build', {}]) : decides('skip'))),
  })
  const row = await finish(shop)
  const [child, ...more] = hookThreads(shop, row.thread_id)
  assert.deepEqual([row.end_reason, more.length], ['done', 0])
  assert.deepEqual(hookThreads(shop, child?.thread_id ?? ''), [])
})

test('a hook needs no orchestration, and its thread may do no more than the thread that it is a hook of', async (t) => {
  const read = '<execute resource="tool" id="read_file"/><read resource="filesystem" path="docs/**"/>'
  const shop = await openGuarded(t, hook('event.code == "permission_denied"'), {
    permissions: `${DENIED}${read}`,
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')),
      () => decides('skip'),
    ),
  })
  const row = await finish(shop)
  const [child] = hookThreads(shop, row.thread_id)
  const proof = await shop.proof(child?.thread_id ?? '')
  assert.deepEqual([row.end_reason, proof.proven], ['done', true])
  const { 'fs.read': files, 'fs.write': written, 'tool.execute': tools } = proof.links[0]?.grants?.capabilities ?? {}
  assert.deepEqual([files, written, tools], [['docs/**'], undefined, ['read_file']])
})

test('a directive whose hook names one that is not there is not spawned', async (t) => {
  const shop = await openGuarded(t, hook('event.name == "on_error"', 'nobody'), { scenario: () => says('Never.') })
  await assert.rejects(shop.spawn('work'), /DIRECTIVE_INVALID.*The hook on line \d+ cannot run nobody/s)
})

test('a directive whose hook lacks an input, or has one too many, is not spawned', async (t) => {
  const shop = await openGuarded(t, hook('event.name == "on_error"', 'guard', { what: 'x' }), {
    directives: { guard: guard('guard', undefined, '<inputs><input name="reason" required="true"/></inputs>') },
    scenario: () => says('Never.'),
  })
  await assert.rejects(shop.spawn('work'), /input reason is required.*guard has no input what/s)
})

test('a directive whose hook names a draft is not spawned', async (t) => {
  const draft = directive('guard').replace('<model tier="fast"/>', '')
  const shop = await openGuarded(t, hook('event.name == "on_error"'), {
    directives: { guard: draft },
    scenario: () => says('Never.'),
  })
  await assert.rejects(shop.spawn('work'), /cannot run guard: no `<model>`/)
})
