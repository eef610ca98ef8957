import assert from 'node:assert/strict'
import test from 'node:test'
import { bench, DONE, request, runner } from '../fixture.ts'
import { createLedger } from '../../../src/threads/ledger/ledger.ts'
import type { Ledger } from '../../../src/threads/ledger/ledger.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'

interface Book {
  readonly store: Store
  readonly ledger: Ledger
  readonly open: (threadId: string, parentThreadId: string | null, grantedNano: number | null) => void
}

/** A ledger over a registry whose foreign keys are off, so that accounts need no threads. */
function book(): Book {
  const store = openStore({ path: ':memory:' })
  store.statement('PRAGMA foreign_keys=OFF').run()
  const ledger = createLedger(store)
  return {
    store,
    ledger,
    open: (threadId, parentThreadId, grantedNano) => ledger.open({ threadId, parentThreadId, grantedNano }),
  }
}

function account(store: Store, threadId: string): Record<string, unknown> {
  const {
    spent_nano: spent,
    reserved_nano: reserved,
    escrow_nano: escrow,
  } = store.statement('SELECT * FROM ledger WHERE thread_id = ?').get(threadId) ?? {}
  return { spent, reserved, escrow }
}

const key = (threadId: string, step = 'model', turn = 1): { threadId: string; turn: number; step: string } => ({
  threadId,
  turn,
  step,
})

test('the grant of a capped child is held by its parent, and what it did not spend comes back at its end', () => {
  const { store, ledger, open } = book()
  open('root', null, 1_000)
  open('child', 'root', 400)
  assert.deepEqual(account(store, 'root'), { spent: 0, reserved: 0, escrow: 400 })
  ledger.reserve(key('child'), 300)
  ledger.settle(key('child'), 250)
  ledger.close('child')
  assert.deepEqual(account(store, 'root'), { spent: 250, reserved: 0, escrow: 0 })
})

test('a capped child draws on its own grant only, an uncapped one on its nearest capped ancestor', () => {
  const { ledger, open } = book()
  open('root', null, 1_000)
  open('capped', 'root', 100)
  open('free', 'capped', null)
  open('freer', 'free', null)
  assert.deepEqual(ledger.reserve(key('capped'), 101), { kind: 'refused', bindingThreadId: 'capped', availableNano: 100 })
  assert.deepEqual(ledger.reserve(key('freer'), 60), { kind: 'reserved' })
  assert.deepEqual(ledger.reserve(key('free'), 41), { kind: 'refused', bindingThreadId: 'capped', availableNano: 40 })
})

test('a thread without a capped ancestor is bound by nothing and still counts what it spends', () => {
  const { ledger, open } = book()
  open('root', null, null)
  assert.deepEqual(ledger.reserve(key('root'), 5_000_000_000_000), { kind: 'reserved' })
  ledger.settle(key('root'), 4_000)
  assert.deepEqual(ledger.view('root'), {
    grantedNano: null,
    spentNano: 4_000,
    reservedNano: 0,
    escrowNano: 0,
    availableNano: null,
  })
})

test('a grandchild that settles after its ended parent returns its rest to the living root', () => {
  const { store, ledger, open } = book()
  open('root', null, 1_000)
  open('child', 'root', 600)
  open('grandchild', 'child', 500)
  ledger.reserve(key('grandchild'), 200)
  ledger.close('child')
  assert.deepEqual(account(store, 'root'), { spent: 0, reserved: 0, escrow: 500 })
  ledger.settle(key('grandchild'), 150)
  ledger.close('grandchild')
  assert.deepEqual(account(store, 'root'), { spent: 150, reserved: 0, escrow: 0 })
})

test('a reservation without a result is settled in full', () => {
  const { store, ledger, open } = book()
  open('root', null, 1_000)
  ledger.reserve(key('root', 'a'), 100)
  ledger.reserve(key('root', 'b'), 50)
  assert.deepEqual(
    ledger.settleAll('root').map(({ step, amountNano }) => [step, amountNano]),
    [
      ['a', 100],
      ['b', 50],
    ],
  )
  assert.deepEqual(account(store, 'root'), { spent: 150, reserved: 0, escrow: 0 })
})

test('more than was reserved is recorded truthfully, and nothing is left after it', () => {
  const { ledger, open } = book()
  open('root', null, 100)
  ledger.reserve(key('root'), 100)
  ledger.settle(key('root'), 130)
  assert.deepEqual([ledger.view('root').spentNano, ledger.view('root').availableNano], [130, 0])
})

test('an ended account grants nothing to those below it', () => {
  const { ledger, open } = book()
  open('root', null, 100)
  open('free', 'root', null)
  ledger.close('root')
  assert.deepEqual(ledger.reserve(key('free'), 1), { kind: 'refused', bindingThreadId: 'root', availableNano: 0 })
})

test('added money comes out of the capped ancestor, and only as far as it goes', () => {
  const { store, ledger, open } = book()
  open('root', null, 100)
  open('child', 'root', 60)
  ledger.grant('child', 40)
  assert.deepEqual([ledger.view('child').availableNano, account(store, 'root')['escrow']], [100, 100])
  assert.throws(() => ledger.grant('child', 1), { code: 'BUDGET_EXCEEDED' })
})

test('money that is not a whole number of nano-dollars is refused', () => {
  const { ledger, open } = book()
  open('root', null, 100)
  for (const amount of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
    assert.throws(() => ledger.reserve(key('root'), amount), { code: 'INVALID_REQUEST' })
})

/** A small generator with a seed, so that a failing sequence can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

test('no sequence of spawns, reservations, settlements, crashes and ends breaks an account or loses money', () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const { store, ledger, open } = book()
    const pick = random(seed)
    const live = ['root']
    const held: { threadId: string; turn: number; step: string; amount: number }[] = []
    let spentNano = 0
    let turn = 0
    const settleWhere = (threadId: string): void => {
      for (const entry of held.splice(0)) {
        if (entry.threadId === threadId) spentNano += entry.amount
        else held.push(entry)
      }
    }
    open('root', null, 100_000)
    for (let step = 0; step < 120; step += 1) {
      const threadId = live[pick(live.length)] ?? 'root'
      const action = pick(10)
      if (action < 3) {
        const child = `t${seed}_${step}`
        try {
          open(child, threadId, pick(3) === 0 ? null : pick(40_000))
          live.push(child)
        } catch (error) {
          assert.ok(error instanceof KiwiError && error.code === 'BUDGET_EXCEEDED')
        }
      } else if (action < 6) {
        const amount = pick(8_000)
        turn += 1
        if (ledger.reserve(key(threadId, 'model', turn), amount).kind === 'reserved')
          held.push({ ...key(threadId, 'model', turn), amount })
      } else if (action < 8) {
        const [entry] = held.splice(pick(held.length || 1), 1)
        if (entry === undefined) continue
        const actual = pick(entry.amount + 1)
        ledger.settle(entry, actual)
        spentNano += actual
      } else if (action < 9 || threadId === 'root') {
        ledger.settleAll(threadId)
        settleWhere(threadId)
      } else {
        ledger.close(threadId)
        settleWhere(threadId)
        live.splice(live.indexOf(threadId), 1)
      }
      const broken = store
        .statement(
          'SELECT thread_id FROM ledger WHERE granted_nano IS NOT NULL AND (spent_nano + reserved_nano + escrow_nano > granted_nano OR min(spent_nano, reserved_nano, escrow_nano, held_nano) < 0)',
        )
        .all()
      assert.deepEqual(broken, [], `seed ${seed}, step ${step}`)
    }
    for (const threadId of live.toReversed()) {
      ledger.close(threadId)
      settleWhere(threadId)
    }
    assert.deepEqual(account(store, 'root'), { spent: spentNano, reserved: 0, escrow: 0 }, `seed ${seed}`)
    assert.equal(store.statement('SELECT SUM(own_spent_nano) AS n FROM ledger').get()?.['n'], spentNano)
    void store.close()
  }
})

test('threat row 52: fifty spawns at once never exceed a limit of the tree, and the refused ones say which', async (t) => {
  const { client } = bench(
    t,
    runner(async (_context, state) => [state, { do: 'wait', reason: 'approval' }]),
    { kind: 'memory' },
  )
  await client.spawn(request('root', { maxSpawns: 7, maxDepth: 2, grantedNano: 1_000 }))
  const spawns = await Promise.allSettled(
    Array.from({ length: 50 }, (_, n) => client.spawn(request(`c${n}`, { parentThreadId: 'root' }))),
  )
  assert.equal(spawns.filter(({ status }) => status === 'fulfilled').length, 7)
  const refused = spawns.find((spawn) => spawn.status === 'rejected')
  assert.deepEqual(refused?.reason.code, 'SPAWN_FAILED')
  assert.deepEqual(refused?.reason.context.facts, { binding_thread_id: 'root', limit: 'max_spawns', max: 7, current: 7 })
})

test('threat row 52: fifty children that ask for the last money at once get no nano-dollar more than there is', async (t) => {
  const { client, store } = bench(
    t,
    runner(async (_context, state) => [state, { do: 'wait', reason: 'approval' }]),
    { kind: 'memory' },
  )
  await client.spawn(request('root', { grantedNano: 1_000 }))
  const spawns = await Promise.allSettled(
    Array.from({ length: 50 }, (_, n) => client.spawn(request(`c${n}`, { parentThreadId: 'root', grantedNano: 300 }))),
  )
  assert.equal(spawns.filter(({ status }) => status === 'fulfilled').length, 3)
  assert.ok(spawns.every((spawn) => spawn.status === 'fulfilled' || spawn.reason.code === 'BUDGET_EXCEEDED'))
  assert.deepEqual(account(store, 'root'), { spent: 0, reserved: 0, escrow: 900 })
})

test('depth counts from the thread that limits it, and a limit of 0 forbids', async (t) => {
  const { client } = bench(
    t,
    runner(async (_context, state) => [state, { do: 'wait', reason: 'approval' }]),
    { kind: 'memory' },
  )
  await client.spawn(request('a'))
  await client.spawn(request('b', { parentThreadId: 'a', maxDepth: 1 }))
  await client.spawn(request('c', { parentThreadId: 'b', maxSpawns: 0 }))
  await assert.rejects(client.spawn(request('d', { parentThreadId: 'c' })), { code: 'SPAWN_FAILED' })
  await client.spawn(request('e', { parentThreadId: 'b' }))
  await assert.rejects(client.spawn(request('f', { parentThreadId: 'e' })), /allows max_depth=1/)
})

test('what a thread spends stands in its row and in its account alike', async (t) => {
  const script = runner(async (context, state) => {
    await context.step('model', { effect: 'idempotent', timeoutMs: 1_000, reserveNano: 90 }, async () => ({
      value: 1,
      commit: { settleNano: 70, usage: { cost_nano: 70, output: 3 } },
    }))
    return [state, context.turn === 3 ? DONE : { do: 'turn' }]
  })
  const { client, store, until } = bench(t, script, { kind: 'memory' })
  await client.spawn(request('a', { grantedNano: 500 }))
  const row = await until('a', 'completed')
  assert.equal(row.total_usage['cost_nano'], 210)
  assert.deepEqual(account(store, 'a'), { spent: 210, reserved: 0, escrow: 0 })
})
