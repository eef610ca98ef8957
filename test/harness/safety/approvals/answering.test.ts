import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../../../src/json.ts'
import type { MetaToolResult } from '../../../../src/kernel/contract.ts'
import type { Conversation } from '../../../../src/scripted-model/conversation.ts'
import { directive, executes, openWorkshop, runtimeTool, says } from '../workshop.ts'
import { changeApproval } from '../../../../src/threads/approvals/approval-changes.ts'
import type { Workshop, WorkshopOptions } from '../workshop.ts'
import { answer, DEPLOY, question, runs } from './guarded.ts'

const STEERS = '<execute resource="kiwi-mcp" action="execute"/><orchestration enabled="true"></orchestration>'
const ANSWERS = '<execute resource="thread" action="approve"/><execute resource="tool" id="answer_approval"/>'
const DEPLOYS = '<execute resource="tool" id="deploy"/><write resource="filesystem" path="runs/**"/>'
const LIMITS = '<max_turns>10</max_turns><on_exceeded>stop</on_exceeded>'

const isChild = ({ firstUserText }: Conversation): boolean => firstUserText.includes('<directive name="child"')

/** A parent that waits for its child, which does `does` first. */
function family(
  permissions: string,
  {
    does = executes(['deploy', { target: 'a' }]),
    child = directive('child'),
  }: { does?: ReturnType<typeof executes>; child?: string } = {},
): WorkshopOptions {
  return {
    directives: { parent: directive('parent', LIMITS, '', permissions), child },
    tools: {
      deploy: DEPLOY,
      hold: runtimeTool("await new Promise((resolve) => context.signal.addEventListener('abort', resolve))"),
    },
    scenario: (conversation) => {
      const { turn } = conversation
      if (isChild(conversation)) return turn === 1 ? does : says('The child is done.')
      if (turn === 1) return executes(['thread_directive', { directive_name: 'child' }])
      return turn === 2 ? executes(['hold', {}]) : says('Done.')
    },
  }
}

interface Family {
  readonly shop: Workshop
  readonly parent: string
  readonly child: string
  /** `answer_approval` of the parent. */
  readonly ask: (tool: string, parameters: JsonObject) => Promise<MetaToolResult>
}

async function openFamily(shop: Workshop): Promise<Family> {
  const parent = await shop.spawn('parent')
  const context = await shop.asThread(parent)
  const deadline = performance.now() + 15_000
  for (;;) {
    const [child] = shop.threads.list({ parent_thread_id: parent })
    if (child?.status === 'waiting')
      return { shop, parent, child: child.thread_id, ask: (tool, parameters) => shop.call(tool, parameters, context) }
    if (performance.now() > deadline) throw new Error('The child asks nothing.')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const HOLDS = '<execute resource="tool" id="hold"/>'

test('a thread answers for its child, and the log says by which token', async (t) => {
  const { shop, parent, child, ask } = await openFamily(await openWorkshop(t, family(STEERS + ANSWERS + DEPLOYS + HOLDS)))
  const { approval_id: approvalId } = await question(shop, child)
  const answered = await ask('answer_approval', { approval_id: approvalId, decision: 'approve_once', reason: 'As planned.' })
  assert.equal(answered.success, true, JSON.stringify(answered))
  assert.equal((await shop.until(child, 'completed')).end_reason, 'done')
  const by = shop.threads.approvals.get(approvalId).answer?.by
  assert.deepEqual([by?.kind === 'thread' && by.thread_id, runs(shop)], [parent, [{ target: 'a' }]])
  const logged = shop.events(child, 'intervention').at(-1)
  assert.deepEqual([logged?.payload['action'], logged?.payload['reason'], logged?.payload['by']], ['approval', 'As planned.', by])
})

test('a thread sees the questions of threads below it, the operator those of all', async (t) => {
  const { shop, child, ask } = await openFamily(await openWorkshop(t, family(STEERS + DEPLOYS + HOLDS)))
  const seen = await ask('list_approvals', { status: 'pending' })
  const all = await shop.call('list_approvals', {})
  const ids = [seen, all].map((answered) =>
    answered.success ? (answered['result'] as { approvals: { thread_id: string }[] }).approvals.map((row) => row.thread_id) : [],
  )
  assert.deepEqual(ids, [[child], [child]])
})

test('threat row 43: a thread does not answer for a child without the capability for it', async (t) => {
  // Without `__requires__` of answer_approval, and `mayAct` in allowed-actions.ts, it does.
  const permissions = `${STEERS}${DEPLOYS}${HOLDS}<execute resource="tool" id="answer_approval"/>`
  const { shop, child, ask } = await openFamily(await openWorkshop(t, family(permissions)))
  const { approval_id: approvalId } = await question(shop, child)
  const refused = await ask('answer_approval', { approval_id: approvalId, decision: 'approve_once' })
  assert.match(JSON.stringify(refused), /PERMISSION_DENIED.*thread\.approve/)
  assert.deepEqual([shop.threads.approvals.get(approvalId).status, runs(shop)], ['pending', []])
})

test('threat row 43: a thread lets no other execute a tool that it may not execute itself', async (t) => {
  // Without `mayRun` in assertThreadMayAnswer (answer-approval.ts) it does. A child cannot have more than its parent, so the row is planted.
  const { shop, child, ask } = await openFamily(await openWorkshop(t, family(STEERS + ANSWERS + DEPLOYS + HOLDS)))
  const planted = { approvalId: 'tool_planted', kind: 'tool', title: 'run bash', subject: { tool: 'bash' } } as const
  const nowMs = Date.now()
  const approval = { ...planted, expiresAtMs: nowMs + 60_000 }
  await shop.store.commit(() => void changeApproval(shop.store, { do: 'request', approval }, { threadId: child, nowMs }))
  const refused = await ask('answer_approval', { approval_id: 'tool_planted', decision: 'approve_once' })
  assert.match(JSON.stringify(refused), /PERMISSION_DENIED.*may not execute \\?\\?"bash/)
  assert.equal(shop.threads.approvals.get('tool_planted').status, 'pending')
})

test('threat row 43: a thread answers neither for itself nor for a thread beside it', async (t) => {
  // Without `assertMayAct` in answerApproval (answer-approval.ts) it does.
  const shop = await openWorkshop(t, {
    directives: { one: directive('one', LIMITS, '', STEERS + ANSWERS + DEPLOYS) },
    tools: { deploy: DEPLOY },
    scenario: ({ turn }) => (turn === 1 ? executes(['deploy', { target: 'a' }]) : says('Done.')),
  })
  const [{ thread_id: one }, { thread_id: other }] = [await shop.run('one'), await shop.run('one')]
  const { approval_id: mine } = await question(shop, one)
  const { approval_id: theirs } = await question(shop, other)
  const { answerApproval } = await import('../../../../src/harness/safety/approvals/answer-approval.ts')
  const token = shop.threads.tokens.latest(one)?.token
  for (const approvalId of [mine, theirs]) {
    const request = { approvalId, decision: 'approve_once', reason: '', amounts: {} } as const
    const context = { projectPath: shop.projectPath, __thread_id: one, __auth: token }
    await assert.rejects(answerApproval(shop.services, context, request), { code: 'PERMISSION_DENIED' })
  }
  assert.deepEqual(
    [mine, theirs].map((id) => shop.threads.approvals.get(id).status),
    ['pending', 'pending'],
  )
})

test('threat row 43: a thread does not agree to a signature of its child', async (t) => {
  // Without the rule for changes in assertThreadMayAnswer (answer-approval.ts) it signs with the key of the user.
  const permissions = `${STEERS}${ANSWERS}${DEPLOYS}${HOLDS}<execute resource="kiwi-mcp" action="sign"/>`
  const does = { reply: { tool_calls: [{ name: 'sign', arguments: { item_type: 'directive', item_id: 'child' } }] } }
  const { shop, child, ask } = await openFamily(await openWorkshop(t, family(permissions, { does })))
  const { approval_id: approvalId } = await question(shop, child)
  const refused = await ask('answer_approval', { approval_id: approvalId, decision: 'approve_once' })
  assert.match(JSON.stringify(refused), /PERMISSION_DENIED.*only a person signs/)
  assert.equal(shop.threads.approvals.get(approvalId).status, 'pending')
})

const CAPPED = directive(
  'child',
  '<max_turns>5</max_turns><on_exceeded>escalate</on_exceeded><max_cost_usd>0.0003</max_cost_usd>',
)

test('a question about money that is approved as it stands adds what it asks for', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { child: CAPPED },
    scenario: ({ turn }) => (turn < 3 ? executes(['list_files', { path: '.' }]) : says('Done.')),
  })
  const { thread_id: id } = await shop.run('child')
  const { approval_id: approvalId, kind, subject } = await question(shop, id)
  const given = await answer(shop, approvalId, 'approve_once')
  assert.equal(kind, 'budget')
  assert.deepEqual((given['answer'] as { facts: JsonObject }).facts, subject['ask'])
})

test('a thread gives a child money out of its own, and no turns', async (t) => {
  const escalates = directive(
    'child',
    '<max_turns>1</max_turns><on_exceeded>escalate</on_exceeded><max_cost_usd>0.01</max_cost_usd>',
  )
  const permissions = STEERS + ANSWERS + DEPLOYS + HOLDS
  const options = family(permissions, { does: executes(['list_files', { path: '.' }]), child: escalates })
  const limits = `${LIMITS}<max_cost_usd>1</max_cost_usd>`
  const { shop, child, ask } = await openFamily(
    await openWorkshop(t, {
      ...options,
      directives: { ...options.directives, parent: directive('parent', limits, '', permissions) },
    }),
  )
  const { approval_id: approvalId } = await question(shop, child)
  const refused = await ask('answer_approval', { approval_id: approvalId, decision: 'approve_once' })
  assert.match(JSON.stringify(refused), /PERMISSION_DENIED.*money alone, and not add_turns/)
  const before = shop.threads.get(child)
  const answered = await ask('answer_approval', { approval_id: approvalId, decision: 'approve_once', add_usd: 0.5 })
  assert.equal(answered.success, true, JSON.stringify(answered))
  const events = shop.events(child, 'intervention').at(-1)?.payload
  assert.deepEqual([before.status, events?.['add_usd']], ['waiting', 0.5])
})

for (const { title, parameters, found } of [
  { title: 'an amount with a no', parameters: { decision: 'deny', add_usd: 1 }, found: /INVALID_REQUEST/ },
  { title: 'a negative amount', parameters: { decision: 'approve_once', add_usd: -1 }, found: /PARAMETER_VALIDATION_ERROR/ },
  { title: 'another decision', parameters: { decision: 'maybe' }, found: /PARAMETER_VALIDATION_ERROR/ },
  { title: 'another question', parameters: { decision: 'deny', approval_id: 'tool_none' }, found: /APPROVAL_NOT_FOUND/ },
]) {
  test(`an answer with ${title} is refused and leaves the question open`, async (t) => {
    const shop = await openWorkshop(t, {
      directives: { work: directive('work') },
      tools: { deploy: DEPLOY },
      scenario: ({ turn }) => (turn === 1 ? executes(['deploy', { target: 'a' }]) : says('Done.')),
    })
    const { thread_id: id } = await shop.run('work')
    const { approval_id: approvalId } = await question(shop, id)
    const refused = await shop.call('answer_approval', { approval_id: approvalId, ...parameters })
    assert.match(JSON.stringify(refused), found)
    assert.equal(shop.threads.approvals.get(approvalId).status, 'pending')
  })
}
