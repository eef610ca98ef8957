import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asked, CALLER, missing, openPost, suggestion } from './fixture.ts'

const APPROVED = { cap: 'tool.approved', scope: { id: 'tool_x' } }
const MINUTE_MS = 60_000

test('a tool that needs an approval is refused without one, with a code of its own', async (t) => {
  const { ask } = await openPost(t, CALLER)
  const answer = await ask({ requires: [APPROVED] })
  assert.deepEqual([answer.permitted ? null : answer.code, missing(answer)], ['APPROVAL_REQUIRED', ['tool.approved "tool_x"']])
  assert.match(suggestion(answer), /agree to each call of tool_x/)
})

test('what lacks more than the approval is denied for that', async (t) => {
  const { ask } = await openPost(t, CALLER)
  const answer = await ask({ requires: [APPROVED, 'process.exec'] })
  assert.deepEqual(
    [answer.permitted ? null : answer.code, missing(answer)],
    [undefined, ['tool.approved "tool_x"', 'process.exec']],
  )
})

test('an approval lets its own tool be called, and no other', async (t) => {
  const { gate, host, office, context } = await openPost(t, CALLER)
  const mine = await context()
  const expiresAtMs = office.clock.wallMs + MINUTE_MS
  const token = await host.authority.mintApproval({ threadId: 'one', approvalId: 'tool_1', toolId: 'tool_x', expiresAtMs })
  const approved = { ...mine, __auth: token }
  const other = { cap: 'tool.approved', scope: { id: 'tool_y' } }
  const answers = [
    await gate.authorize(asked({ context: approved, requires: [APPROVED] })),
    await gate.authorize(asked({ context: approved, requires: [other], itemId: 'tool_y' })),
    await gate.authorize(asked({ context: mine, requires: [APPROVED] })),
  ]
  assert.deepEqual(
    answers.map(({ permitted }) => permitted),
    [true, false, false],
  )
})

test('threat row 43: the token of an approval is refused later, for another thread, and when the thread may not act', async (t) => {
  // Without the expiry that `mintApproval` gives (authority.ts) it is taken for as long as any token.
  const { gate, host, office, context } = await openPost(t, CALLER)
  await office.spawn('two')
  const mint = async (): Promise<string> => {
    const expiresAtMs = office.clock.wallMs + MINUTE_MS
    return host.authority.mintApproval({ threadId: 'one', approvalId: 'tool_1', toolId: 'tool_x', expiresAtMs })
  }
  const call = async (token: string, change = {}): Promise<boolean> => {
    const mine = { ...(await context()), __auth: token, ...change }
    return (await gate.authorize(asked({ context: mine, requires: [APPROVED] }))).permitted
  }
  const token = await mint()
  const answers = [await call(token), await call(token, { __thread_id: 'two' })]
  office.pass(MINUTE_MS)
  answers.push(await call(token))
  const fresh = await mint()
  office.setStatus('one', 'cancelled')
  const late = { projectPath: '/nowhere', __thread_id: 'one', __auth: fresh }
  answers.push((await gate.authorize(asked({ context: late, requires: [APPROVED] }))).permitted)
  assert.deepEqual(answers, [true, false, false, false])
})

test('the operator needs no approval', async (t) => {
  const { gate } = await openPost(t, CALLER)
  assert.equal((await gate.authorize(asked({ requires: [APPROVED] }))).permitted, true)
})

test('a thread may ask for a signature only with the capability for it', async (t) => {
  const [{ gate, context }, without] = [await openPost(t, { ...CALLER, 'kiwi-mcp.sign': true }), await openPost(t, CALLER)]
  const item = { itemType: 'tool', itemId: 'tool_x', category: 'tests' } as const
  const allowed = await gate.check({ verb: 'sign', item, context: await context() })
  const refused = await without.gate.check({ verb: 'sign', item, context: await without.context() })
  assert.deepEqual([allowed.permitted, missing(refused)], [true, ['kiwi-mcp.sign']])
})
