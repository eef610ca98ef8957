import assert from 'node:assert/strict'
import { test } from 'node:test'
import { receive } from '../../../../src/harness/safety/turn/signals.ts'
import { dataOf, elapsedSeconds, freshState, tick, withData } from '../../../../src/harness/safety/turn/state.ts'

test('an injected user message joins the conversation with its event', () => {
  const { state, commit } = receive(freshState(), { id: '1', kind: 'inject', body: { role: 'user', content: 'Hello' } })
  assert.deepEqual(state, freshState())
  assert.deepEqual(commit?.messages, [{ role: 'user', content: { role: 'user', content: 'Hello' } }])
  assert.deepEqual(commit?.events, [
    { type: 'injected_message', payload: { role: 'user' }, message: 0, transcript: { content: 'Hello' } },
  ])
})

test('an injected system message is stored as a system note', () => {
  const { commit } = receive(freshState(), { id: '1', kind: 'inject', body: { role: 'system', content: 'Stop early' } })
  assert.equal(commit?.messages?.[0]?.role, 'system_note')
  assert.equal(commit?.events?.[0]?.payload['role'], 'system')
})

test('a pause is undone by a resume, whose message is injected', () => {
  const paused = receive(freshState(), { id: '1', kind: 'pause', body: { reason: 'lunch' } })
  assert.equal(paused.state.paused, true)
  const resumed = receive(paused.state, { id: '2', kind: 'resume', body: { inject_message: 'Go on' } })
  assert.equal(resumed.state.paused, false)
  assert.deepEqual(resumed.commit?.messages?.[0]?.content, { role: 'user', content: 'Go on' })
})

test('a resume adds to the limits and lets each of them warn again', () => {
  const warned = withData(freshState(), { warned: ['max_turns'] })
  const { state } = receive(warned, {
    id: '1',
    kind: 'resume',
    body: { add_turns: 3, add_usd: 0.5, add_seconds: 60, add_tokens: 10, add_tool_calls: 2 },
  })
  assert.deepEqual(dataOf(state).added, { turns: 3, tokens: 10, toolCalls: 2, seconds: 60, nano: 500_000_000 })
  assert.deepEqual(dataOf(state).warned, [])
})

test('an amount that is no positive number adds nothing', () => {
  const { state } = receive(freshState(), { id: '1', kind: 'budget', body: { add_turns: -5, add_usd: 'lots', add_tokens: null } })
  assert.deepEqual(dataOf(state).added, dataOf(freshState()).added)
})

test('a cancel is remembered for the next turn', () => {
  const { state } = receive(freshState(), { id: '1', kind: 'cancel', body: { mode: 'graceful' } })
  assert.equal(dataOf(state).cancelled, true)
})

test('receiving changes nothing of the state it was given', () => {
  const state = Object.freeze({ ...freshState(), data: Object.freeze({ ...freshState().data }) })
  receive(state, { id: '1', kind: 'resume', body: { add_turns: 1 } })
  assert.deepEqual(state, freshState())
})

test('the time of a pause does not count against the duration', () => {
  const running = withData(freshState(), { clock: tick(dataOf(freshState()).clock, 10_000) })
  const later = withData(running, { clock: tick(dataOf(running).clock, 15_000) })
  const paused = receive(later, { id: '1', kind: 'pause', body: {} }).state
  assert.equal(elapsedSeconds(tick(dataOf(paused).clock, 900_000)), 5)
})

test('a question that was answered stays with its answer when the thread is resumed before it has read it', () => {
  const question = { kind: 'loop', wait: 'loop_detected', title: 'Go on?', subject: {} } as const
  const refused = { kind: 'end', endReason: 'cancelled', failure: { message: 'It loops.' } } as const
  const pending = { kind: 'question', approvalId: 'loop_1', question, refused, untilMs: 1 } as const
  const asked = withData(freshState(), { pending })
  const denied = receive(asked, { id: '1', kind: 'approval', body: { approval_id: 'loop_1', decision: 'deny', reason: 'Stop.' } })
  const resumed = receive(denied.state, { id: '2', kind: 'resume', body: {} })
  assert.deepEqual([dataOf(resumed.state).pending, dataOf(resumed.state).answers['loop_1']?.decision], [pending, 'deny'])
  assert.equal(dataOf(receive(asked, { id: '2', kind: 'resume', body: {} }).state).pending, null)
})
