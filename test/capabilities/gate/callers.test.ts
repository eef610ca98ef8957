import assert from 'node:assert/strict'
import test from 'node:test'
import { createGate } from '../../../src/capabilities/gate/gate.ts'
import { grants, MINUTE_MS, VOCABULARY } from '../tokens/fixture.ts'
import { asked, CALLER, missing, openPost, suggestion } from './fixture.ts'

const INVALID = ['a valid capability token']

test('the operator may do everything, with a grant for just what the chain requires', async (t) => {
  const { gate } = await openPost(t, {})
  const read = await gate.authorize(asked({ requires: ['fs.read'] }))
  assert.ok(read.permitted && read.grant !== undefined)
  const { isLive, ...grant } = read.grant
  assert.equal(isLive(), true)
  assert.deepEqual(grant, {
    id: 'operator:1',
    threadId: null,
    read: [{ kind: 'tree', base: [] }],
    write: [],
    network: { kind: 'none' },
  })
  const shell = await gate.authorize(asked({ requires: ['process.exec'] }))
  assert.ok(shell.permitted)
  assert.deepEqual([shell.grant?.write.length, shell.grant?.network], [1, { kind: 'open' }])
})

test('the host itself is known by its own object, and its calls carry no grant', async (t) => {
  const { gate, hostAuthority } = await openPost(t, {})
  const context = { projectPath: '/nowhere', __thread_id: 'one', __auth: hostAuthority }
  assert.deepEqual(await gate.authorize(asked({ requires: ['net.http'], context })), { permitted: true })
  const copy = { ...context, __auth: structuredClone(hostAuthority) }
  assert.deepEqual(missing(await gate.authorize(asked({ context: copy }))), INVALID)
})

test('a call that names a thread without its token is refused', async (t) => {
  const { gate, context } = await openPost(t, CALLER)
  const { __auth: token, ...bare } = await context()
  for (const wrong of [bare, { ...bare, __auth: null }, { ...bare, __auth: {} }, { projectPath: '/nowhere', __auth: token }]) {
    const answer = await gate.authorize(asked({ context: wrong }))
    assert.deepEqual([missing(answer), answer.permitted ? null : answer.code], [INVALID, 'TOKEN_INVALID'])
  }
})

test('threat row 43: the token of one thread is refused in the name of another', async (t) => {
  // Guard: `claims.threadId !== threadId` in `callerOf`. Without it a thread acts with a token that it came by.
  const { office, host, gate, context } = await openPost(t, {})
  await office.spawn('rich')
  await host.authority.mint({ threadId: 'rich', directiveId: 'work', parentThreadId: null, declared: grants(CALLER) })
  const rich = await context('rich')
  assert.equal((await gate.authorize(asked({ context: rich }))).permitted, true)
  assert.deepEqual(missing(await gate.authorize(asked({ context: { ...rich, __thread_id: 'one' } }))), INVALID)
})

test('threat row 43: a token is refused at another host, and in a process that runs no threads', async (t) => {
  // Guard: `authority.verify` in `callerOf`, which knows the key of this host run alone.
  const { office, context, hostAuthority } = await openPost(t, CALLER)
  const mine = await context()
  const options = { ledger: office.ledger, vocabulary: async () => VOCABULARY, hostAuthority }
  const { authority } = await office.host()
  for (const gate of [createGate({ ...options, authority }), createGate({ ...options, authority: null })])
    assert.deepEqual(missing(await gate.authorize(asked({ context: mine }))), INVALID)
})

test('threat row 43: a token is refused as soon as its thread was cancelled, by itself or with its parent', async (t) => {
  // Guard: the standing in `callerOf`. Without it the token works until it expires.
  const { office, host, gate, context } = await openPost(t, CALLER)
  await office.spawn('child', 'one')
  await host.authority.mint({ threadId: 'child', directiveId: 'part', parentThreadId: 'one', declared: grants(CALLER) })
  const child = await context('child')
  const before = await gate.authorize(asked({ context: child }))
  assert.ok(before.permitted)
  assert.equal(before.grant?.isLive(), true)
  await office.threads.signal('one', { id: 'c', kind: 'cancel', body: {} })
  const after = await gate.authorize(asked({ context: child }))
  assert.deepEqual(missing(after), INVALID)
  assert.match(suggestion(after), /Thread child may do nothing more: it was cancelled/)
  assert.equal(before.grant?.isLive(), false)
  assert.deepEqual(missing(await gate.check({ verb: 'help', item: null, context: child })), INVALID)
})

test('threat row 43: a token is refused when it has expired, although it was good a moment before', async (t) => {
  // Guard: the end is looked at for remembered tokens too (A3).
  const { office, gate, context } = await openPost(t, CALLER)
  const mine = await context()
  assert.equal((await gate.authorize(asked({ context: mine }))).permitted, true)
  office.pass(15 * MINUTE_MS)
  assert.deepEqual(missing(await gate.authorize(asked({ context: mine }))), INVALID)
})

for (const [status, reason] of [
  ['paused', /paused or waiting/],
  ['completed', /has ended/],
] as const) {
  test(`a thread that is ${status} may do nothing`, async (t) => {
    const { office, gate, context } = await openPost(t, CALLER)
    const mine = await context()
    office.setStatus('one', status)
    assert.match(suggestion(await gate.authorize(asked({ context: mine }))), reason)
  })
}

test('a thread whose wait ends in this very tick may act', async (t) => {
  const { office, gate, context } = await openPost(t, CALLER)
  const mine = await context()
  office.setStatus('one', 'waiting')
  const written = office.store.commit(() => office.setStatus('one', 'running'))
  assert.equal((await gate.authorize(asked({ context: mine }))).permitted, true)
  await written
})

test('a thread never signs, and is told how to ask for it', async (t) => {
  const { ask } = await openPost(t, { ...CALLER, 'kiwi-mcp.sign': true })
  const answer = await ask({ verb: 'sign', itemType: 'directive', itemId: 'mine' })
  assert.deepEqual(missing(answer), ['the signature of a person for directive "mine"'])
  assert.match(suggestion(answer), /cannot sign by itself\. Its model calls sign/)
})

test('no answer of the gate carries the token', async (t) => {
  const { gate, context } = await openPost(t, {})
  const mine = await context()
  const answers = [
    await gate.authorize(asked({ context: mine, requires: ['fs.read'], parameters: { path: 'a' } })),
    await gate.authorize(asked({ context: { ...mine, __auth: `${String(mine.__auth)}A` } })),
  ]
  assert.ok(answers.every((answer) => !answer.permitted && !JSON.stringify(answer).includes('v4.public')))
})
