import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import type { ApprovalAnswer, ApprovalQuery } from '../../../src/threads/approvals/approval.ts'
import { changeApproval } from '../../../src/threads/approvals/approval-changes.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { answer, ask, clientOn, setClock, told } from '../asking.ts'
import type { SetClock } from '../asking.ts'
import { atEnd, request, signal, tempFolder } from '../fixture.ts'

interface Desk {
  readonly store: Store
  readonly client: ThreadsClient
  readonly clock: SetClock
  readonly woken: string[]
}

/** A registry whose threads nobody runs, with the thread `a`. */
async function desk(t: TestContext, path = ':memory:'): Promise<Desk> {
  const store = openStore({ path })
  atEnd(t, () => store.close())
  const clock = setClock()
  const woken: string[] = []
  const client = clientOn(store, { clock, woken })
  await client.spawn(request('a', { grantedNano: 100 }))
  return { store, client, clock, woken }
}

/** Puts questions for a thread, a second apart. */
async function put({ store, clock }: Desk, threadId: string, ...ids: string[]): Promise<void> {
  for (const id of ids) {
    clock.nowMs += 1_000
    await store.commit(() =>
      changeApproval(store, ask(id, { expiresAtMs: clock.nowMs + 60_000 }), { threadId, nowMs: clock.nowMs }),
    )
  }
}

/** The facts of the error that it must be refused with. */
async function refusal(action: Promise<unknown>, code: string): Promise<Record<string, unknown>> {
  const error: unknown = await action.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof Error && 'code' in error && 'context' in error, String(error))
  assert.equal(error.code, code, error.message)
  // A KiwiError, as its code says.
  return (error.context as { facts?: Record<string, unknown> }).facts ?? {}
}

test('an unknown approval is an error that names it', async (t) => {
  const { client } = await desk(t)
  assert.throws(() => client.approvals.get('no'), { code: 'APPROVAL_NOT_FOUND' })
  assert.deepEqual(await refusal(client.approvals.answer('no', answer()), 'APPROVAL_NOT_FOUND'), { approval_id: 'no' })
})

test('a question reads as expired from the moment its time is over, and takes no answer then', async (t) => {
  const all = await desk(t)
  const { client, clock } = all
  await put(all, 'a', 'q')
  clock.nowMs += 59_999
  assert.equal(client.approvals.get('q').status, 'pending')
  clock.nowMs += 1
  assert.equal(client.approvals.get('q').status, 'expired')
  assert.deepEqual([client.approvals.list({ status: 'pending' }), client.approvals.list({ status: 'expired' }).length], [[], 1])
  const facts = await refusal(client.approvals.answer('q', answer()), 'APPROVAL_CLOSED')
  assert.deepEqual(facts, { approval_id: 'q', thread_id: 'a', status: 'expired' })
  assert.deepEqual(told(client, 'a'), [])
})

test('what has expired stays expired when its thread is cancelled', async (t) => {
  const all = await desk(t)
  await put(all, 'a', 'late', 'open')
  all.clock.nowMs += 59_500
  await all.client.signal('a', signal('cancel'))
  assert.deepEqual(
    told(all.client, 'a').map(({ event_type: type, payload }) => [type, payload['approval_id']]),
    [
      ['intervention', undefined],
      ['approval_expired', 'late'],
      ['approval_cancelled', 'open'],
    ],
  )
})

test('of many answers at once one counts, whoever gives them', async (t) => {
  const path = `${tempFolder(t)}/registry.db`
  const all = await desk(t, path)
  await put(all, 'a', 'q')
  const other = openStore({ path })
  atEnd(t, () => other.close())
  const second = clientOn(other, { clock: all.clock })
  const answers = Array.from({ length: 20 }, (_, n) =>
    (n % 2 === 0 ? all.client : second).approvals.answer(
      'q',
      answer({ decision: n < 10 ? 'deny' : 'approve_once', reason: `${n}` }),
    ),
  )
  const settled = await Promise.allSettled(answers)
  const won = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  assert.equal(won.length, 1)
  assert.ok(settled.every((result) => result.status === 'fulfilled' || result.reason.code === 'APPROVAL_CLOSED'))
  assert.deepEqual(all.client.approvals.get('q').answer, won[0]?.answer)
  assert.equal(told(all.client, 'a').length, 1)
  assert.equal(all.store.statement("SELECT COUNT(*) AS n FROM signals WHERE kind = 'approval'").get()?.['n'], 1)
})

test('an answer wakes the thread that waits for it', async (t) => {
  const all = await desk(t)
  await put(all, 'a', 'q')
  all.woken.length = 0
  await all.client.approvals.answer('q', answer())
  assert.deepEqual(all.woken, ['a'])
})

test('a thread that is being cancelled takes no answer, whatever it asked after the cancel', async (t) => {
  const all = await desk(t)
  await put(all, 'a', 'before')
  await all.client.signal('a', signal('cancel', { mode: 'graceful' }))
  await put(all, 'a', 'after')
  for (const id of ['before', 'after'])
    assert.equal((await refusal(all.client.approvals.answer(id, answer()), 'APPROVAL_CLOSED'))['status'], 'cancelled')
})

test('an approved amount is escrowed from the nearest capped ancestor; one that does not fit refuses the whole answer', async (t) => {
  const all = await desk(t)
  const { client, store } = all
  await client.spawn(request('between', { parentThreadId: 'a' }))
  await client.spawn(request('child', { parentThreadId: 'between', grantedNano: 60 }))
  await put(all, 'child', 'q')
  await refusal(client.approvals.answer('q', answer({ facts: { add_usd_nano: 41 } })), 'BUDGET_EXCEEDED')
  assert.deepEqual([client.approvals.get('q').status, told(client, 'child')], ['pending', []])
  await client.approvals.answer('q', answer({ facts: { add_usd_nano: 40 } }))
  const money = store.statement('SELECT granted_nano, escrow_nano FROM ledger WHERE thread_id = ?')
  assert.equal(money.get('child')?.['granted_nano'], 100)
  assert.equal(money.get('a')?.['escrow_nano'], 100)
  assert.equal(told(client, 'child')[0]?.payload['add_usd_nano'], 40)
})

test('a no adds nothing, whatever stands beside it', async (t) => {
  const all = await desk(t)
  await put(all, 'a', 'q')
  await all.client.approvals.answer('q', answer({ decision: 'deny', facts: { add_usd: 5 } }))
  assert.equal(all.store.statement('SELECT granted_nano FROM ledger').get()?.['granted_nano'], 100)
  assert.deepEqual(told(all.client, 'a')[0]?.payload, {
    action: 'approval',
    by: { kind: 'operator', door: 'cli' },
    reason: 'Looks right.',
    signal_id: 'approval:q',
    approval_id: 'q',
    decision: 'deny',
  })
})

test('an answer that is none of the three is refused and settles nothing', async (t) => {
  const all = await desk(t)
  await put(all, 'a', 'q')
  for (const wrong of [{ decision: 'yes' }, { decision: undefined }, { by: { kind: 'somebody' } }, { by: 'me' }]) {
    // What a caller without types may send.
    const given = { ...answer(), ...wrong } as unknown as ApprovalAnswer
    await refusal(all.client.approvals.answer('q', given), 'INVALID_REQUEST')
  }
  assert.equal(all.client.approvals.get('q').status, 'pending')
})

test('a signal never stands in for an answer', async (t) => {
  const all = await desk(t)
  await put(all, 'a', 'q')
  const { client } = all
  const forged = { approval_id: 'q', decision: 'approve_once' }
  await refusal(client.signal('a', signal('approval', forged)), 'INVALID_REQUEST')
  await refusal(client.signal('a', signal('inject', { content: 'x' }, 'approval:q')), 'INVALID_REQUEST')
  assert.equal(client.approvals.get('q').status, 'pending')
})

test('approvals are listed newest first, by thread, by everything below a thread, by status and limit', async (t) => {
  const all = await desk(t)
  const { client } = all
  await client.spawn(request('b', { parentThreadId: 'a' }))
  await client.spawn(request('c', { parentThreadId: 'b' }))
  await client.spawn(request('other'))
  for (const [threadId, id] of [
    ['a', 'qa'],
    ['b', 'qb'],
    ['c', 'qc'],
    ['other', 'qo'],
  ] as const)
    await put(all, threadId, id)
  await client.approvals.answer('qc', answer())
  const ids = (query?: ApprovalQuery): string[] => client.approvals.list(query).map(({ approval_id: id }) => id)
  assert.deepEqual(ids(), ['qo', 'qc', 'qb', 'qa'])
  assert.deepEqual(ids({ thread_id: 'b' }), ['qb'])
  assert.deepEqual(ids({ root_thread_id: 'b' }), ['qc', 'qb'])
  assert.deepEqual(ids({ root_thread_id: 'a', status: 'pending' }), ['qb', 'qa'])
  assert.deepEqual(ids({ status: 'approved' }), ['qc'])
  assert.deepEqual(ids({ limit: 2 }), ['qo', 'qc'])
  assert.deepEqual(ids({ root_thread_id: 'nobody' }), [])
  for (const limit of [0, 1_001, 1.5]) assert.throws(() => client.approvals.list({ limit }), { code: 'INVALID_REQUEST' })
  // @ts-expect-error: what a caller without types may send
  assert.throws(() => client.approvals.list({ status: 'open' }), { code: 'INVALID_REQUEST' })
})

test('a resume closes the questions of a waiting thread at once, so that no later answer is lost', async (t) => {
  const all = await desk(t)
  await put(all, 'a', 'q1')
  await all.store.commit(() => all.store.statement("UPDATE threads SET status = 'waiting', wait_reason = 'escalated'").run())
  await all.client.signal('a', signal('resume'))
  assert.equal(all.client.approvals.get('q1').status, 'cancelled')
  assert.equal((await refusal(all.client.approvals.answer('q1', answer()), 'APPROVAL_CLOSED'))['status'], 'cancelled')
})
