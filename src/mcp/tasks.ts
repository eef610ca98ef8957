/**
 * The Tasks extension: for a client that offers it, a call of `execute` that spawned a thread is answered with a task whose id is the
 * thread's. Of the modern era only. A task is a view of the registry, so it outlives every connection and this process.
 *
 * @see https://modelcontextprotocol.io/extensions/tasks (SEP-2663)
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type CallToolResult,
  type Result,
  type ServerContext,
  type StandardSchemaV1,
} from '@modelcontextprotocol/server'
import type { Json, JsonObject } from '../json.ts'
import type { MetaToolResult } from '../kernel/contract.ts'
import { KiwiError } from '../kernel/errors.ts'
import type { ApprovalRow } from '../threads/approvals/approval.ts'
import { isTerminal, needsPerson } from '../threads/status.ts'
import type { ThreadRow } from '../threads/threads-client.ts'
import { callOrigin } from './call-origin.ts'
import type { ToolOutcome } from './call-tool.ts'
import type { McpProject } from './contract.ts'
import { answerQuestion } from './questions/answer-question.ts'
import { showsForms } from './questions/client-forms.ts'
import { formAnswer, questionForm } from './questions/question-form.ts'
import { shownQuestions } from './questions/shown-questions.ts'
import { visibleLine } from './questions/visible-text.ts'

export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks'

export interface TaskParams {
  readonly taskId: string
}

type TaskMethod = (params: TaskParams, context: ServerContext) => Promise<Result>

export interface Tasks {
  /** The task that answers this call instead of its result; null where there is none. */
  created(outcome: ToolOutcome, context: ServerContext): Promise<Result | null>
  readonly get: TaskMethod
  /** Input for a waiting thread lets it go on; what nobody asked for is passed over. */
  readonly update: TaskMethod
  /** Cancels the thread; one that has ended stays as it is. */
  readonly cancel: TaskMethod
}

export interface TasksOptions {
  readonly project: () => Promise<McpProject>
  readonly projectPath: string
  /** How `execute` answers with this result. */
  readonly answer: (result: MetaToolResult) => CallToolResult
}

const POLL_INTERVAL_MS = 2_000
const NEEDED = { extensions: { [TASKS_EXTENSION]: {} } }

/** @throws ProtocolError invalid params, for a thread that is not there; missing capability, for a client that did not offer the extension. */
export function createTasks({ project, projectPath, answer }: TasksOptions): Tasks {
  const threadOf = async (
    taskId: string,
    context: ServerContext,
  ): Promise<{ readonly open: McpProject; readonly row: ThreadRow }> => {
    if (!offersTasks(context)) throw new MissingRequiredClientCapabilityError({ requiredCapabilities: NEEDED })
    const open = await project()
    const row = rowOrNull(open, taskId)
    if (row === null) throw invalid(`There is no task ${taskId.slice(0, 128)}.`)
    return { open, row }
  }
  const run = async (open: McpProject, context: ServerContext, call: ToolRun): Promise<MetaToolResult> => {
    const request = { item_type: 'tool', item_id: call.tool, parameters: call.parameters } as const
    return open.kernel.execute(request, { projectPath, signal: context.mcpReq.signal, __caller: callOrigin(context) })
  }
  return {
    async created({ result, request }, context) {
      if (!offersTasks(context) || request?.project_path !== projectPath) return null
      const threadId = spawnedThread(result)
      // A thread of another project has its task nowhere.
      const row = threadId === null ? null : rowOrNull(await project(), threadId)
      return row === null ? null : { resultType: 'task', ...taskOf(row), status: 'working' }
    },
    async get({ taskId }, context) {
      const { open, row } = await threadOf(taskId, context)
      const task = { resultType: 'complete', ...taskOf(row) }
      if (row.status === 'cancelled') return { ...task, status: 'cancelled' }
      if (isTerminal(row.status)) {
        const waited = await run(open, context, { tool: 'wait_thread', parameters: { thread_id: taskId } })
        const result = answer(row.status === 'completed' ? waited : failureOf(row, waited))
        return { ...task, status: 'completed', result: { resultType: 'complete', ...result } }
      }
      const questions = shownQuestions(open, [taskId])
      if (questions.length === 0 && !needsPerson(row.status, row.wait_reason)) return { ...task, status: 'working' }
      const message = [statusMessage(row), ...questions.slice(0, MAX_NAMED).map(questionText)].join('; ')
      const inputRequests = showsForms(context) ? inputRequestsOf(open, row, questions) : {}
      return { ...task, statusMessage: message, status: 'input_required', inputRequests }
    },
    async update({ taskId }, context) {
      const { open, row } = await threadOf(taskId, context)
      const place = { open, projectPath, origin: callOrigin(context), signal: context.mcpReq.signal }
      for (const question of shownQuestions(open, [taskId])) {
        const said = formAnswer(question, responseTo(context, question.approval_id))
        const answered = said === null ? null : await answerQuestion(place, question, said)
        if (answered?.success === false) throw invalid(answered.error.message)
      }
      if (!mayResume(open, row)) return DONE
      const content = acceptedContent(context, waitKey(open, row))
      if (content === null) return DONE
      const resumed = await run(open, context, { tool: 'resume_thread', parameters: resumeParameters(taskId, content) })
      if (!resumed.success) throw invalid(resumed.error.message)
      return DONE
    },
    async cancel({ taskId }, context) {
      const { open, row } = await threadOf(taskId, context)
      if (isTerminal(row.status)) return DONE
      const cancelled = await run(open, context, {
        tool: 'cancel_thread',
        parameters: { thread_id: taskId, reason: 'tasks/cancel' },
      })
      if (!cancelled.success && cancelled.error.code !== 'ILLEGAL_TRANSITION') throw invalid(cancelled.error.message)
      return DONE
    },
  }
}

/** The parameters of every method of the extension, checked without the help of a schema library. */
export const TASK_PARAMS: StandardSchemaV1<unknown, TaskParams> = {
  '~standard': {
    version: 1,
    vendor: 'kiwi',
    validate(value) {
      if (!isObject(value) || typeof value['taskId'] !== 'string') return { issues: [{ message: 'taskId must be a string' }] }
      return { value: { taskId: value['taskId'] } }
    },
  },
}

interface ToolRun {
  readonly tool: string
  readonly parameters: JsonObject
}

const DONE: Result = { resultType: 'complete' }

function clientCapability(context: ServerContext, name: 'extensions'): unknown {
  const envelope: unknown = context.mcpReq.envelope
  const capabilities = isObject(envelope) ? envelope[CLIENT_CAPABILITIES_META_KEY] : null
  return isObject(capabilities) ? capabilities[name] : undefined
}

function offersTasks(context: ServerContext): boolean {
  const extensions = clientCapability(context, 'extensions')
  return isObject(extensions) && isObject(extensions[TASKS_EXTENSION])
}

/** The id in what every spawning tool answers with. */
function spawnedThread(result: MetaToolResult): string | null {
  const receipt = result.success ? result['result'] : null
  if (typeof receipt !== 'object' || receipt === null || !('thread_id' in receipt) || !('status' in receipt)) return null
  return receipt.status === 'spawned' && typeof receipt.thread_id === 'string' ? receipt.thread_id : null
}

function rowOrNull({ threads }: McpProject, threadId: string): ThreadRow | null {
  try {
    return threads.get(threadId)
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'THREAD_NOT_FOUND') return null
    throw error
  }
}

function taskOf(row: ThreadRow): Readonly<Record<string, unknown>> {
  return {
    taskId: row.thread_id,
    statusMessage: statusMessage(row),
    createdAt: row.created_at,
    lastUpdatedAt: row.updated_at,
    // A thread stays in the registry until somebody removes it.
    ttlMs: null,
    pollIntervalMs: POLL_INTERVAL_MS,
  }
}

function statusMessage({ directive_id: directive, status, turn, wait_reason: wait, end_reason: end }: ThreadRow): string {
  const why = wait ?? end
  return `${directive}: ${status}${why === null ? '' : ` (${why})`}, turn ${turn}`
}

/** A thread that ended badly is a tool that failed; the protocol keeps its own errors for calls that could not be made. */
function failureOf(row: ThreadRow, waited: MetaToolResult): MetaToolResult {
  const failed = new KiwiError(
    'EXECUTION_FAILED',
    `Thread ${row.thread_id} ended with ${row.status} (${row.end_reason ?? 'no reason'}).`,
    {
      facts: { thread_id: row.thread_id, end_reason: row.end_reason },
      suggestion: `Read why: execute read_transcript {"thread_id": "${row.thread_id}"}.`,
    },
  )
  return { ...failed.toEnvelope(), ...(waited.success ? { result: waited['result'] } : {}) }
}

/** Another wait has another key, so that an answer never goes to a question that came after it. */
function waitKey({ threads }: McpProject, row: ThreadRow): string {
  const [status] = threads.events(row.thread_id, { type: 'status', last: 1 })
  return `wait-${status?.seq ?? row.turn}`
}

/** Questions that are put at once, and that are named to a client without forms. */
const MAX_ASKED = 8
const MAX_NAMED = 3

function questionText({ approval_id: id, title }: ApprovalRow): string {
  return `asks: ${visibleLine(title).slice(0, 200).toWellFormed()} (answer_approval ${id})`
}

/** Each question by its id, and how the thread is resumed where nothing else keeps it. */
function inputRequestsOf(open: McpProject, row: ThreadRow, questions: readonly ApprovalRow[]): JsonObject {
  const forms = questions.slice(0, MAX_ASKED).map((question) => [question.approval_id, questionForm(question)] as const)
  const resume = mayResume(open, row) ? [[waitKey(open, row), resumeForm(row)] as const] : []
  const requests = [...forms, ...resume].map(([key, params]) => [key, { method: 'elicitation/create', params }] as const)
  // What a form consists of is JSON; its type only lacks an index signature.
  return open.redact(Object.fromEntries(requests) as unknown as JsonObject)
}

/** A question of the thread's own is answered, and not passed over by a resume; one that is paused needs both. */
function mayResume({ threads }: McpProject, { thread_id: threadId, status, wait_reason: reason }: ThreadRow): boolean {
  if (status === 'paused') return true
  if (!needsPerson(status, reason)) return false
  return threads.approvals.list({ thread_id: threadId, status: 'pending', limit: 1 }).length === 0
}

function resumeForm(row: ThreadRow): object {
  const message = `Thread ${row.thread_id} of ${row.directive_id} ${row.status === 'paused' ? 'is paused' : `waits for you (${row.wait_reason ?? 'no reason'})`}. It goes on when you accept.`
  const properties: Record<string, Json> = {
    message: { type: 'string', title: 'Message', description: 'What the thread is told before it goes on. May be empty.' },
    ...(row.wait_reason === 'budget_reached' ? AMOUNTS : {}),
  }
  return { mode: 'form', message, requestedSchema: { type: 'object', properties } }
}

/** What `resume_thread` can add. */
const AMOUNTS: JsonObject = {
  add_turns: { type: 'integer', minimum: 1, title: 'More turns' },
  add_tokens: { type: 'integer', minimum: 1, title: 'More tokens' },
  add_usd: { type: 'number', minimum: 0, title: 'More money (USD)' },
}

/** What a person filled in; null where nobody accepted. */
function acceptedContent(context: ServerContext, key: string): JsonObject | null {
  const response = responseTo(context, key)
  if (!isObject(response) || response['action'] !== 'accept') return null
  const content = response['content'] ?? {}
  return isObject(content) ? content : null
}

/** The library takes responses out of the parameters of any request. */
function responseTo({ mcpReq }: ServerContext, key: string): unknown {
  const responses: unknown = mcpReq.inputResponses
  return isObject(responses) && Object.hasOwn(responses, key) ? responses[key] : null
}

function resumeParameters(threadId: string, content: JsonObject): JsonObject {
  const { message } = content
  const amounts = Object.keys(AMOUNTS).flatMap((name) => {
    const amount = content[name]
    return typeof amount === 'number' && amount > 0 ? [[name, amount] as const] : []
  })
  return {
    thread_id: threadId,
    ...Object.fromEntries(amounts),
    ...(typeof message === 'string' && message.trim() !== '' ? { inject_message: message } : {}),
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, message)
}
