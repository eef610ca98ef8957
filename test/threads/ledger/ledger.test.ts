import assert from 'node:assert/strict'
import test from 'node:test'
import { bench, DONE, request, runner } from '../fixture.ts'
import { createLedger } from '../../../src/threads/ledger/ledger.ts'
import type { Ledger } from '../../../src/threads/ledger/ledger.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'

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

test('what a child spent beyond its grant is taken from the free money above it before anybody else draws on that', () => {
  const { store, ledger, open } = book()
  open('root', null, 200)
  open('child', 'root', 100)
  ledger.reserve(key('child'), 100)
  ledger.settle(key('child'), 130)
  assert.deepEqual(account(store, 'root'), { spent: 0, reserved: 0, escrow: 130 })
  assert.deepEqual(ledger.reserve(key('root'), 71), { kind: 'refused', bindingThreadId: 'root', availableNano: 70 })
  ledger.grant('child', 40)
  assert.deepEqual([ledger.view('child').availableNano, ledger.view('root').availableNano], [10, 60])
  ledger.close('child')
  assert.deepEqual(account(store, 'root'), { spent: 130, reserved: 0, escrow: 0 })
})

test('a successor gets what was left and not one nano-dollar more, also where the account above has ended', () => {
  const { store, ledger, open } = book()
  open('root', null, 1_000)
  open('parent', 'root', 600)
  open('child', 'parent', 500)
  ledger.reserve(key('child'), 200)
  ledger.settle(key('child'), 150)
  ledger.close('parent')
  assert.equal(ledger.handOn('child', 'next'), 350)
  assert.deepEqual(account(store, 'root'), { spent: 150, reserved: 0, escrow: 350 })
  ledger.close('next')
  assert.deepEqual(account(store, 'root'), { spent: 150, reserved: 0, escrow: 0 })
})

test('the successor of an uncapped thread draws on the same account, and that of a root has a cap of what was left', () => {
  const { ledger, open } = book()
  open('root', null, 1_000)
  open('free', 'root', null)
  ledger.reserve(key('free'), 300)
  assert.equal(ledger.handOn('free', 'next'), null)
  assert.deepEqual([ledger.view('next').grantedNano, ledger.view('next').availableNano], [null, 700])
  assert.equal(ledger.handOn('root', 'second'), 700)
  assert.deepEqual(ledger.reserve(key('next'), 1), { kind: 'refused', bindingThreadId: 'root', availableNano: 0 })
})

test('an ended thread is given nothing more, and no budget grows beyond what can be counted exactly', () => {
  const { store, ledger, open } = book()
  open('root', null, 100)
  open('child', 'root', 60)
  ledger.close('child')
  assert.throws(() => ledger.grant('child', 10), { code: 'INVALID_REQUEST', message: /child has ended/ })
  assert.deepEqual(account(store, 'root'), { spent: 0, reserved: 0, escrow: 0 })
  assert.throws(() => ledger.grant('root', Number.MAX_SAFE_INTEGER), { code: 'INVALID_REQUEST' })
  assert.equal(ledger.view('root').grantedNano, 100)
})

test('a refused grant names both amounts to the nano-dollar', () => {
  const { open } = book()
  open('root', null, 1_200)
  assert.throws(() => open('child', 'root', 2_500_000_000), /asks for \$2\.50; thread root has \$0\.0000012 left/)
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
