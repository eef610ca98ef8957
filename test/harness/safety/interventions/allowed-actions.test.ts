import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Capabilities } from '../../../../src/capabilities/contract.ts'
import { actionsOf, allowedActions } from '../../../../src/harness/safety/interventions/allowed-actions.ts'
import type { Target } from '../../../../src/harness/safety/interventions/allowed-actions.ts'
import type { Caller } from '../../../../src/harness/safety/interventions/caller.ts'
import { directive, executes, openWorkshop, says } from '../workshop.ts'

const LIVE = ['read', 'inject', 'cancel', 'raise_budget', 'add_sink', 'fork']

function target(facts: Partial<Target>): Target {
  const none = { isPausing: false, isCancelling: false, hasOpenQuestion: false, isHandedOn: false }
  return { status: 'running', waitReason: null, ...none, ...facts }
}

for (const { title, facts, actions } of [
  { title: 'that spawns', facts: { status: 'spawning' }, actions: [...LIVE, 'pause'] },
  { title: 'that runs', facts: {}, actions: [...LIVE, 'pause'] },
  { title: 'whose pause is on its way', facts: { isPausing: true }, actions: [...LIVE, 'resume'] },
  { title: 'that is being cancelled', facts: { isCancelling: true }, actions: ['read', 'cancel', 'fork'] },
  { title: 'that is paused', facts: { status: 'paused' }, actions: [...LIVE, 'resume'] },
  { title: 'that waits for children', facts: { status: 'waiting', waitReason: 'children' }, actions: [...LIVE, 'pause'] },
  {
    title: 'that waits for an answer',
    facts: { status: 'waiting', waitReason: 'approval', hasOpenQuestion: true },
    actions: [...LIVE, 'answer', 'pause', 'resume'],
  },
  { title: 'that has ended', facts: { status: 'error' }, actions: ['read', 'retry', 'fork'] },
  { title: 'whose work goes on elsewhere', facts: { status: 'completed', isHandedOn: true }, actions: ['read', 'fork'] },
] as const) {
  test(`the actions on a thread ${title}`, () => {
    assert.deepEqual([...actionsOf(target(facts))], actions)
  })
}

function threadWith(threadId: string, capabilities: Capabilities): Caller {
  return { kind: 'thread', threadId, by: { kind: 'thread', thread_id: threadId, token: null }, capabilities }
}

test('what a thread may do to another follows from where that stands and from its own token', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent'), child: directive('child') },
    scenario: ({ firstUserText, turn }) =>
      firstUserText.includes('<directive name="child"') || turn > 1
        ? says('Done.')
        : executes(['thread_directive', { directive_name: 'child' }]),
  })
  const parent = await shop.until(await shop.spawn('parent'), 'completed')
  const [child] = shop.threads.list({ parent_thread_id: parent.thread_id })
  assert.ok(child !== undefined)
  const row = await shop.until(child.thread_id, 'completed', 'cancelled')
  const orchestrate = { 'thread.orchestrate': true, 'tool.execute': ['retry_thread'] } as const
  const allowed = (of: typeof row, caller: Caller): readonly string[] => allowedActions(shop.threads, of, caller)
  assert.deepEqual(allowed(row, threadWith(parent.thread_id, orchestrate)), ['read', 'retry'])
  assert.deepEqual(allowed(row, threadWith(parent.thread_id, {})), [])
  assert.deepEqual(allowed(row, threadWith(row.thread_id, orchestrate)), ['read'])
  assert.deepEqual(allowed(parent, threadWith(row.thread_id, orchestrate)), [])
  assert.deepEqual(allowed(parent, threadWith(row.thread_id, { 'registry.read': true })), ['read'])
  assert.deepEqual(allowed(parent, { kind: 'operator', by: { kind: 'operator', door: 'cli' } }), ['read', 'retry', 'fork'])
})
