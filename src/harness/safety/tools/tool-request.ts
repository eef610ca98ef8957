import type { ItemQuestion } from '../../../capabilities/contract.ts'
import type { Json, JsonObject } from '../../../json.ts'
import { createSchemaValidation } from '../../../kernel/chain/schema-validation.ts'
import type { SchemaValidation } from '../../../kernel/chain/schema-validation.ts'
import type { Kernel, MetaToolRequest, MetaToolResult } from '../../../kernel/contract.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { Item, ToolDefinition } from '../../../kernel/items/item.ts'
import { META_TOOLS } from '../../../kernel/meta-tools/meta-tools.ts'
import type { Effect } from '../../../threads/engine.ts'
import type { ToolCall, ToolSpec } from '../../base/conversation.ts'
import { signQuestion } from '../changes/sign-change.ts'

/** The meta-tools that a model on a thread is given: all but `sign`, which is a person's. */
type GivenVerb = 'search' | 'load' | 'execute' | 'help'
/** A model that calls `sign` all the same asks for a signature. */
type Verb = GivenVerb | 'sign'

const GIVEN: readonly GivenVerb[] = ['search', 'load', 'execute', 'help']
const VERBS: readonly Verb[] = [...GIVEN, 'sign']
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
  /** Somebody must agree to it before it runs. */
  readonly approval: boolean
  /** What answers is code of the package, and not what it has from a server, a program or a file. */
  readonly isShipped: boolean
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
  const known = VERBS.map(specOf)
  const specs = known.filter(({ name }) => name !== 'sign')
  const prepare = async (call: ToolCall, refusal: KiwiError | null = null): Promise<PreparedCall> => {
    const item = itemOf(call)
    if (refusal !== null) return { kind: 'rejected', call, item, error: refusal }
    try {
      return await runnable({ kernel, validation, specs: known }, call, item)
    } catch (error) {
      if (error instanceof KiwiError) return { kind: 'rejected', call, item, error }
      throw error
    }
  }
  return { specs, prepare }
}

/** What a call gives to the item that it is about; the whole of it where it is about none. */
export function parametersOf(call: ToolCall): JsonObject {
  return call.name === 'execute' ? objectOf(call.arguments['parameters']) : call.arguments
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
  const parameters = parametersOf(call)
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
    run: (context) => run(deps.kernel, { verb, request, helpSignal }, context),
  }
}

async function run(
  kernel: Kernel,
  {
    verb,
    request,
    helpSignal,
  }: { readonly verb: Verb; readonly request: MetaToolRequest; readonly helpSignal: HelpSignal | null },
  context: Partial<ExecutionContext>,
): Promise<MetaToolResult> {
  if (helpSignal !== null) return recorded(helpSignal)
  return verb === 'sign' ? signQuestion(kernel, request, context) : kernel[verb](request, context)
}

/** What each help signal brings about; `help` of the kernel has no thread to signal to. */
const SIGNALS: Readonly<Record<string, string>> = {
  guidance: 'Noted for whoever watches this thread. Go on; an answer arrives as a message.',
  checkpoint: 'A checkpoint stands in the log: another thread can be made to go on from here. Go on.',
  stuck:
    'Somebody is asked, or a hook of the directive looks at it; the thread goes on with their answer, or without one when their time is over.',
  escalate: 'A person is asked. The thread waits for the answer, and goes on without one when their time is over.',
}

function recorded({ action, reason }: HelpSignal): MetaToolResult {
  const name = action === 'checkpoint' ? { name: checkpointName(reason) } : {}
  return { success: true, action, recorded: true, ...name, message: SIGNALS[action] ?? 'Noted.' }
}

/** What a checkpoint is called: the beginning of its reason in letters, digits and hyphens. */
export function checkpointName(reason: string): string {
  const slug = reason
    .slice(0, CHECKPOINT_CHARACTERS)
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-|-$/g, '')
  return slug === '' ? 'checkpoint' : slug
}

const CHECKPOINT_CHARACTERS = 64

/** The effect and loop rule of a call, for `execute` those of the inner tool, and the item that it is about. */
async function natureOf(
  kernel: Kernel,
  verb: Verb,
  request: MetaToolRequest,
): Promise<Pick<RunnableCall, 'effect' | 'approval' | 'isShipped' | 'poll' | 'question'>> {
  const { item_type: itemType, item_id: itemId } = request
  const plain = { effect: 'pure', approval: false, isShipped: true, poll: false } as const
  if (verb === 'search' || verb === 'help' || itemType === undefined || itemId === undefined) return { ...plain, question: null }
  const finding = kernel.find(itemType, itemId, request.source ?? 'all')
  // Whether it may ask comes first; then the kernel says what is wrong with the item.
  const item = verb === 'sign' ? await finding.catch(() => null) : await finding
  if (item === null) return { ...plain, question: null }
  const question: ItemQuestion = { itemType, itemId, category: item.category }
  // Loading into a destination copies a file.
  if (verb !== 'execute')
    return { ...plain, effect: verb === 'sign' || request.destination === undefined ? 'pure' : 'idempotent', question }
  const definition = definitionOf(item)
  // What is not available does not run; the kernel's answer says why.
  if (definition === null) return { ...plain, isShipped: false, question }
  return {
    effect: definition.effect,
    approval: await needsApproval(kernel, definition),
    isShipped: item.space === 'system' && definition.module,
    poll: definition.loop?.['poll'] === true,
    question,
  }
}

/**
 * Whether a link of the tool's chain is marked. It is only told beforehand here, so that nobody takes a call for one that ran; the kernel
 * asks for the approval itself.
 */
async function needsApproval(kernel: Kernel, tool: ToolDefinition): Promise<boolean> {
  const seen = new Set<string>()
  for (let link: ToolDefinition | null = tool; link !== null;) {
    if (link.approval === 'required') return true
    const executorId: string | null = link.executorId
    if (executorId === null || seen.has(executorId)) return false
    seen.add(executorId)
    link = await kernel.find('tool', executorId).then(definitionOf, () => null)
  }
  return false
}

function definitionOf({ state }: Item): ToolDefinition | null {
  return state.kind === 'available' && state.definition.kind === 'tool' ? state.definition : null
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
  return new KiwiError('INVALID_REQUEST', `There is no tool "${name.slice(0, 64)}". The tools are ${GIVEN.join(', ')}.`, {
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
