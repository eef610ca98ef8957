/** What comes of a change that a thread proposed: it is shown, and it is made by a person or not at all. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { carryOutChange } from '../../../../src/harness/safety/changes/carry-out.ts'
import type { JsonObject } from '../../../../src/json.ts'
import type { Conversation } from '../../../../src/scripted-model/conversation.ts'
import type { ApprovalRow } from '../../../../src/threads/approvals/approval.ts'
import { executes, limited, openWorkshop, says, type Workshop, type WorkshopOptions } from '../workshop.ts'

const FILE = '.ai/directives/notes.md'
const TOOLS = '<execute resource="tool" id="write_file"/>'
const NOTES = limited('notes', TOOLS)
const BETTER = limited('notes', `${TOOLS}<write resource="filesystem" path="docs/**"/>`)
const APPROVER = limited(
  'approver',
  '<execute resource="tool" id="answer_approval"/><execute resource="tool" id="propose_change"/>' +
    '<execute resource="thread" action="approve"/><orchestration enabled="true"/>',
)

interface Place extends Workshop {
  /** The thread that was denied. */
  readonly failed: string
  /** The thread that asks for the change. */
  readonly asking: string
  readonly question: ApprovalRow
}

interface PlaceOptions extends Partial<WorkshopOptions> {
  readonly content?: string
  readonly more?: JsonObject
}

/** A thread whose write was denied, and one that waits because it proposed to permit it. */
async function open(t: TestContext, { content = BETTER, more, ...options }: PlaceOptions = {}): Promise<Place> {
  const state = { failed: '' }
  const shop = await openWorkshop(t, {
    directives: { notes: NOTES, ...options.directives },
    ...options,
    scenario: (conversation, request) => {
      if (conversation.firstUserText.includes('<directive name="notes"')) return note(conversation)
      if (options.scenario !== undefined && !conversation.firstUserText.includes('<directive name="anneal_directive"'))
        return options.scenario(conversation, request)
      return conversation.turn === 1 ? proposes(state.failed, content, more) : says('That is how it is.')
    },
  })
  state.failed = (await shop.run('notes')).thread_id
  const { thread_id: asking, status } = await shop.run('anneal_directive', { inputs: { thread_id: state.failed } })
  const [question] = shop.threads.approvals.list({ thread_id: asking })
  assert.ok(question !== undefined && status === 'waiting', shop.results(asking).join('\n'))
  return { ...shop, failed: state.failed, asking, question }
}

function note({ turn }: Conversation): ReturnType<typeof says> {
  return turn % 2 === 1 ? executes(['write_file', { path: 'docs/note.md', content: 'A note.\n' }]) : says('I am through.')
}

function proposes(failed: string, content: string, more: JsonObject = {}): ReturnType<typeof executes> {
  const reason = 'Event 7: fs.write is missing.'
  const proposal = {
    item_type: 'directive',
    item_id: 'notes',
    content,
    reason,
    retry_thread_id: failed,
    retry_message: 'You may now.',
  }
  return executes(['propose_change', { ...proposal, ...more }])
}

async function answer(shop: Place, decision: string, reason = ''): Promise<JsonObject> {
  const parameters = { approval_id: shop.question.approval_id, decision, reason }
  const answered = await shop.call('answer_approval', parameters)
  assert.ok(answered.success, JSON.stringify(answered))
  return answered['result'] as JsonObject
}

async function failsToAnswer(shop: Place, decision: string): Promise<{ code: string; message: string }> {
  const answered = await shop.call('answer_approval', { approval_id: shop.question.approval_id, decision })
  assert.ok(!answered.success, JSON.stringify(answered))
  return answered.error
}

function file({ projectPath }: Workshop): string {
  return readFileSync(join(projectPath, FILE), 'utf8')
}

function textOf(facts: JsonObject, name: string): string {
  const value = facts[name]
  assert.ok(typeof value === 'string', JSON.stringify(facts))
  return value
}

function factsOf(answered: JsonObject): JsonObject {
  return (answered['answer'] as { facts: JsonObject }).facts
}

test('a thread that proposes a change waits, and the question says all that a person must know', async (t) => {
  const { question, failed, asking, threads } = await open(t)
  assert.equal(threads.get(asking).wait_reason, 'approval')
  assert.equal(question.kind, 'change')
  assert.equal(question.title, `change directive notes: +fs.read docs/**, +fs.write docs/**; then retry ${failed}`)
  const { subject } = question
  assert.deepEqual(subject['permissions'], { added: ['fs.read docs/**', 'fs.write docs/**'], removed: [] })
  assert.match(textOf(subject, 'diff'), /^\+.*<write resource="filesystem" path="docs\/\*\*"\/>/mu)
  assert.deepEqual(
    ['action', 'item_type', 'item_id', 'file', 'reason', 'retry_thread_id', 'retry_message'].map((name) => subject[name]),
    ['write', 'directive', 'notes', FILE, 'Event 7: fs.write is missing.', failed, 'You may now.'],
  )
})

test('approved, the change is written and signed, and the thread that failed is retried and does what was denied', async (t) => {
  const shop = await open(t)
  const facts = factsOf(await answer(shop, 'approve_once'))
  const retried = textOf(facts, 'retried_thread_id')
  assert.deepEqual(facts, { signed: true, file: FILE, sha256: shop.question.subject['sha256'], retried_thread_id: retried })
  await shop.kernel.require('directive', 'notes')
  assert.equal((await shop.until(retried, 'completed', 'error')).status, 'completed')
  assert.ok(existsSync(join(shop.projectPath, 'docs/note.md')))
  assert.deepEqual(shop.threads.get(retried).continues, { thread_id: shop.failed, how: 'retry' })
  assert.equal(shop.threads.get(retried).parent_thread_id, null)
})

test('the waiting model reads what was done', async (t) => {
  const shop = await open(t)
  const facts = factsOf(await answer(shop, 'approve_once'))
  await shop.until(shop.asking, 'completed')
  assert.deepEqual(JSON.parse(shop.results(shop.asking)[0] ?? ''), facts)
})

test('denied, the file stays as it is, nothing is retried, and the model is told the reason', async (t) => {
  const shop = await open(t)
  const before = file(shop)
  await answer(shop, 'deny', 'It must not write.')
  await shop.until(shop.asking, 'completed')
  assert.equal(file(shop), before)
  assert.match(shop.results(shop.asking)[0] ?? '', /The reason: It must not write\./u)
  assert.equal(shop.threads.list({ directive_id: 'notes' }).length, 1)
})

test('nobody answers: it is a no, and a late yes changes nothing', async (t) => {
  const shop = await open(t, { approvalTimeoutMs: 300 })
  const before = file(shop)
  await shop.until(shop.asking, 'completed')
  assert.match(shop.results(shop.asking)[0] ?? '', /nobody answered in time/u)
  assert.equal((await failsToAnswer(shop, 'approve_once')).code, 'APPROVAL_CLOSED')
  assert.equal(file(shop), before)
})

test('a file that changed meanwhile is not overwritten, and the question stays open', async (t) => {
  const shop = await open(t)
  writeFileSync(join(shop.projectPath, FILE), file(shop).replace('Do the work.', 'Do nothing.'))
  const before = file(shop)
  assert.equal((await failsToAnswer(shop, 'approve_once')).code, 'ITEM_CHANGED')
  assert.equal(file(shop), before)
  assert.equal(shop.threads.approvals.get(shop.question.approval_id).status, 'pending')
  assert.equal(shop.threads.get(shop.asking).status, 'waiting')
})

test('after a process that wrote, signed and retried, and died before it could say so, a second yes does nothing twice', async (t) => {
  const shop = await open(t)
  const first = await carriedOut(shop)
  const before = file(shop)
  const facts = factsOf(await answer(shop, 'approve_once'))
  assert.deepEqual(facts, first)
  assert.equal(file(shop), before)
  assert.equal(shop.threads.list({ directive_id: 'notes' }).length, 2)
})

test('after a process that died between the file and the retry, a second yes retries once', async (t) => {
  const shop = await open(t)
  const { sha256, base_sha256: baseSha256 } = shop.question.subject
  assert.ok(typeof sha256 === 'string' && typeof baseSha256 === 'string')
  await shop.kernel.replace('directive', 'notes', { content: BETTER, sha256, baseSha256 })
  assert.equal(factsOf(await answer(shop, 'approve_once'))['signed'], true)
  assert.equal(shop.threads.list({ directive_id: 'notes' }).length, 2)
})

/** What a process did that stopped before it could write the answer. */
function carriedOut({ services, question, projectPath }: Place, change: JsonObject = {}): Promise<JsonObject> {
  const context = { projectPath, __idempotency_key: `approval/${question.approval_id}` }
  return carryOutChange(services, context, { ...question.subject, ...change })
}

test('the new content, put there by somebody else and not signed, is not signed by a yes', async (t) => {
  const shop = await open(t)
  writeFileSync(join(shop.projectPath, FILE), BETTER)
  assert.equal((await failsToAnswer(shop, 'approve_once')).code, 'ITEM_CHANGED')
  assert.equal(file(shop), BETTER)
})

// Guard: `assertShown` in write-change.ts.
test('threat row 54: a question that shows other lines or permissions than it would write is not carried out', async (t) => {
  const shop = await open(t)
  const before = file(shop)
  const greedy = limited('notes', `${TOOLS}<write resource="filesystem" path="**"/>`)
  const { after } = await shop.kernel.revise('directive', 'notes', greedy)
  const told = { content: greedy, sha256: after.sha256 }
  await assert.rejects(carriedOut(shop, told), { code: 'ITEM_CHANGED' })
  await assert.rejects(carriedOut(shop, { permissions: { added: [], removed: [] } }), { code: 'ITEM_CHANGED' })
  assert.equal(file(shop), before)
})

test('a file whose signature was taken away meanwhile counts as changed', async (t) => {
  const shop = await open(t)
  writeFileSync(join(shop.projectPath, FILE), NOTES)
  assert.equal((await failsToAnswer(shop, 'approve_once')).code, 'ITEM_CHANGED')
})

test('a retry that fails is told, and the change stands', async (t) => {
  const inputs = '<inputs><input name="topic" type="string" required="true">What about.</input></inputs>'
  const shop = await open(t, { content: BETTER.replace('<process>', `${inputs}<process>`) })
  const facts = factsOf(await answer(shop, 'approve_once'))
  assert.equal(facts['retried_thread_id'], null)
  assert.match(JSON.stringify(facts['retry_error']), /topic/u)
  await shop.kernel.require('directive', 'notes')
})

// Guard: `assertThreadMayAnswer` in answer-approval.ts.
test('a thread above cannot approve a change, whatever it is granted', async (t) => {
  const shop = await openWorkshop(t, {
    directives: {
      notes: NOTES,
      asks: limited('asks', '<execute resource="tool" id="propose_change"/>'),
      approver: APPROVER,
    },
    scenario: ({ firstUserText, turn, results }) => {
      if (firstUserText.includes('<directive name="asks"'))
        return turn === 1
          ? executes(['propose_change', { item_type: 'directive', item_id: 'notes', content: BETTER, reason: 'why' }])
          : says('Done.')
      if (turn === 1) return executes(['thread_directive', { directive_name: 'asks' }])
      const child = /"thread_id":"([^"]+)"/u.exec(results[0]?.content ?? '')?.[1] ?? ''
      if (turn === 2) return executes(['wait_thread', { thread_id: child }])
      const [question] = shop.threads.approvals.list()
      if (turn === 3) return executes(['answer_approval', { approval_id: question?.approval_id ?? '', decision: 'approve_once' }])
      return says('Done.')
    },
  })
  const id = await shop.spawn('approver')
  await shop.until(id, 'completed')
  assert.match(shop.results(id)[2] ?? '', /only a person signs or changes an item/u)
  assert.doesNotMatch(file(shop), /docs\/\*\*/u)
})
