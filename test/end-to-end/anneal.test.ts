/** A directive is mended by a thread and a person: by real processes, through the command line, against a model that obeys whoever wrote last. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { hostControl } from '../../src/compose-host.ts'
import type { JsonObject } from '../../src/json.ts'
import type { Conversation } from '../../src/scripted-model/conversation.ts'
import type { ApprovalRow } from '../../src/threads/approvals/approval.ts'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'
import { executes, limited, says } from '../harness/safety/workshop.ts'

const FILE = '.ai/directives/notes.md'
const TOOLS = '<execute resource="tool" id="write_file"/>'
const NOTES = limited('notes', TOOLS)
const DOCS = '<write resource="filesystem" path="docs/**"/>'

interface Annealing {
  readonly project: ScriptedProject
  readonly asking: string
  readonly question: ApprovalRow
  readonly json: (...args: string[]) => Promise<JsonObject>
}

interface AnnealOptions {
  /** The directive as it is; the change is `content`. */
  readonly before?: string
  readonly content: string
  readonly reason?: string
}

/** A thread whose write was denied, and one that waits because it proposed a change. */
async function anneal(
  t: TestContext,
  { before = NOTES, content, reason = 'fs.write is missing' }: AnnealOptions,
): Promise<Annealing> {
  const project = await createScriptedProject((conversation) => answerOf(conversation, { content, reason }))
  t.after(() => project.close())
  mkdirSync(join(project.path, '.ai/directives'), { recursive: true })
  writeFileSync(join(project.path, FILE), before)
  assert.equal((await project.run('sign', 'directive', 'notes')).code, 0)
  const json: Annealing['json'] = async (...args) => {
    const { code, stdout, stderr } = await project.run('-o', 'json', ...args)
    assert.equal(code, 0, stderr + stdout)
    // What the command line prints with -o json.
    return JSON.parse(stdout) as JsonObject
  }
  const spawn = { directive_name: 'notes', thread_id: 'first' }
  await json('execute', 'tool', 'spawn_thread', '--params', JSON.stringify(spawn))
  await json('wait', 'first')
  assert.equal((await project.run('run', 'anneal_directive', '-i', 'thread_id=first')).code, 5)
  const [question] = (await json('approvals')) as unknown as readonly ApprovalRow[]
  assert.ok(question !== undefined)
  return { project, asking: question.thread_id, question, json }
}

function answerOf(
  { firstUserText, turn }: Conversation,
  { content, reason }: Pick<Required<AnnealOptions>, 'content' | 'reason'>,
): ReturnType<typeof says> {
  if (firstUserText.includes('<directive name="notes"'))
    return turn % 2 === 1 ? executes(['write_file', { path: 'docs/note.md', content: 'A note.\n' }]) : says('I am through.')
  const proposal = { item_type: 'directive', item_id: 'notes', content, reason, retry_thread_id: 'first' }
  return turn === 1 ? executes(['propose_change', proposal]) : says('So it is.')
}

function file({ project }: Annealing): string {
  return readFileSync(join(project.path, FILE), 'utf8')
}

async function killHost({ options }: ScriptedProject): Promise<void> {
  const status = await hostControl(options.env ?? {}).status()
  const pid = Number(status?.['pid'])
  assert.ok(pid > 1, 'a host runs')
  process.kill(pid, 'SIGKILL')
  while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await delay(5)
}

test('a change that was approved after the host was killed is made once, the thread is retried, and the asking one is told', async (t) => {
  const annealing = await anneal(t, { content: limited('notes', TOOLS + DOCS) })
  const { project, question, asking, json } = annealing
  await killHost(project)
  await json('approve', question.approval_id)
  const { answer } = (await json('approvals', question.approval_id)) as unknown as ApprovalRow
  const retried = answer?.facts['retried_thread_id']
  assert.ok(typeof retried === 'string')
  await json('wait', asking, retried)
  assert.equal(readFileSync(join(project.path, 'docs/note.md'), 'utf8'), 'A note.\n')
  assert.equal(((await json('show', asking)) as unknown as ThreadRow).status, 'completed')
  assert.equal((await project.run('approve', question.approval_id)).code, 1)
  const rows = (await json('ps', '--all')) as unknown as readonly ThreadRow[]
  assert.equal(rows.filter(({ directive_id: id }) => id === 'notes').length, 2)
})

// Guard: the title and the permissions of item-change.ts, and that nothing but `approve` writes.
test('threat row 1: a model that obeys a transcript gets no more than a question that says what it asks for', async (t) => {
  const greedy = limited('notes', `${TOOLS}<write resource="filesystem" path="**"/><execute resource="shell"/>`)
  const annealing = await anneal(t, { content: greedy })
  const { project, question, asking, json } = annealing
  const before = file(annealing)
  assert.match(question.title, /\+fs\.read \*\*, \+fs\.write \*\*, \+process\.exec/u)
  await json('deny', question.approval_id, '--reason', 'It needs docs only.')
  await json('wait', asking)
  assert.equal(file(annealing), before)
  assert.match((await project.run('why', asking)).stdout, /It needs docs only\./u)
})

// Guard: `visibleText` of the command line, for what the diff takes away and for what a model says.
test('threat row 33: what a diff removes and a model says cannot steer the terminal of whoever decides', async (t) => {
  const before = `Old \u001B[2J\u202Eline.\n\n${NOTES}`
  const content = limited('notes', TOOLS + DOCS)
  const { project, question } = await anneal(t, { before, content, reason: 'harmless\u001B[1A\u001B[2K\u202E really' })
  const { code, stdout } = await project.run('approvals', question.approval_id)
  assert.equal(code, 0)
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(stdout, /[\u001B\u202E]/u)
  assert.match(stdout, /^\s*-Old .*line\./mu)
  const listed = await project.run('approvals')
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(listed.stdout, /[\u001B\u202E]/u)
})
