import assert from 'node:assert/strict'
import test from 'node:test'
import type { Next, Receive } from '../../../src/threads/engine.ts'
import { answer, ask, asking, setClock, told } from '../asking.ts'
import { bench, DONE, ENGINES, poll, request, runner, signal } from '../fixture.ts'

/** What every engine does with the questions of a thread. */
for (const kind of ENGINES) {
  const title = (text: string): string => `${kind}: ${text}`

  test(title('a question is put in the transaction that makes the thread wait, and its answer reaches the thread'), async (t) => {
    const received: unknown[] = []
    const asker = asking()
    const listening: Receive = (state, got) => (received.push(got), asker.receive(state, got))
    const script = { ...asker, receive: listening }
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'waiting')
    const row = client.approvals.get('q_a')
    assert.deepEqual([row.status, row.thread_id, row.directive_id, row.answer], ['pending', 'a', 'work', null])
    const answered = await client.approvals.answer('q_a', answer({ facts: { signed: 'x', decision: 'deny' } }))
    assert.deepEqual([answered.status, answered.answer], ['approved', answer({ facts: { signed: 'x', decision: 'deny' } })])
    await until('a', 'completed')
    const body = {
      signed: 'x',
      approval_id: 'q_a',
      kind: 'tool',
      decision: 'approve_once',
      reason: 'Looks right.',
      by: { kind: 'operator', door: 'cli' },
    }
    assert.deepEqual(received, [{ id: 'approval:q_a', kind: 'approval', body }])
    assert.deepEqual(told(client, 'a'), [
      {
        event_type: 'approval_requested',
        payload: { approval_id: 'q_a', kind: 'tool', title: 'Delete build/', expires_at: '2100-01-01T00:00:00.000Z' },
      },
      {
        event_type: 'intervention',
        payload: {
          action: 'approval',
          by: { kind: 'operator', door: 'cli' },
          reason: 'Looks right.',
          signal_id: 'approval:q_a',
          approval_id: 'q_a',
          decision: 'approve_once',
        },
      },
    ])
  })

  test(title('a question that is put again is the same row and the same event'), async (t) => {
    const script = runner(async (context, state) => {
      await context.step('ask', { effect: 'pure', timeoutMs: 1_000 }, async () => ({
        value: 1,
        commit: { approvals: [ask('q', { title: 'First' })] },
      }))
      context.record({ approvals: [ask('q', { title: 'Second' })] })
      return [state, { do: 'wait', reason: 'approval' }]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'waiting')
    assert.deepEqual(
      [client.approvals.list().map(({ title: text }) => text), told(client, 'a').map(({ event_type: type }) => type)],
      [['First'], ['approval_requested']],
    )
  })

  test(title('a thread cannot wait for the question of another'), async (t) => {
    const script = runner(async (context, state) => {
      context.record({ approvals: [ask('shared')] })
      return [state, { do: 'wait', reason: 'approval' }]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'waiting')
    await client.spawn(request('b'))
    assert.equal((await until('b', 'error')).end_reason, 'internal')
    assert.deepEqual(
      client.approvals.list().map(({ thread_id: id }) => id),
      ['a'],
    )
  })

  test(title('a question that nobody answered is closed once, and one that was answered meanwhile is left alone'), async (t) => {
    const clock = setClock()
    const expiresAtMs = clock.nowMs + 1_000
    const script = runner(async (context, state) => {
      const close = ['old', 'answered'].map((approvalId) => ({ do: 'close', approvalId, as: 'expired' }) as const)
      if (context.turn > 1) context.record({ approvals: [...close, ...close] })
      else context.record({ approvals: [ask('old', { expiresAtMs }), ask('answered', { expiresAtMs })] })
      const wait: Next = { do: 'wait', reason: 'disk_full' }
      return [state, context.turn > 1 ? DONE : wait]
    })
    const { client, until } = bench(t, script, { kind, clock })
    await client.spawn(request('a'))
    await until('a', 'waiting')
    await client.approvals.answer('answered', answer({ decision: 'deny' }))
    clock.nowMs = expiresAtMs
    await client.signal('a', signal('resume'))
    await until('a', 'completed')
    assert.deepEqual(
      client.approvals.list({ thread_id: 'a' }).map(({ approval_id: id, status }) => [id, status]),
      [
        ['answered', 'denied'],
        ['old', 'expired'],
      ],
    )
    const closed = told(client, 'a').filter(({ event_type: type }) => /^approval_(expired|cancelled)$/.test(type))
    assert.deepEqual(closed, [{ event_type: 'approval_expired', payload: { approval_id: 'old' } }])
  })

  test(title('a commit that fails takes its questions back'), async (t) => {
    const script = runner(async (context, state) => {
      await context.step('bad', { effect: 'pure', timeoutMs: 1_000 }, async () => ({
        value: 1,
        // The event refers to a message that is not there.
        commit: { approvals: [ask('q')], events: [{ type: 'x', payload: {}, message: 3 }] },
      }))
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'error')
    assert.deepEqual(client.approvals.list(), [])
    assert.deepEqual(
      client.events('a').map(({ seq }) => seq),
      client.events('a').map((_, index) => index + 1),
    )
  })

  test(title('the end of a thread settles its open questions before its last status'), async (t) => {
    const script = runner(async (context, state) => {
      context.record({ approvals: [ask('one'), ask('two')] })
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'completed')
    assert.deepEqual(
      client.approvals.list().map(({ status }) => status),
      ['cancelled', 'cancelled'],
    )
    assert.deepEqual(
      client
        .events('a')
        .slice(-3)
        .map(({ event_type: type, payload }) => [type, payload['approval_id'] ?? payload['status']]),
      [
        ['approval_cancelled', 'one'],
        ['approval_cancelled', 'two'],
        ['status', 'completed'],
      ],
    )
    await assert.rejects(client.approvals.answer('one', answer()), { code: 'APPROVAL_CLOSED' })
  })

  test(title('a cancel settles the open questions of the thread and of all below it, once each'), async (t) => {
    const { client, until } = bench(t, asking(), { kind })
    await client.spawn(request('root'))
    await client.spawn(request('mid', { parentThreadId: 'root' }))
    await client.spawn(request('leaf', { parentThreadId: 'mid' }))
    const ids = ['root', 'mid', 'leaf']
    for (const id of ids) await until(id, 'waiting')
    await client.signal('root', signal('cancel'))
    const settled = client.approvals.list().map(({ status }) => status)
    for (const id of ids) await until(id, 'cancelled')
    assert.deepEqual(settled, ['cancelled', 'cancelled', 'cancelled'])
    for (const id of ids)
      assert.deepEqual(
        told(client, id).map(({ event_type: type }) => type),
        ['approval_requested', 'intervention', 'approval_cancelled'],
      )
  })

  test(title('the end of a parent settles the open questions of the children that it takes with it'), async (t) => {
    const gate = Promise.withResolvers<void>()
    const script = runner(async (context, state) => {
      if (context.threadId !== 'root') return asking().runTurn(context, state)
      await gate.promise
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('root'))
    await client.spawn(request('child', { parentThreadId: 'root' }))
    await until('child', 'waiting')
    gate.resolve()
    await until('child', 'cancelled')
    assert.equal(client.approvals.get('q_child').status, 'cancelled')
    const [, intervention] = told(client, 'child')
    assert.deepEqual(intervention?.payload, {
      action: 'cancel',
      by: { kind: 'thread', thread_id: 'root', token: null },
      reason: 'parent_ended',
      signal_id: 'orphaned:root:below:root',
      mode: 'now',
      because_of: 'root',
    })
  })

  test(title('the money of an answer is there when the thread goes on'), async (t) => {
    const script = runner(async (context, state) => {
      const options = { effect: 'idempotent', timeoutMs: 1_000, reserveNano: 50 } as const
      const outcome = await context.step('model', options, async () => ({ value: 1, commit: { settleNano: 50 } }))
      if (outcome.kind !== 'refused') return [state, DONE]
      context.record({ approvals: [ask('money', { kind: 'budget' })] })
      return [state, { do: 'wait', reason: 'approval' }]
    })
    const { client, until, store } = bench(t, script, { kind })
    await client.spawn(request('root', { grantedNano: 1_000_000_000 }))
    await until('root', 'completed', 'waiting')
    await client.spawn(request('a', { grantedNano: 10 }))
    await until('a', 'waiting')
    await client.approvals.answer('money', answer({ facts: { add_usd: 0.5 } }))
    await until('a', 'completed')
    assert.equal(store.statement("SELECT granted_nano FROM ledger WHERE thread_id = 'a'").get()?.['granted_nano'], 500_000_010)
  })

  test(title('interventions and the turns of the same thread, mixed, leave no gap in its events'), async (t) => {
    const script = runner(async (context, state) => {
      for (let n = 0; n < 3; n += 1)
        await context.step(`s${n}`, { effect: 'pure', timeoutMs: 1_000 }, async () => ({
          value: n,
          commit: { events: [{ type: 'worked', payload: { n } }] },
        }))
      return [state, context.history().length >= 100 ? DONE : { do: 'turn' }]
    })
    const { client, until, problems } = bench(t, script, { kind })
    await client.spawn(request('a', { grantedNano: 1 }))
    await until('a', 'running')
    for (let n = 0; n < 100; n += 1) {
      await client.signal('a', signal('budget', { add_usd_nano: 1 }, `b${n}`))
      await client.signal('a', signal('inject', { content: `message ${n}` }, `i${n}`))
    }
    await until('a', 'completed')
    const events = client.events('a')
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_, index) => index + 1),
    )
    assert.equal(events.filter(({ event_type: type }) => type === 'intervention').length, 200)
    assert.deepEqual(problems, [])
  })

  test(title('an answer that comes while the question is being put ends the wait'), async (t) => {
    const script = runner(async (context, state) => {
      if (context.turn > 1) return [state, DONE]
      await context.step('ask', { effect: 'pure', timeoutMs: 10_000 }, async () => ({
        value: 1,
        commit: { approvals: [ask('q')] },
      }))
      await context.step('answer', { effect: 'pure', timeoutMs: 10_000 }, async () => {
        await poll(
          () => client.approvals.list(),
          (rows) => rows.length === 1,
        )
        await client.approvals.answer('q', answer())
        return { value: 1 }
      })
      return [state, { do: 'wait', reason: 'approval' }]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    assert.equal((await until('a', 'completed')).turn, 2)
  })
}
