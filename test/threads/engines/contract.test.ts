import assert from 'node:assert/strict'
import test from 'node:test'
import { KiwiError } from '../../../src/kernel/errors.ts'
import type { Next, StepOutcome } from '../../../src/threads/engine.ts'
import { bench, counting, DONE, ENGINES, poll, receive, request, runner, signal } from '../fixture.ts'

/** The contract of every engine: the same tests over each. */
for (const kind of ENGINES) {
  const title = (text: string): string => `${kind}: ${text}`

  test(title('a spawned thread runs its turns and its row, events and messages agree'), async (t) => {
    const { client } = bench(t, counting(3), { kind })
    const receipt = await client.spawn(request('a'))
    const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
    assert.equal(receipt.status, 'spawned')
    assert.deepEqual(
      [row?.status, row?.end_reason, row?.turn, row?.result, row?.total_usage['output']],
      ['completed', 'done', 3, 'ok', 30],
    )
    assert.deepEqual(
      client.messages('a').map(({ seq, turn }) => [seq, turn]),
      [
        [1, 1],
        [2, 2],
        [3, 3],
      ],
    )
    assert.deepEqual(
      client.events('a').map(({ seq, event_type: type }) => [seq, type]),
      [
        [1, 'status'],
        [2, 'status'],
        [3, 'assistant_message'],
        [4, 'assistant_message'],
        [5, 'assistant_message'],
        [6, 'status'],
      ],
    )
    assert.equal(client.events('a')[2]?.payload['message_seq'], 1)
  })

  test(title('what one turn recorded is the conversation of the next'), async (t) => {
    const seen: unknown[] = []
    const script = runner(async (context, state) => {
      seen.push(context.history().map(({ content }) => content))
      context.record({ messages: [{ role: 'user', content: `end of ${context.turn}` }] })
      await context.step('say', { effect: 'pure', timeoutMs: 1_000 }, async () => ({
        value: 1,
        commit: { messages: [{ role: 'assistant', content: `in ${context.turn}` }] },
      }))
      return [state, context.turn === 2 ? DONE : { do: 'turn' }]
    })
    const { client } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await client.wait(['a'], { timeoutMs: 10_000 })
    assert.deepEqual(seen, [[], ['in 1', 'end of 1']])
    assert.deepEqual(
      client.messages('a').map(({ content }) => content),
      ['in 1', 'end of 1', 'in 2', 'end of 2'],
    )
  })

  test(title('a turn that throws ends the thread with what it threw, and is not tried again'), async (t) => {
    let turns = 0
    const script = runner(() => {
      turns += 1
      throw new KiwiError('EXECUTION_FAILED', 'The tool broke.')
    })
    const { client } = bench(t, script, { kind })
    await client.spawn(request('a'))
    const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
    assert.deepEqual([row?.status, row?.end_reason, turns], ['error', 'internal', 1])
    assert.match(JSON.stringify(row?.result), /EXECUTION_FAILED.*The tool broke/)
    assert.deepEqual(
      client
        .events('a')
        .slice(-2)
        .map(({ event_type: type }) => type),
      ['error', 'status'],
    )
  })

  test(title('a harness that does not exist ends the thread with spawn_failed'), async (t) => {
    const { client } = bench(t, () => Promise.reject(new KiwiError('ITEM_NOT_FOUND', 'No harness "script".')), { kind })
    await client.spawn(request('a'))
    const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
    assert.deepEqual([row?.status, row?.end_reason], ['error', 'spawn_failed'])
  })

  test(title('a step that does not end in its time is aborted, and the turn can go on'), async (t) => {
    const script = runner(async (context, state) => {
      const failure = await context
        .step(
          'slow',
          { effect: 'idempotent', timeoutMs: 20 },
          ({ signal: stop }) => new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason))),
        )
        .catch((error: unknown) => error)
      return [
        state,
        { do: 'done', status: 'completed', endReason: 'done', result: failure instanceof KiwiError ? failure.code : 'none' },
      ]
    })
    const { client } = bench(t, script, { kind })
    await client.spawn(request('a'))
    const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
    assert.equal(row?.result, 'TIMEOUT')
  })

  test(title('a step name that stands twice in a turn is an error'), async (t) => {
    const script = runner(async (context, state) => {
      const once = (): Promise<unknown> => context.step('same', { effect: 'pure', timeoutMs: 1_000 }, async () => ({ value: 1 }))
      await once()
      await once()
      return [state, DONE]
    })
    const { client } = bench(t, script, { kind })
    await client.spawn(request('a'))
    const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
    assert.match(JSON.stringify(row?.result), /stands twice/)
  })

  test(title('pause takes effect at the next turn boundary, and resume goes on from there'), async (t) => {
    const gate = Promise.withResolvers<void>()
    const script = runner(async (context, state) => {
      await context.step('work', { effect: 'idempotent', timeoutMs: 10_000 }, async () => {
        if (context.turn === 1) await gate.promise
        return { value: 1 }
      })
      return [state, context.turn === 2 ? DONE : { do: 'turn' }]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'running')
    await client.signal('a', signal('pause', { reason: 'lunch' }))
    gate.resolve()
    const paused = await until('a', 'paused')
    await client.signal('a', signal('resume'))
    const [row] = await client
      .wait(['a'], { timeoutMs: 10_000 })
      .then(() =>
        poll(
          () => client.get('a'),
          ({ status }) => status === 'completed',
        ),
      )
      .then((done) => [done])
    assert.deepEqual([paused.turn, row?.turn], [1, 2])
  })

  test(title('injected messages enter the conversation in the order they were sent, each once'), async (t) => {
    const gate = Promise.withResolvers<void>()
    const script = runner(async (context, state) => {
      if (context.turn === 1)
        await context.step('hold', { effect: 'pure', timeoutMs: 10_000 }, async () => (await gate.promise, { value: 1 }))
      return [state, context.turn === 2 ? DONE : { do: 'turn' }]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'running')
    await client.signal('a', signal('inject', { content: 'one' }, 'i1'))
    await client.signal('a', signal('inject', { content: 'two' }, 'i2'))
    await client.signal('a', signal('inject', { content: 'one again' }, 'i1'))
    gate.resolve()
    await until('a', 'completed')
    assert.deepEqual(
      client.messages('a').map(({ content }) => content),
      [{ content: 'one' }, { content: 'two' }],
    )
  })

  test(title('cancel aborts the running step, settles its money in full and ends the thread'), async (t) => {
    const begun = Promise.withResolvers<void>()
    const script = runner(async (context, state) => {
      await context.step('model', { effect: 'idempotent', timeoutMs: 60_000, reserveNano: 700 }, ({ signal: stop }) => {
        begun.resolve()
        return new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)))
      })
      return [state, DONE]
    })
    const { client, until, store } = bench(t, script, { kind })
    await client.spawn(request('a', { grantedNano: 1_000 }))
    await begun.promise
    await client.signal('a', signal('cancel', { mode: 'now' }))
    const row = await until('a', 'cancelled')
    assert.deepEqual([row.end_reason, row.total_usage['cost_nano']], ['cancelled', 700])
    assert.deepEqual(
      { ...store.statement('SELECT spent_nano, reserved_nano, closed FROM ledger').get() },
      { spent_nano: 700, reserved_nano: 0, closed: 1 },
    )
    await assert.rejects(client.signal('a', signal('cancel', {}, 'again')), { code: 'ILLEGAL_TRANSITION' })
  })

  test(title('of two cancels that come together the more urgent one counts'), async (t) => {
    const begun = Promise.withResolvers<void>()
    const script = runner(async (context, state) => {
      await context.step('model', { effect: 'idempotent', timeoutMs: 60_000 }, ({ signal: stop }) => {
        begun.resolve()
        return new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)))
      })
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await begun.promise
    const modes = ['now', 'graceful']
    await Promise.all(modes.map((mode) => client.signal('a', signal('cancel', { mode }, mode))))
    assert.equal((await until('a', 'cancelled')).end_reason, 'cancelled')
  })

  test(title('a graceful cancel lets the running step end and begins no other'), async (t) => {
    const begun = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    let second = false
    const script = runner(async (context, state) => {
      await context.step('first', { effect: 'once', timeoutMs: 60_000 }, async () => {
        begun.resolve()
        await gate.promise
        return { value: 1, commit: { messages: [{ role: 'tool_result', content: 'kept' }] } }
      })
      await context.step('second', { effect: 'once', timeoutMs: 60_000 }, async () => ((second = true), { value: 1 }))
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await begun.promise
    await client.signal('a', signal('cancel', { mode: 'graceful' }))
    gate.resolve()
    await until('a', 'cancelled')
    assert.equal(second, false)
    assert.deepEqual(
      client.messages('a').map(({ content }) => content),
      ['kept'],
    )
  })

  test(title('a runner that ignores its abort is left behind, and what it does later is not written'), async (t) => {
    const begun = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const late = Promise.withResolvers<unknown>()
    const script = runner(async (context, state) => {
      begun.resolve()
      await gate.promise
      context.step('late', { effect: 'pure', timeoutMs: 1_000 }, async () => ({ value: 1 })).then(late.resolve, late.resolve)
      return [state, DONE]
    })
    const { client, until, store } = bench(t, script, { kind, cancelGraceMs: 10 })
    await client.spawn(request('a'))
    await begun.promise
    await client.signal('a', signal('cancel'))
    await until('a', 'cancelled')
    gate.resolve()
    assert.ok((await late.promise) instanceof Error)
    assert.equal(store.statement('SELECT COUNT(*) AS n FROM steps').get()?.['n'], 0)
  })

  test(title('a thread that waits takes no turn until the signal that it waits for, and then gets it'), async (t) => {
    const kinds: string[] = []
    const script = runner(async (context, state) => [state, context.turn === 1 ? { do: 'wait', reason: 'approval' } : DONE], {
      receive: (state, received) => {
        kinds.push(received.kind)
        return receive(state, received)
      },
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    const waiting = await until('a', 'waiting')
    await client.signal('a', signal('inject', { content: 'still here?' }))
    await poll(
      () => client.messages('a').length,
      (count) => count === 1,
    )
    assert.equal(client.get('a').status, 'waiting')
    await client.signal('a', signal('approval', { granted: true }))
    const row = await until('a', 'completed')
    assert.deepEqual([waiting.wait_reason, row.wait_reason, row.turn, kinds], ['approval', null, 2, ['inject', 'approval']])
  })

  test(title('a wait with a time ends by its timer'), async (t) => {
    const kinds: string[] = []
    const next = (turn: number, now: number): Next => (turn === 1 ? { do: 'wait', reason: 'timer', untilMs: now + 30 } : DONE)
    const script = runner(async (context, state) => [state, next(context.turn, context.now())], {
      receive: (state, received) => {
        kinds.push(received.kind)
        return { state }
      },
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    const row = await until('a', 'completed')
    assert.deepEqual([row.turn, kinds], [2, ['timer']])
  })

  test(title('a wait whose timer came too early, because the clock was set back, ends by the next one'), async (t) => {
    let [backMs, endMs, timers] = [0, 0, 0]
    const script = runner(
      async (context, state) => {
        if (endMs === 0) endMs = context.now() + 30
        return [state, context.now() < endMs ? { do: 'wait', reason: 'timer', untilMs: endMs, idle: true } : DONE]
      },
      {
        receive: (state) => {
          timers += 1
          backMs = 200
          return { state }
        },
      },
    )
    const { client, until } = bench(t, script, { kind, clock: { now: () => Date.now() - backMs } })
    await client.spawn(request('a'))
    await until('a', 'completed')
    assert.equal(timers, 2)
  })

  test(title('pausing a thread that waits keeps the wait below the pause'), async (t) => {
    const script = runner(async (context, state) => [state, context.turn === 1 ? { do: 'wait', reason: 'approval' } : DONE])
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'waiting')
    await client.signal('a', signal('pause'))
    await until('a', 'paused')
    await client.signal('a', signal('resume'))
    const row = await until('a', 'waiting')
    assert.equal(row.turn, 1)
  })

  test(title('a parent hears of the end of its child with its result, and its wait for children ends'), async (t) => {
    const heard: unknown[] = []
    const script = runner(
      async (context, state) => {
        if (context.threadId === 'child')
          return [state, { do: 'done', status: 'completed', endReason: 'done', result: { answer: 42 } }]
        if (context.turn > 1) return [state, DONE]
        return [state, { do: 'wait', reason: 'children' }]
      },
      { receive: (state, received) => (heard.push(received.body), { state }) },
    )
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('parent'))
    await until('parent', 'waiting')
    await client.spawn(request('child', { parentThreadId: 'parent' }))
    const row = await until('parent', 'completed')
    assert.deepEqual([row.turn, client.get('child').depth, client.get('child').root_thread_id], [2, 1, 'parent'])
    assert.deepEqual(heard, [{ thread_id: 'child', status: 'completed', end_reason: 'done', result: { answer: 42 } }])
  })

  test(title('cancel reaches every descendant, and the children of a thread that ends are cancelled'), async (t) => {
    const script = runner(async (context, state) => {
      await context.step(
        'work',
        { effect: 'idempotent', timeoutMs: 60_000 },
        ({ signal: stop }) => new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason))),
      )
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await client.spawn(request('b', { parentThreadId: 'a' }))
    await client.spawn(request('c', { parentThreadId: 'b' }))
    await until('c', 'running')
    await client.signal('a', signal('cancel'))
    await Promise.all(['a', 'b', 'c'].map((id) => until(id, 'cancelled')))
    await assert.rejects(client.spawn(request('d', { parentThreadId: 'b' })), { code: 'SPAWN_FAILED' })
  })

  test(title('a reservation that does not fit is refused, and nothing of its step runs'), async (t) => {
    const outcomes: StepOutcome<number>[] = []
    let ran = 0
    const script = runner(async (context, state) => {
      const step = (name: string, reserveNano: number): Promise<StepOutcome<number>> =>
        context.step(name, { effect: 'idempotent', timeoutMs: 1_000, reserveNano }, async () => ({
          value: (ran += 1),
          commit: { settleNano: 300 },
        }))
      outcomes.push(await step('fits', 600), await step('too much', 701))
      return [state, { do: 'done', status: 'completed', endReason: 'done', result: { ...context.budget() } }]
    })
    const { client } = bench(t, script, { kind })
    await client.spawn(request('a', { grantedNano: 1_000 }))
    const [row] = await client.wait(['a'], { timeoutMs: 10_000 })
    assert.equal(ran, 1)
    assert.deepEqual(outcomes[1], { kind: 'refused', bindingThreadId: 'a', availableNano: 700 })
    assert.deepEqual(row?.result, { grantedNano: 1_000, spentNano: 300, reservedNano: 0, escrowNano: 0, availableNano: 700 })
  })

  test(title('money added by a resume can be spent'), async (t) => {
    const script = runner(async (context, state) => {
      const outcome = await context.step('model', { effect: 'idempotent', timeoutMs: 1_000, reserveNano: 50 }, async () => ({
        value: 1,
        commit: { settleNano: 50 },
      }))
      return [state, outcome.kind === 'refused' ? { do: 'wait', reason: 'budget_reached' } : DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a', { grantedNano: 10 }))
    await until('a', 'waiting')
    await client.signal('a', signal('resume', { add_usd_nano: 40 }))
    await client.signal('a', signal('inject', { content: 'x' })).catch(() => undefined)
    assert.equal((await until('a', 'completed')).turn, 2)
  })

  test(title('uuid and now are the same however often a turn is run, and differ between turns'), async (t) => {
    const seen: string[][] = []
    const script = runner(async (context, state) => {
      seen.push([context.uuid(), context.uuid()])
      return [state, context.turn === 2 ? DONE : { do: 'turn' }]
    })
    const { client } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await client.wait(['a'], { timeoutMs: 10_000 })
    assert.equal(new Set(seen.flat()).size, 4)
    assert.match(seen[0]?.[0] ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  test(title('live messages and committed events reach a watcher'), async (t) => {
    const script = runner(async (context, state) => {
      context.emit({ type: 'delta', text: 'hel' })
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    const lives: unknown[] = []
    const stop = new AbortController()
    await client.spawn(request('a'))
    const watching = client.watch('a', (live) => lives.push(live['type']), stop.signal)
    await until('a', 'completed')
    stop.abort()
    await watching
    assert.ok(lives.includes('delta') && lives.includes('event'), JSON.stringify(lives))
  })

  test(title('an event that somebody else logs for a running thread gets its own seq'), async (t) => {
    const gate = Promise.withResolvers<void>()
    const script = runner(async (context, state) => {
      await context.step('hold', { effect: 'pure', timeoutMs: 10_000 }, async () => (await gate.promise, { value: 1 }))
      context.record({ events: [{ type: 'mine', payload: {} }] })
      return [state, DONE]
    })
    const { client, until } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await until('a', 'running')
    const seq = await client.logEvent('a', 'theirs', { note: 1 })
    gate.resolve()
    await until('a', 'completed')
    assert.deepEqual(
      client.events('a').map(({ seq: s, event_type: type }) => [s, type]),
      [
        [1, 'status'],
        [2, 'status'],
        [3, 'theirs'],
        [4, 'mine'],
        [5, 'status'],
      ],
    )
    assert.equal(seq, 3)
  })

  test(title('closing the engine leaves an unfinished thread as it is, with its lease free'), async (t) => {
    const begun = Promise.withResolvers<void>()
    const script = runner(async (context, state) => {
      await context.step('work', { effect: 'idempotent', timeoutMs: 60_000 }, ({ signal: stop }) => {
        begun.resolve()
        return new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)))
      })
      return [state, DONE]
    })
    const { client, engine, store } = bench(t, script, { kind })
    await client.spawn(request('a'))
    await begun.promise
    await engine.close(10)
    assert.equal(client.get('a').status, 'running')
    assert.equal(store.statement('SELECT host_id FROM leases').get()?.['host_id'], null)
    assert.equal(engine.active(), 0)
  })
}
