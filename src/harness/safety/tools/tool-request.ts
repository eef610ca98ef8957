import type { ItemQuestion } from '../../../capabilities/contract.ts'
import type { Json, JsonObject } from '../../../json.ts'
import { createSchemaValidation } from '../../../kernel/chain/schema-validation.ts'
import type { SchemaValidation } from '../../../kernel/chain/schema-validation.ts'
import type { Kernel, MetaToolRequest, MetaToolResult } from '../../../kernel/contract.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { META_TOOLS } from '../../../kernel/meta-tools/meta-tools.ts'
import type { Effect } from '../../../threads/engine.ts'
import type { ToolCall, ToolSpec } from '../../base/conversation.ts'

/** The meta-tools that a model on a thread is given: all but `sign`, which is a person's. */
type Verb = 'search' | 'load' | 'execute' | 'help'

const VERBS: readonly Verb[] = ['search', 'load', 'execute', 'help']
/** A thread belongs to one project, so its model is not asked for one. */
const HIDDEN_FIELD = 'project_path'

/** `help` with an action: the model says how it stands. */
export interface HelpSignal {
  readonly action: string
  readonly reason: string
}

/** A call of the model that may run, with everything the harness must know about it beforehand. */
export interface RunnableCall {
  readonly kind: 'runnable'
  readonly call: ToolCall
  /** Id of the inner tool or item for `execute`, else the verb: what transcripts, effects and loops go by. */
  readonly item: string
  readonly verb: Verb
  /** The item that the call names, for the first look at its permissions; null when it names none that is there. */
  readonly question: ItemQuestion | null
  readonly parameters: JsonObject
  readonly effect: Effect
  /** Repeating it is its purpose, so it is no loop. */
  readonly poll: boolean
  /** A help signal of the model: noted in the transcript, and `escalate` makes the thread wait for a person. */
  readonly helpSignal: HelpSignal | null
  run(context: Partial<ExecutionContext>): Promise<MetaToolResult>
}

export type PreparedCall =
  | RunnableCall
  | { readonly kind: 'rejected'; readonly call: ToolCall; readonly item: string; readonly error: KiwiError }

/** Turns the model's calls into requests of the kernel, and refuses those that are none. */
export interface ToolRequests {
  /** Exactly `search`, `load`, `execute`, `help`. */
  readonly specs: readonly ToolSpec[]
  /** `refusal` rejects the call whatever it asks for. */
  prepare(call: ToolCall, refusal?: KiwiError | null): Promise<PreparedCall>
}

/** The one meta-tool layer of all threads of a kernel; schemas are compiled once. */
export function createToolRequests(kernel: Kernel): ToolRequests {
  const validation = createSchemaValidation()
  const specs = VERBS.map(specOf)
  const prepare = async (call: ToolCall, refusal: KiwiError | null = null): Promise<PreparedCall> => {
    const item = itemOf(call)
    if (refusal !== null) return { kind: 'rejected', call, item, error: refusal }
    try {
      return await runnable({ kernel, validation, specs }, call, item)
    } catch (error) {
      if (error instanceof KiwiError) return { kind: 'rejected', call, item, error }
      throw error
    }
  }
  return { specs, prepare }
}

async function runnable(
  deps: { readonly kernel: Kernel; readonly validation: SchemaValidation; readonly specs: readonly ToolSpec[] },
  call: ToolCall,
  item: string,
): Promise<RunnableCall> {
  if (call.invalid !== undefined) throw invalidRequest(`The arguments of ${call.name} are not a JSON object: ${call.invalid}`)
  const spec = deps.specs.find(({ name }) => name === call.name)
  const verb = VERBS.find((name) => name === call.name)
  if (spec === undefined || verb === undefined) throw unknownTool(call.name)
  refuseReserved(call.arguments)
  const violations = await deps.validation.check(spec.input_schema, call.arguments)
  const [first] = violations
  if (first !== undefined) {
    throw new KiwiError('INVALID_REQUEST', `The arguments of ${verb} are not valid: ${first.field} ${first.error}.`, {
      failedAt: { tool_id: verb, config_path: null, validation_errors: violations },
      suggestion: 'Correct the fields named in validation_errors. Parameters of a tool go into `parameters`.',
    })
  }
  // Checked against the schema of this very type above.
  const request = call.arguments as MetaToolRequest
  const parameters = verb === 'execute' ? objectOf(call.arguments['parameters']) : call.arguments
  const helpSignal =
    verb === 'help' && request.action !== undefined ? { action: request.action, reason: request.reason ?? '' } : null
  return {
    kind: 'runnable',
    call,
    item,
    verb,
    parameters,
    ...(await natureOf(deps.kernel, verb, request)),
    helpSignal,
    run: (context) => (helpSignal === null ? deps.kernel[verb](request, context) : Promise.resolve(recorded(helpSignal))),
  }
}

/** The kernel has no thread to signal to; here there is one. */
function recorded({ action }: HelpSignal): MetaToolResult {
  const message =
    action === 'escalate'
      ? 'The thread now waits for a person.'
      : 'Noted for whoever watches this thread. Go on; an answer arrives as a message.'
  return { success: true, action, recorded: true, message }
}

/** The effect and loop rule of a call, for `execute` those of the inner tool, and the item that it is about. */
async function natureOf(
  kernel: Kernel,
  verb: Verb,
  request: MetaToolRequest,
): Promise<Pick<RunnableCall, 'effect' | 'poll' | 'question'>> {
  const { item_type: itemType, item_id: itemId } = request
  if ((verb !== 'execute' && verb !== 'load') || itemType === undefined || itemId === undefined)
    return { effect: 'pure', poll: false, question: null }
  const item = await kernel.find(itemType, itemId, request.source ?? 'all')
  const question: ItemQuestion = { itemType, itemId, category: item.category }
  // Loading into a destination copies a file.
  if (verb === 'load') return { effect: request.destination === undefined ? 'pure' : 'idempotent', poll: false, question }
  const definition = item.state.kind === 'available' ? item.state.definition : null
  // What is not available does not run; the kernel's answer says why.
  if (definition?.kind !== 'tool') return { effect: 'pure', poll: false, question }
  return { effect: definition.effect, poll: definition.loop?.['poll'] === true, question }
}

function refuseReserved(given: JsonObject): void {
  const reserved = [...Object.keys(given), ...Object.keys(objectOf(given['parameters']))].find((key) => key.startsWith('__'))
  if (reserved !== undefined)
    throw invalidRequest(`"${reserved}" cannot be given: names that begin with "__" belong to the system.`)
}

function specOf(verb: Verb): ToolSpec {
  const tool = META_TOOLS.find(({ name }) => name === verb)
  if (tool === undefined) throw new KiwiError('INTERNAL', `The kernel has no meta-tool ${verb}.`)
  const properties = Object.fromEntries(
    Object.entries(objectOf(tool.inputSchema['properties'])).filter(([name]) => name !== HIDDEN_FIELD),
  )
  return { name: verb, description: tool.description, input_schema: { ...tool.inputSchema, properties } }
}

function itemOf(call: ToolCall): string {
  const id = call.name === 'execute' ? call.arguments['item_id'] : undefined
  return typeof id === 'string' && id !== '' ? id.slice(0, 128) : call.name.slice(0, 64)
}

function unknownTool(name: string): KiwiError {
  if (name === 'sign') {
    return new KiwiError('PERMISSION_DENIED', 'A thread does not sign: a signature says that a person has read the item.', {
      facts: { missing: ['kiwi-mcp.sign'] },
      suggestion:
        'Ask for it: help {"action": "escalate", "reason": "please sign …"} with type and id; a person then runs kiwi sign TYPE ID.',
    })
  }
  return new KiwiError('INVALID_REQUEST', `There is no tool "${name.slice(0, 64)}". The tools are ${VERBS.join(', ')}.`, {
    suggestion: `To run an item: execute {"item_type": "tool", "item_id": ${JSON.stringify(name.slice(0, 64))}, "parameters": {…}}.`,
  })
}

function invalidRequest(message: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', message, { suggestion: 'Send the call again with corrected arguments.' })
}

function objectOf(value: Json | undefined): JsonObject {
  // Neither null nor an array: what is left of Json is an object.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}
