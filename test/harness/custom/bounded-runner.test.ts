import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ScenarioFunction } from '../../../src/scripted-model/scenario.ts'
import { done, harnessSource, openHarnessProject } from './harness-project.ts'

/** Adds for ever. */
const adds: ScenarioFunction = ({ turn }) => ({ reply: { tool_calls: [{ name: 'add', arguments: { a: turn, b: 1 } }] } })
/** Adds until it has answered so often. */
const addsUntil =
  (last: number): ScenarioFunction =>
  (conversation, request) =>
    conversation.turn > last ? { reply: { text: 'Done.' } } : adds(conversation, request)

test('the host ends a thread by its turns, whatever its harness thinks of limits', async (t) => {
  const at = await openHarnessProject(t, adds)
  await at.install('endless', harnessSource("return [state, { do: 'turn' }]"))
  const row = await at.end(await at.spawn('a', { harness: 'endless', cost: { max_turns: 3, on_exceeded: 'stop' } }))
  assert.deepEqual([row.status, row.end_reason, row.turn], ['error', 'max_turns', 3])
  assert.deepEqual(row.result, { message: 'max_turns is reached: 3 of 3.', limit: 'max_turns', used: 3, max: 3 })
})

test('tokens and reported money end a thread after the turn that used them up', async (t) => {
  const at = await openHarnessProject(t, adds)
  await at.install('spender', harnessSource("ctx.record({ usage: { cost_nano: 600_000_000 } }); return [state, { do: 'turn' }]"))
  const tokens = await at.end(await at.spawn('a', { cost: { max_turns: 9, on_exceeded: 'stop', max_output_tokens: 1 } }))
  assert.deepEqual([tokens.end_reason, tokens.turn], ['max_tokens', 1])
  const cost = { max_turns: 9, on_exceeded: 'stop', max_cost_usd: 1 }
  const money = await at.end(await at.spawn('b', { harness: 'spender', cost }))
  assert.deepEqual([money.end_reason, money.turn], ['cost_exceeded', 2])
})

test('a step is stopped when the time of the thread is over', async (t) => {
  const at = await openHarnessProject(t, () => ({ fault: { kind: 'slow_first_byte', delay_ms: 60_000 } }))
  const row = await at.end(await at.spawn('a', { cost: { max_turns: 9, on_exceeded: 'stop', max_duration_seconds: 0.5 } }))
  assert.equal(row.end_reason, 'max_duration')
})

test('tool calls beyond max_tool_calls are answered and not run', async (t) => {
  const at = await openHarnessProject(t, addsUntil(3))
  const row = await at.end(await at.spawn('a', { cost: { max_turns: 9, on_exceeded: 'stop', max_tool_calls: 2 } }))
  assert.deepEqual([row.status, row.total_usage['tool_calls']], ['completed', 2])
  const results = at.threads.messages('a').filter(({ role }) => role === 'tool_result')
  assert.match(JSON.stringify(results.at(-1)), /max_tool_calls of this thread is reached/)
})

test('limits that only warn are told once and end nothing', async (t) => {
  const at = await openHarnessProject(t, addsUntil(4))
  const row = await at.end(await at.spawn('a', { cost: { max_turns: 2, on_exceeded: 'warn' } }))
  assert.deepEqual([row.status, row.turn], ['completed', 5])
  const warnings = at.threads.events('a', { type: 'status' }).filter(({ payload }) => payload['action'] === 'warn')
  assert.equal(warnings.length, 1)
})

test('a limit that escalates is a question, and a yes lets the thread go on with more', async (t) => {
  const at = await openHarnessProject(t, addsUntil(3))
  const id = await at.spawn('a', { cost: { max_turns: 2, on_exceeded: 'escalate' } })
  const waiting = await at.end(id)
  assert.deepEqual([waiting.status, waiting.wait_reason, waiting.turn], ['waiting', 'budget_reached', 2])
  const [question] = at.threads.approvals.list({ thread_id: id })
  assert.ok(question !== undefined)
  const by = { kind: 'operator', door: 'test' } as const
  const facts = { add_turns: 5 }
  await at.threads.approvals.answer(question.approval_id, { decision: 'approve_once', reason: '', by, facts })
  await at.until('it goes on', () => at.threads.get(id).status !== 'waiting')
  const row = await at.end(id)
  assert.deepEqual([row.status, row.turn], ['completed', 4])
})

test('a raised budget reaches the harness: it sees its limits as they are now', async (t) => {
  const at = await openHarnessProject(t, adds)
  const told = done("(ctx.start.options['cost'] as { max_turns: number }).max_turns")
  const body = `if (ctx.history().length === 0) return [state, { do: 'wait', reason: 'escalated' }]; ${told}`
  await at.install('asks', harnessSource(body))
  const id = await at.spawn('a', { harness: 'asks', cost: { max_turns: 4, on_exceeded: 'stop' } })
  await at.until('it waits', () => at.threads.get(id).status === 'waiting')
  await at.threads.signal(id, { id: 'more', kind: 'budget', body: { add_turns: 3, message: 'You may take longer.' } })
  assert.equal((await at.end(id)).result, 7)
})

test('a thread that a limit has ended is retried with its conversation', async (t) => {
  const at = await openHarnessProject(t, (conversation, request) => {
    const { lastUserText, turn } = conversation
    return lastUserText.includes('again') ? { reply: { text: `Answer ${turn}.` } } : adds(conversation, request)
  })
  await at.end(await at.spawn('a', { cost: { max_turns: 2, on_exceeded: 'stop' } }))
  const retried = await at.execute('retry_thread', { thread_id: 'a', message: 'Try again, and answer.' })
  assert.equal(retried.success, true, JSON.stringify(retried))
  const row = await at.end('a_r1')
  assert.deepEqual([row.status, row.result, row.chain_id], ['completed', { text: 'Answer 3.' }, 'a'])
})

test('what a harness throws, and what is no answer, ends its thread with its name and reason', async (t) => {
  const at = await openHarnessProject(t, adds)
  await at.install('throws', harnessSource("throw new Error('I have no plan')"))
  await at.install('unborn', harnessSource(done('null'), "{ throw new Error('no state') }"))
  await at.install('mute', harnessSource('return undefined as never'))
  const endings = {
    throws: /^The harness throws failed in turn 1: I have no plan$/,
    unborn: /^The harness unborn failed in init: no state$/,
    mute: /^The harness mute failed in turn 1: runTurn must resolve with \[state, next\]\.$/,
  }
  for (const [harness, message] of Object.entries(endings)) {
    const row = await at.end(await at.spawn(`thread_${harness}`, { harness }))
    assert.deepEqual([row.status, row.end_reason], ['error', 'internal'])
    assert.match((row.result as { readonly error: { readonly message: string } }).error.message, message)
  }
})

test('a file that makes no runner ends its threads as spawn_failed', async (t) => {
  const at = await openHarnessProject(t, adds)
  const source = harnessSource(done('null'))
  await at.install('empty', source.replace(/export default[^]*/, 'export default () => ({})\n'))
  const row = await at.end(await at.spawn('a', { harness: 'empty' }))
  assert.deepEqual([row.status, row.end_reason], ['error', 'spawn_failed'])
  assert.match(JSON.stringify(row.result), /has no function init/)
})

test('a harness that was changed and signed again is the one that the next thread runs, in the same host', async (t) => {
  const at = await openHarnessProject(t, adds)
  await at.install('edited', harnessSource(done("'first'")))
  assert.equal((await at.end(await at.spawn('a', { harness: 'edited' }))).result, 'first')
  await at.install('edited', harnessSource(done("'second'")))
  assert.equal((await at.end(await at.spawn('b', { harness: 'edited' }))).result, 'second')
})

test('a harness has the environment of the shell that spawned its thread, and no secret of it gets out', async (t) => {
  const at = await openHarnessProject(t, adds, { PLAIN_NAME: 'kiwi', SERVICE_TOKEN: 'tok-0123456789abcdef' })
  const body = done("[host.env('PLAIN_NAME', ctx.threadId), host.env('SERVICE_TOKEN', ctx.threadId), Object.keys(host)]")
  await at.install('curious', harnessSource(body))
  const { result } = await at.end(await at.spawn('a', { harness: 'curious' }))
  const [plain, secret, given] = result as readonly [string, string, readonly string[]]
  assert.equal(plain, 'kiwi')
  assert.match(secret, /SERVICE_TOKEN/)
  assert.doesNotMatch(secret, /tok-/)
  assert.deepEqual(given.toSorted(), ['env', 'kernel', 'resolveModel', 'threads'])
})
