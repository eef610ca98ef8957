import assert from 'node:assert/strict'
import test from 'node:test'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { createLedger } from '../../../src/threads/ledger/ledger.ts'
import type { Ledger } from '../../../src/threads/ledger/ledger.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import { accountOf, figuresOf, leftFor } from './tree-oracle.ts'
import type { Thread } from './tree-oracle.ts'

const FIXED_SEEDS = 40
const STEPS = 250
const MOST_LIVE = 50
const MOST_DEPTH = 6

/** A small generator with a seed, so that a failing sequence can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** One tree in a real registry whose foreign keys are off, so that accounts need no threads. */
interface Tree {
  readonly pick: (below: number) => number
  readonly store: Store
  readonly ledger: Ledger
  readonly threads: Thread[]
  /** Its parent has ended: it spawns no more, and will end itself. */
  readonly doomed: Set<Thread>
  readonly detached: Set<Thread>
  /** Calls may turn out dearer than was reserved for them. */
  readonly overshoots: boolean
  /** All that came from outside: grants to threads that have no account above them. */
  given: number
  made: number
  mostLive: number
}

/** One thing that is done to the ledger, what it must answer, and what is true afterwards. */
interface Move {
  readonly name: string
  readonly run: () => unknown
  /** An answer, or the refusal. */
  readonly answer?: unknown
  readonly refusal?: { readonly code: string; readonly facts?: object }
  readonly effect?: () => void
}

function openTree(seed: number): Tree {
  const store = openStore({ path: ':memory:' })
  store.statement('PRAGMA foreign_keys=OFF').run()
  const pick = random(seed)
  const tree: Tree = {
    pick,
    store,
    ledger: createLedger(store),
    threads: [],
    doomed: new Set(),
    detached: new Set(),
    overshoots: seed % 2 === 0,
    given: 0,
    made: 0,
    mostLive: 0,
  }
  // Every fifth root has no money of its own: then what stands below it is bound by nothing but its own grants.
  const granted = seed % 5 === 0 ? null : 1_000_000
  perform(tree, spawn(tree, null, granted), '')
  return tree
}

function live(tree: Tree): readonly Thread[] {
  return tree.threads.filter(({ ended }) => !ended)
}

function oneOf<T>(tree: Tree, list: readonly T[]): T | undefined {
  return list[tree.pick(list.length)]
}

function depthOf(thread: Thread | null): number {
  return thread === null ? 0 : 1 + depthOf(thread.parent)
}

function newThread(tree: Tree, parent: Thread | null, granted: number | null): Thread {
  const id = `t${(tree.made += 1)}`
  return { id, parent, granted, spent: 0, reserved: new Map(), ended: false, overshoot: 0 }
}

function spawn(tree: Tree, parent: Thread | null, granted: number | null): Move {
  const thread = newThread(tree, parent, granted)
  const binding = granted === null ? null : leftFor(tree.threads, parent)
  const move = {
    name: `spawn ${thread.id} below ${parent?.id ?? 'nothing'} with ${granted}`,
    run: () => tree.ledger.open({ threadId: thread.id, parentThreadId: parent?.id ?? null, grantedNano: granted }),
  }
  if (binding !== null && granted !== null && binding.left < granted)
    return { ...move, refusal: exceeded(binding, thread, granted) }
  return {
    ...move,
    effect: () => {
      tree.threads.push(thread)
      if (accountOf(parent) === null) tree.given += granted ?? 0
      if (tree.pick(5) === 0) tree.detached.add(thread)
    },
  }
}

function exceeded(
  binding: { readonly id: string; readonly left: number },
  thread: Thread,
  amount: number,
): Required<Move>['refusal'] {
  return {
    code: 'BUDGET_EXCEEDED',
    facts: { thread_id: thread.id, binding_thread_id: binding.id, requested_nano: amount, available_nano: binding.left },
  }
}

function spawnSomewhere(tree: Tree): Move {
  const parents = live(tree).filter((thread) => !tree.doomed.has(thread) && depthOf(thread) <= MOST_DEPTH)
  const parent = oneOf(tree, parents) ?? null
  const left = leftFor(tree.threads, parent)?.left ?? 200_000
  // Mostly less than there is, sometimes all of it, sometimes more.
  const granted = tree.pick(3) === 0 ? null : tree.pick(8) === 0 ? left + tree.pick(2) : tree.pick(Math.ceil(left / 2) + 2)
  return spawn(tree, parent, granted)
}

function reserve(tree: Tree): Move {
  const thread = oneOf(tree, live(tree))
  if (thread === undefined) return spawnSomewhere(tree)
  const binding = leftFor(tree.threads, thread)
  const amount = binding !== null && tree.pick(6) === 0 ? binding.left + tree.pick(2) : tree.pick(12_000)
  const step = `s${(tree.made += 1)}`
  const fits = binding === null || binding.left >= amount
  return {
    name: `reserve ${amount} for ${thread.id}`,
    run: () => tree.ledger.reserve({ threadId: thread.id, turn: 1, step }, amount),
    answer: fits ? { kind: 'reserved' } : { kind: 'refused', bindingThreadId: binding.id, availableNano: binding.left },
    effect: () => {
      if (fits) thread.reserved.set(step, amount)
    },
  }
}

function settle(tree: Tree): Move {
  const calls = tree.threads.flatMap((thread) => [...thread.reserved].map(([step, amount]) => ({ thread, step, amount })))
  const call = oneOf(tree, calls)
  if (call === undefined) return reserve(tree)
  const { thread, step, amount } = call
  const kind = tree.pick(tree.overshoots ? 5 : 4)
  const actual = kind === 0 ? null : kind === 1 ? 0 : kind < 4 ? tree.pick(amount + 1) : amount + 1 + tree.pick(20_000)
  const spent = actual ?? amount
  return {
    name: `settle ${amount} of ${thread.id} with ${actual}`,
    run: () => tree.ledger.settle({ threadId: thread.id, turn: 1, step }, actual),
    answer: spent,
    effect: () => {
      thread.reserved.delete(step)
      thread.spent += spent
      thread.overshoot += Math.max(0, spent - amount)
    },
  }
}

/** Money that nothing was reserved for. */
function charge(tree: Tree): Move {
  const thread = oneOf(tree, live(tree))
  if (thread === undefined || !tree.overshoots) return settle(tree)
  const amount = 1 + tree.pick(5_000)
  return {
    name: `charge ${thread.id} with ${amount}`,
    run: () => tree.ledger.settle({ threadId: thread.id, turn: 1, step: `s${(tree.made += 1)}` }, amount),
    answer: amount,
    effect: () => {
      thread.spent += amount
      thread.overshoot += amount
    },
  }
}

function settleInFull(thread: Thread): void {
  for (const amount of thread.reserved.values()) thread.spent += amount
  thread.reserved.clear()
}

function crash(tree: Tree): Move {
  const thread = oneOf(tree, live(tree))
  if (thread === undefined) return reserve(tree)
  const open = [...thread.reserved].map(([step, amountNano]) => ({ turn: 1, step, amountNano }))
  return {
    name: `crash ${thread.id}`,
    run: () => tree.ledger.settleAll(thread.id).toSorted((a, b) => a.step.localeCompare(b.step)),
    answer: open.toSorted((a, b) => a.step.localeCompare(b.step)),
    effect: () => settleInFull(thread),
  }
}

function grant(tree: Tree): Move {
  const thread = oneOf(tree, tree.pick(10) === 0 ? tree.threads : live(tree))
  if (thread === undefined) return reserve(tree)
  const amount = tree.pick(4) === 0 ? (leftFor(tree.threads, thread.parent)?.left ?? 0) + tree.pick(2) : tree.pick(3_000)
  const move = { name: `grant ${amount} to ${thread.id}`, run: () => tree.ledger.grant(thread.id, amount) }
  const account = accountOf(thread)
  if (account === null) return move
  if (thread.granted === null || thread.ended) return { ...move, refusal: { code: 'INVALID_REQUEST' } }
  const raised = thread.granted + amount
  const { held } = figuresOf(tree.threads).get(thread) ?? { held: 0 }
  // What it overspent, the account above has paid for already.
  const needed = Math.max(raised, held) - held
  const binding = leftFor(tree.threads, thread.parent)
  if (binding !== null && binding.left < needed) return { ...move, refusal: exceeded(binding, thread, needed) }
  return {
    ...move,
    effect: () => {
      thread.granted = raised
      if (accountOf(thread.parent) === null) tree.given += amount
    },
  }
}

/** Those that go with a thread: below it, as far as nothing is detached. */
function familyOf(tree: Tree, thread: Thread): readonly Thread[] {
  const below = tree.threads.filter((child) => child.parent === thread && !child.ended && !tree.detached.has(child))
  return [thread, ...below.flatMap((child) => familyOf(tree, child))]
}

function closing(tree: Tree, ended: readonly Thread[]): Required<Pick<Move, 'run' | 'effect'>> {
  return {
    run: () => {
      for (const { id } of ended) tree.ledger.close(id)
    },
    effect: () => {
      for (const thread of ended) {
        settleInFull(thread)
        thread.ended = true
        for (const orphan of familyOf(tree, thread).slice(1)) tree.doomed.add(orphan)
      }
    },
  }
}

/** The thread alone; what it leaves behind goes on for a while, or is detached and goes on for good. */
function end(tree: Tree): Move {
  const thread = oneOf(tree, tree.doomed.size > 0 && tree.pick(2) === 0 ? [...tree.doomed].filter(isLive) : live(tree))
  if (thread === undefined) return reserve(tree)
  return { name: `end ${thread.id}`, ...closing(tree, [thread]) }
}

function isLive({ ended }: Thread): boolean {
  return !ended
}

/** The thread and what is below it, from the top down or from the bottom up, as its host gets to them. */
function cancel(tree: Tree): Move {
  const thread = oneOf(
    tree,
    live(tree).filter(({ parent }) => parent !== null),
  )
  if (thread === undefined) return reserve(tree)
  const family = familyOf(tree, thread)
  return { name: `cancel ${thread.id}`, ...closing(tree, tree.pick(2) === 0 ? family : family.toReversed()) }
}

/** One thread ends and another takes over with what is left. */
function handOn(tree: Tree): Move {
  const thread = oneOf(tree, live(tree))
  if (thread === undefined || tree.doomed.has(thread)) return reserve(tree)
  // Its own open calls are settled in full when it ends, so they take nothing away from what is left.
  const left = thread.granted === null ? null : (leftFor(tree.threads, thread)?.left ?? 0)
  const successor = newThread(tree, thread.parent, left)
  return {
    name: `hand ${thread.id} on to ${successor.id}`,
    run: () => tree.ledger.handOn(thread.id, successor.id),
    answer: left,
    effect: () => {
      closing(tree, [thread]).effect()
      tree.threads.push(successor)
      if (tree.detached.has(thread)) tree.detached.add(successor)
    },
  }
}

function nextMove(tree: Tree): Move {
  const { length } = live(tree)
  if (length === 0) return spawn(tree, null, 500_000)
  // Fills up to fifty, falls back, and fills up again.
  if (length < MOST_LIVE && tree.pick(100) < 28) return spawnSomewhere(tree)
  const at = tree.pick(100)
  if (at < 40) return reserve(tree)
  if (at < 74) return settle(tree)
  if (at < 78) return charge(tree)
  if (at < 82) return crash(tree)
  if (at < 89) return grant(tree)
  if (at < 93) return handOn(tree)
  return at < 98 ? end(tree) : cancel(tree)
}

/** The process that was writing died before its transaction was committed. */
class Died extends Error {}

/** Every move in a transaction of its own; one in twenty is lost, and must then leave nothing behind. */
function perform(tree: Tree, move: Move, at: string): void {
  const lost = tree.pick(20) === 0 && tree.threads.length > 0
  let answer: unknown
  let refusal: unknown = null
  try {
    tree.store.writeNow(() => {
      answer = move.run()
      if (lost) throw new Died()
    })
  } catch (error) {
    if (!(error instanceof Died)) refusal = error
  }
  if (move.refusal === undefined) {
    assert.equal(refusal, null, `${at}: refused: ${String(refusal)}`)
    assert.deepEqual(answer, move.answer, at)
    if (!lost) move.effect?.()
    return
  }
  assert.ok(refusal instanceof KiwiError, `${at}: not refused`)
  assert.equal(refusal.code, move.refusal.code, at)
  if (move.refusal.facts !== undefined) assert.deepEqual(refusal.context.facts, move.refusal.facts, at)
}

type Columns = Readonly<Record<string, number | string | null>>
const MONEY = ['spent_nano', 'reserved_nano', 'escrow_nano', 'own_spent_nano', 'held_nano', 'passed_nano'] as const

function rowsOf(store: Store): readonly Columns[] {
  // Both tables hold only text and integers.
  return store.statement('SELECT * FROM ledger').all() as unknown as readonly Columns[]
}

function numberOf(row: Columns | undefined, column: string): number {
  const value = row?.[column]
  return typeof value === 'number' ? value : 0
}

/** The ledger says what the model says, to the nano-dollar, in every column of every thread. */
function assertAgrees(tree: Tree, rows: ReadonlyMap<string, Columns>, at: string): void {
  assert.equal(rows.size, tree.threads.length, at)
  const figures = figuresOf(tree.threads)
  for (const thread of tree.threads) {
    const row = rows.get(thread.id)
    const account = accountOf(thread)
    const { spent, reserved, escrow, held } = (account === thread ? figures.get(thread) : undefined) ?? NOTHING
    const expected: Columns = {
      granted_nano: thread.granted,
      account_thread_id: account?.id ?? null,
      parent_account_id: account === thread ? (accountOf(thread.parent)?.id ?? null) : null,
      spent_nano: spent,
      reserved_nano: reserved,
      escrow_nano: escrow,
      own_spent_nano: thread.spent,
      held_nano: held,
      passed_nano: account === thread && thread.ended ? spent : 0,
      closed: thread.ended ? 1 : 0,
    }
    for (const column in expected)
      if (row?.[column] !== expected[column]) assert.deepEqual({ ...row }, { thread_id: thread.id, ...expected }, at)
  }
}

const NOTHING = { spent: 0, reserved: 0, escrow: 0, held: 0, overshoot: 0 }

/** What must hold whatever was asked, read from the ledger's own columns. */
function assertInvariants(tree: Tree, rows: ReadonlyMap<string, Columns>, at: string): void {
  const escrow = new Map<unknown, number>()
  const reserved = new Map<unknown, number>()
  for (const row of rows.values()) {
    const above = row['parent_account_id']
    escrow.set(above, (escrow.get(above) ?? 0) + numberOf(row, 'held_nano'))
  }
  for (const open of tree.store
    .statement('SELECT account_thread_id, amount_nano FROM reservations')
    .all() as unknown as Columns[]) {
    const account = open['account_thread_id']
    reserved.set(account, (reserved.get(account) ?? 0) + numberOf(open, 'amount_nano'))
  }
  const figures = figuresOf(tree.threads)
  for (const thread of tree.threads) {
    const row = rows.get(thread.id)
    for (const column of MONEY)
      if (!Number.isSafeInteger(row?.[column]) || numberOf(row, column) < 0)
        assert.fail(`${at}: ${thread.id}.${column} is ${row?.[column]}`)
    if (thread.granted === null) continue
    const open = numberOf(row, 'reserved_nano') + numberOf(row, 'escrow_nano')
    const used = numberOf(row, 'spent_nano') + open
    const most = numberOf(row, 'granted_nano') + (figures.get(thread)?.overshoot ?? 0)
    if (used > most) assert.fail(`${at}: ${thread.id} has used ${used} of ${most}`)
    assert.equal(numberOf(row, 'escrow_nano'), escrow.get(thread.id) ?? 0, `${at}: escrow of ${thread.id}`)
    assert.equal(numberOf(row, 'reserved_nano'), reserved.get(thread.id) ?? 0, `${at}: reservations of ${thread.id}`)
    if (thread.ended) assert.equal(numberOf(row, 'held_nano'), open, `${at}: ${thread.id} has not given back what it did not use`)
  }
}

/** Over everything that money binds: what was spent, and what may still be, never comes to more than was given from outside. */
function assertWithinGiven(tree: Tree, rows: ReadonlyMap<string, Columns>, at: string): void {
  let used = 0
  let most = tree.given
  for (const thread of tree.threads) {
    if (accountOf(thread) === null) continue
    used += numberOf(rows.get(thread.id), 'own_spent_nano')
    for (const amount of thread.reserved.values()) used += amount
    most += thread.overshoot
  }
  if (used > most) assert.fail(`${at}: ${used} spent or reserved of ${most}`)
}

function assertTree(tree: Tree, at: string): void {
  const rows = new Map(rowsOf(tree.store).map((row) => [String(row['thread_id']), row]))
  assertAgrees(tree, rows, at)
  assertInvariants(tree, rows, at)
  assertWithinGiven(tree, rows, at)
}

/** A tree under random moves, and then the end of every thread in it. Gives how many threads there were at once. */
function play(seed: number): number {
  const tree = openTree(seed)
  for (let step = 1; step <= STEPS; step += 1) {
    const move = nextMove(tree)
    const at = `seed ${seed}, step ${step}: ${move.name}`
    perform(tree, move, at)
    assertTree(tree, at)
    tree.mostLive = Math.max(tree.mostLive, live(tree).length)
  }
  for (let thread = oneOf(tree, live(tree)); thread !== undefined; thread = oneOf(tree, live(tree))) {
    const at = `seed ${seed}, at the end: end ${thread.id}`
    perform(tree, { name: at, ...closing(tree, [thread]) }, at)
    assertTree(tree, at)
  }
  assertSettled(tree, `seed ${seed}`)
  void tree.store.close()
  return tree.mostLive
}

/** When all have ended nothing is held anywhere, and the roots stand for every nano-dollar that was spent below them. */
function assertSettled(tree: Tree, at: string): void {
  const rows = rowsOf(tree.store)
  assert.deepEqual(
    rows.filter((row) => numberOf(row, 'reserved_nano') + numberOf(row, 'escrow_nano') + numberOf(row, 'held_nano') > 0),
    [],
    at,
  )
  const total = (column: string, list: readonly Columns[]): number => list.reduce((sum, row) => sum + numberOf(row, column), 0)
  const roots = rows.filter((row) => row['parent_account_id'] === null && row['granted_nano'] !== null)
  const unbound = rows.filter((row) => row['account_thread_id'] === null)
  assert.equal(total('spent_nano', roots) + total('own_spent_nano', unbound), total('own_spent_nano', rows), at)
}

test('ten thousand random spawns, calls, settlements, crashes, grants, cancels and handovers keep every account right at every step', () => {
  const clockSeed = Date.now() % 2 ** 31
  const seeds = [...Array.from({ length: FIXED_SEEDS }, (_, index) => index + 1), clockSeed]
  const mostLive = seeds.map(play)
  assert.equal(Math.max(...mostLive), MOST_LIVE)
})
