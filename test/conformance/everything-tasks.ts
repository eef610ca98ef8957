/** The Tasks extension of 2026-07-28: tools that answer with a task, which a client asks about until it has ended. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  acceptedContent,
  fromJsonSchema,
  inputRequired,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type CallToolResult,
  type InputRequest,
  type RequestStateCodec,
  type Server,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { capabilitiesOf } from './client-capabilities.ts'
import { type FixtureTool, text } from './fixture-tools.ts'
import { NAME_SCHEMA, nameRequest, type InputState } from './everything-inputs.ts'

export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks'

const POLL_MS = 100
const TTL_MS = 60_000
/** Of work that fails, so that a client sees it at work first. */
const FAILING_MS = 100

type InputRequests = Readonly<Record<string, InputRequest>>
type InputResponses = Readonly<Record<string, unknown>>

/** What the work of a task may use. */
interface AtWork {
  readonly signal: AbortSignal
  /** Parks the task until each has been answered. */
  readonly ask: (requests: InputRequests) => Promise<void>
}

type Work = (at: AtWork) => Promise<CallToolResult>

type Phase =
  | { readonly status: 'working' }
  | { readonly status: 'input_required'; readonly inputRequests: InputRequests; readonly done: () => void }
  | { readonly status: 'completed'; readonly result: CallToolResult }
  | { readonly status: 'failed'; readonly error: { readonly code: number; readonly message: string } }
  | { readonly status: 'cancelled' }

interface Task {
  readonly taskId: string
  readonly createdAt: string
  readonly stop: AbortController
  updatedAt: string
  phase: Phase
}

export interface TaskStore {
  /** The result that tells a client of its new task. */
  start(work: Work): CallToolResult
  shown(taskId: string): Readonly<Record<string, unknown>>
  answer(taskId: string, responses: InputResponses): void
  cancel(taskId: string): void
  close(): void
}

export function createTaskStore(): TaskStore {
  const tasks = new Map<string, Task>()
  const find = (taskId: string): Task => {
    const task = tasks.get(taskId)
    if (task === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such task.')
    return task
  }
  return {
    start(work) {
      const now = new Date().toISOString()
      const task: Task = {
        taskId: randomUUID(),
        createdAt: now,
        updatedAt: now,
        stop: new AbortController(),
        phase: { status: 'working' },
      }
      tasks.set(task.taskId, task)
      void run(task, work)
      // The library has no type for the result of an extension, and passes it on as it is.
      return { resultType: 'task', ...metadataOf(task) } as unknown as CallToolResult
    },
    shown(taskId) {
      const task = find(taskId)
      return { ...metadataOf(task), ...shownPhase(task.phase) }
    },
    answer: (taskId, responses) => take(find(taskId), responses),
    cancel(taskId) {
      const task = find(taskId)
      if (task.phase.status === 'working' || task.phase.status === 'input_required') enter(task, { status: 'cancelled' })
      task.stop.abort()
    },
    close() {
      for (const task of tasks.values()) task.stop.abort()
    },
  }
}

async function run(task: Task, work: Work): Promise<void> {
  const at: AtWork = {
    signal: task.stop.signal,
    ask: (inputRequests) => new Promise((resolve) => enter(task, { status: 'input_required', inputRequests, done: resolve })),
  }
  try {
    enter(task, { status: 'completed', result: await work(at) })
  } catch (error) {
    const code = error instanceof ProtocolError ? error.code : ProtocolErrorCode.InternalError
    enter(task, { status: 'failed', error: { code, message: String(error) } })
  }
}

/** Nothing follows a cancellation. */
function enter(task: Task, phase: Phase): void {
  if (task.phase.status === 'cancelled') return
  task.phase = phase
  task.updatedAt = new Date().toISOString()
}

function take(task: Task, responses: InputResponses): void {
  const { phase } = task
  if (phase.status !== 'input_required') return
  const open = Object.entries(phase.inputRequests).filter(([key]) => responses[key] === undefined)
  if (open.length > 0) return enter(task, { ...phase, inputRequests: Object.fromEntries(open) })
  enter(task, { status: 'working' })
  phase.done()
}

function metadataOf(task: Task): Readonly<Record<string, unknown>> {
  const { taskId, createdAt, updatedAt: lastUpdatedAt, phase } = task
  return { taskId, status: phase.status, createdAt, lastUpdatedAt, ttlMs: TTL_MS, pollIntervalMs: POLL_MS }
}

function shownPhase(phase: Phase): Readonly<Record<string, unknown>> {
  if (phase.status === 'input_required') return { inputRequests: phase.inputRequests }
  if (phase.status === 'completed') return { result: phase.result }
  return phase.status === 'failed' ? { error: phase.error } : {}
}

interface TaskTools {
  readonly tasks: TaskStore
  readonly codec: RequestStateCodec<InputState>
}

export function taskTools({ tasks, codec }: TaskTools): readonly FixtureTool[] {
  const job = (name: string, work: Work): FixtureTool => ({
    name,
    description: 'Runs as a task',
    call(context) {
      requireTasks(context)
      return tasks.start(work)
    },
  })
  return [
    {
      name: 'greet',
      description: 'Greets at once',
      inputSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
      call: (_, { name }) => text(`Hello, ${String(name)}!`),
    },
    {
      name: 'slow_compute',
      description: 'Takes its time',
      inputSchema: {
        type: 'object',
        properties: { seconds: { type: 'number', minimum: 0, maximum: 60 }, label: { type: 'string' } },
        required: ['seconds'],
      },
      call(context, { seconds }) {
        const work = computing(Number(seconds))
        return hasTasks(context) ? tasks.start(work) : work({ signal: context.mcpReq.signal, ask: async () => undefined })
      },
    },
    job('failing_job', async ({ signal }) => {
      await delay(FAILING_MS, undefined, { signal })
      return { ...text('The job failed, as it always does.'), isError: true }
    }),
    job('protocol_error_job', async ({ signal }) => {
      await delay(FAILING_MS, undefined, { signal })
      throw new ProtocolError(ProtocolErrorCode.InternalError, 'The job broke the protocol.')
    }),
    job('confirm_delete', async ({ ask }) => {
      await ask({ [randomUUID()]: confirmRequest() })
      return text('It is deleted.')
    }),
    job('multi_input', async ({ ask }) => {
      await ask({ [randomUUID()]: nameRequest(), [randomUUID()]: confirmRequest() })
      return text('Both are answered.')
    }),
    {
      name: 'test_tool_with_task',
      description: 'Asks, then runs as a task',
      async call(context) {
        requireTasks(context)
        const given = acceptedContent(context.mcpReq.inputResponses, 'user_name', NAME_SCHEMA)
        if (given !== undefined) return tasks.start(async () => text(`Done for ${given.name}.`))
        return inputRequired({ inputRequests: { user_name: nameRequest() }, requestState: await codec.mint({ step: 1 }) })
      },
    },
  ]
}

function computing(seconds: number): Work {
  return async ({ signal }) => {
    await delay(seconds * 1000, undefined, { signal })
    return text(`Computed for ${seconds} seconds.`)
  }
}

export function serveTasks(server: Server, tasks: TaskStore): void {
  const answer = (method: string, reply: (taskId: string, context: ServerContext) => object): void => {
    server.setRequestHandler(method, { params: TASK_PARAMS }, async ({ taskId }, context) => {
      requireTasks(context)
      return { resultType: 'complete', ...reply(taskId, context) }
    })
  }
  answer('tasks/get', (taskId) => tasks.shown(taskId))
  answer('tasks/update', (taskId, context) => {
    // The library takes them out of the parameters, for methods of extensions too.
    tasks.answer(taskId, context.mcpReq.inputResponses ?? {})
    return {}
  })
  answer('tasks/cancel', (taskId) => {
    tasks.cancel(taskId)
    return {}
  })
}

function hasTasks(context: ServerContext): boolean {
  return capabilitiesOf(context).extensions?.[TASKS_EXTENSION] !== undefined
}

function requireTasks(context: ServerContext): void {
  if (hasTasks(context)) return
  throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [TASKS_EXTENSION]: {} } } })
}

function confirmRequest(): InputRequest {
  return inputRequired.elicit({
    message: 'Really?',
    requestedSchema: { type: 'object', properties: { confirm: { type: 'boolean' } }, required: ['confirm'] },
  })
}

const TASK_PARAMS = fromJsonSchema<{ taskId: string }>({
  type: 'object',
  properties: { taskId: { type: 'string' } },
  required: ['taskId'],
})
