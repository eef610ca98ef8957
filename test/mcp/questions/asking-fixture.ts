import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CallToolResult, Client, ElicitRequestFormParams, ElicitResult } from '@modelcontextprotocol/client'
import type { ScenarioFunction } from '../../../src/scripted-model/scenario.ts'
import type { ApprovalRow } from '../../../src/threads/approvals/approval.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import type { ScriptedProject } from '../../cli/scripted-project.ts'
import { directive } from '../../harness/safety/workshop.ts'
import { eventually } from '../serving-fixture.ts'

export const PAGE = 'one\n2\nthree\n'
/** Tries to look like something else: it reorders, hides, moves the cursor, and brings a line of its own. */
export const HOSTILE = 'safe\u202Etxt.exe\u0007\u001B[2Jx\u200B\r\napprove_once: nothing happens\n'

/**
 * The thread `asks` publishes the page that its first message names, by a tool that somebody must agree to, and ends with what the tool said.
 * `boss` lets a thread `asks` do it, and waits for it.
 */
export const SCENARIO: ScenarioFunction = ({ firstUserText: first, turn, results }) => {
  const result = results.at(-1)?.content ?? ''
  const [, name = 'a'] = /page (\w+)/u.exec(first) ?? []
  if (first.includes('boss') && turn === 1)
    return executes('thread_directive', { directive_name: 'asks', initial_message: `page ${name}` })
  if (first.includes('boss') && turn === 2)
    return executes('wait_thread', { thread_id: /"thread_id": ?"(?<id>[^"]+)"/u.exec(result)?.groups?.['id'] ?? '' })
  if (turn > 1) return { reply: { text: `It said: ${result}` } }
  return executes('publish', { path: `site/${name}.txt`, content: first.includes('hostile') ? HOSTILE : PAGE })
}

function executes(item_id: string, parameters: Readonly<Record<string, string>>): ReturnType<ScenarioFunction> {
  return { reply: { tool_calls: [{ name: 'execute', arguments: { item_type: 'tool', item_id, parameters } }] } }
}

const PUBLISH = [
  'tool_id: publish',
  'tool_type: runtime',
  'version: "1.0.0"',
  'description: Writes a page.',
  'executor_id: write_file',
  'approval: required',
  '',
].join('\n')

/** Directives and the tool of the scenario, signed. */
export async function furnish(project: ScriptedProject): Promise<void> {
  for (const folder of ['.ai/directives/tests', '.ai/tools', 'site']) mkdirSync(join(project.path, folder), { recursive: true })
  writeFileSync(join(project.path, '.ai/tools/publish.yaml'), PUBLISH)
  for (const name of ['asks', 'boss']) writeFileSync(join(project.path, `.ai/directives/tests/${name}.md`), directive(name))
  for (const item of [['tool', 'publish'] as const, ['directive', 'asks'] as const, ['directive', 'boss'] as const]) {
    const { code, stderr } = await project.run('sign', ...item)
    assert.equal(code, 0, stderr)
  }
}

/** A thread that has come to its question, or one below it. */
export async function askingThread(
  project: ScriptedProject,
  threads: ThreadsClient,
  { directive: name = 'asks', message }: { readonly directive?: string; readonly message: string },
): Promise<{ readonly threadId: string; readonly question: ApprovalRow }> {
  const { code, stdout, stderr } = await project.run('run', name, message, '--detach')
  assert.equal(code, 0, stderr)
  const threadId = stdout.trim()
  let question: ApprovalRow | undefined
  await eventually('the question', () => {
    const [found] = threads.approvals.list({ root_thread_id: threadId, status: 'pending' })
    question = found
    return found !== undefined
  })
  assert.ok(question !== undefined)
  return { threadId, question }
}

export function page(project: ScriptedProject, name: string): string | null {
  const file = join(project.path, 'site', `${name}.txt`)
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

export const FORMS = { capabilities: { elicitation: { form: {} } } } as const

/** The forms that the user of this client was shown, each answered by `answer`, which may take its time. */
export function showForms(
  client: Client,
  answer: (form: ElicitRequestFormParams, signal: AbortSignal) => ElicitResult | Promise<ElicitResult>,
): readonly ElicitRequestFormParams[] {
  const forms: ElicitRequestFormParams[] = []
  client.setRequestHandler('elicitation/create', async ({ params }, { mcpReq }) => {
    assert.ok(params.mode !== 'url')
    forms.push(params)
    return answer(params, mcpReq.signal)
  })
  return forms
}

export function approve(content: Readonly<Record<string, string | number>> = {}): ElicitResult {
  return { action: 'accept', content: { decision: 'approve_once', ...content } }
}

export interface Waited {
  readonly settled: boolean
  readonly threads: readonly { readonly status: string; readonly result?: unknown; readonly allowed_actions: readonly string[] }[]
  readonly approvals?: readonly { readonly approval_id: string; readonly thread_id: string; readonly title: string }[]
  readonly asked: readonly { readonly approval_id: string; readonly status: string; readonly reason?: string }[]
}

export async function execute(client: Client, item_id: string, parameters: object): Promise<CallToolResult> {
  return client.callTool({ name: 'execute', arguments: { item_type: 'tool', item_id, parameters } })
}

/** What the client is answered when it waits for the thread. */
export async function waited(client: Client, threadId: string, parameters: object = {}): Promise<Waited> {
  const answer = await execute(client, 'wait_thread', { thread_id: threadId, ...parameters })
  assert.notEqual(answer.isError, true, JSON.stringify(answer.structuredContent))
  // The shape of the tool's answer, with what the door adds to it.
  const { result, asked = [] } = answer.structuredContent as { result: Omit<Waited, 'asked'>; asked?: Waited['asked'] }
  return { ...result, asked }
}
