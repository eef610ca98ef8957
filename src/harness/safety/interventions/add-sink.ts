import type { Capabilities } from '../../../capabilities/contract.ts'
import { tollOf } from '../../../capabilities/gate/ai-folder.ts'
import { createThreadGrants } from '../../../capabilities/gate/call-grant.ts'
import { wantedBy } from '../../../capabilities/gate/wanted.ts'
import type { Wanted } from '../../../capabilities/gate/wanted.ts'
import type { JsonObject } from '../../../json.ts'
import type { AddedDestination, ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { createSchemaValidation } from '../../../kernel/chain/schema-validation.ts'
import { sinkOptions, sinkToolOf } from '../../../kernel/chain/sinks.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { Item, ToolDefinition } from '../../../kernel/items/item.ts'
import type { HarnessServices } from '../services.ts'
import { assertAllowed } from './allowed-actions.ts'
import { callingThread } from './thread-access.ts'
import { intervene } from './thread-control.ts'
import type { SignalReceipt } from './thread-control.ts'

/** Where the signal of a thread says what the sink may reach: no more than what the thread was asked for when it added it. */
const REACH = '__reach'
const MAX_ADDED = 16

interface SinkTool {
  readonly item: Item
  readonly tool: ToolDefinition
}

/**
 * Adds a destination to the stream of a thread, from its next model call on. All that can be known of it is checked now: its sink, its
 * configuration, its place in the project, and for a calling thread that its own token allows what the sink requires.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND, PERMISSION_DENIED, ILLEGAL_TRANSITION, INVALID_REQUEST, ITEM_NOT_FOUND and the other codes of an item,
 * PARAMETER_VALIDATION_ERROR, PATH_OUTSIDE_PROJECT, LIMIT_EXCEEDED.
 */
export async function addSink(
  services: HarnessServices,
  context: ExecutionContext,
  add: { readonly threadId: string; readonly destination: JsonObject; readonly reason: string },
): Promise<SignalReceipt> {
  const { threadId, reason } = add
  await assertAllowed(services, context, { threadId, action: 'add_sink' })
  assertRoom(services, threadId)
  const destination = placed(add.destination, threadId)
  assertNoSecret(services, destination)
  const sink = await sinkOf(services, destination)
  if (callingThread(context) !== null) assertUnasked(sink)
  const options = sinkOptions(destination)
  await assertOptions(sink, options)
  const wanted = await wantedOf(services, sink, { options, context })
  const reach = callingThread(context) === null ? null : await reachOf(services, context, { sink, options, wanted })
  const body = { destination: reach === null ? destination : { ...destination, [REACH]: reach } }
  return intervene(services, context, { threadId, action: 'add_sink', reason, body })
}

/** The destinations that were added to a thread, as its model calls take them. */
export function addedDestinations(threadId: string, sinks: readonly JsonObject[]): readonly AddedDestination[] {
  return sinks.map(({ [REACH]: reach, ...destination }) => {
    if (typeof reach !== 'object' || reach === null || Array.isArray(reach)) return { destination }
    // `addSink` wrote it, from capabilities.
    const capabilities = reach as unknown as Capabilities
    const grants = { capabilities, orchestration: null, knowledge: [], directives: [] }
    const claims = { jti: '', parentJti: null, threadId, directiveId: '', grants, issuedAtMs: 0, expiresAtMs: 0 }
    return { destination, grant: createThreadGrants(() => true).of(claims, Object.keys(capabilities)) }
  })
}

function assertRoom({ threads }: HarnessServices, threadId: string): void {
  const added = threads
    .events(threadId, { type: 'intervention', last: 1_000 })
    .filter(({ payload }) => payload['action'] === 'sink').length
  if (added < MAX_ADDED) return
  throw new KiwiError('LIMIT_EXCEEDED', `Thread ${threadId} has ${added} added destinations; the most is ${MAX_ADDED}.`)
}

/** With the id of the thread in its place, as in the file of a tool. */
function placed(destination: JsonObject, threadId: string): JsonObject {
  const { path, url } = destination
  return {
    ...destination,
    ...(typeof path === 'string' ? { path: path.replaceAll('{thread_id}', threadId) } : {}),
    ...(typeof url === 'string' ? { url: url.replaceAll('{thread_id}', threadId) } : {}),
  }
}

/** What is journaled holds no secret, and a destination without its secret would only fail later. */
function assertNoSecret(services: HarnessServices, destination: JsonObject): void {
  const secret = services.redactor().find(destination)
  if (secret === null) return
  throw new KiwiError('SECRET_IN_PARAMETERS', `The destination holds the value of ${secret}, which is a secret.`, {
    suggestion: 'Name destinations that need a secret in a signed tool file, with ${NAME} in its place.',
  })
}

async function sinkOf({ kernel }: HarnessServices, { type }: JsonObject): Promise<SinkTool> {
  const id = typeof type === 'string' ? sinkToolOf(type) : null
  if (id === null) throw noSink(typeof type === 'string' ? type : '')
  const item = await kernel.require('tool', id)
  const tool = item.state.kind === 'available' && item.state.definition.kind === 'tool' ? item.state.definition : null
  if (tool?.toolType !== 'sink' || !tool.module) throw noSink(id)
  return { item, tool }
}

function noSink(type: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', `"${type.slice(0, 128)}" is no sink that can be added.`, {
    suggestion: 'Use file_sink, websocket_sink, null_sink, or a sink of the project.',
  })
}

/** A stream cannot wait for anybody: what somebody has to agree to is added by the one who would be asked. */
function assertUnasked({ item, tool }: SinkTool): void {
  if (tool.approval !== 'required') return
  const missing = [`tool.approved ${JSON.stringify(item.id)}`]
  throw new KiwiError(
    'PERMISSION_DENIED',
    `"${item.id}" may not be added by a thread: somebody has to agree to each use of it.`,
    {
      facts: { missing },
      suggestion: 'Use another sink, or let a person add it with kiwi sink.',
    },
  )
}

async function assertOptions({ item, tool }: SinkTool, options: JsonObject): Promise<void> {
  const violations = await createSchemaValidation().check(
    tool.inputSchema ?? { type: 'object', additionalProperties: false },
    options,
  )
  if (violations.length === 0) return
  const summary = violations.map(({ field, error }) => `${field} ${error}`).join('; ')
  throw new KiwiError('PARAMETER_VALIDATION_ERROR', `The destination does not fit ${item.id}: ${summary}.`, {
    failedAt: { tool_id: item.id, config_path: null, validation_errors: violations },
    suggestion: `Load the tool "${item.id}" to see what its destinations have.`,
  })
}

type Place = Extract<Wanted, { readonly kind: 'flag' | 'value' | 'scope' }>

/** What the sink will reach. The operator may reach everything but what is closed to everybody. */
async function wantedOf(
  services: HarnessServices,
  { tool }: SinkTool,
  { options, context }: { readonly options: JsonObject; readonly context: ExecutionContext },
): Promise<readonly Place[]> {
  const vocabulary = await services.vocabulary()
  return tool.requires
    .flatMap((requirement) => wantedBy(requirement, options, vocabulary))
    .map((wanted) => {
      if (wanted.kind === 'refused') {
        const isPath = wanted.missing.capability?.startsWith('fs.') === true
        const code = isPath ? 'PATH_OUTSIDE_PROJECT' : 'INVALID_REQUEST'
        throw new KiwiError(code, `The destination cannot be used: ${wanted.missing.text}.`, {
          suggestion: wanted.missing.remedy?.text ?? 'Use a path of the project, or the URL of a server.',
        })
      }
      const toll = wanted.kind === 'flag' ? null : tollOf(wanted, context.__user_space)
      if (toll?.kind === 'closed') throw new KiwiError('PERMISSION_DENIED', `The destination cannot be used: ${toll.reason}.`)
      return wanted
    })
}

/** What the calling thread was permitted, as capabilities of their own. @throws {KiwiError} PERMISSION_DENIED */
async function reachOf(
  services: HarnessServices,
  context: ExecutionContext,
  asked: { readonly sink: SinkTool; readonly options: JsonObject; readonly wanted: readonly Place[] },
): Promise<JsonObject> {
  const { item, tool } = asked.sink
  const { requires } = tool
  const answer = await services.gate.authorize({
    verb: 'execute',
    itemType: 'tool',
    itemId: item.id,
    category: item.category,
    requires,
    chainRequires: requires,
    parameters: asked.options,
    context,
  })
  if (!answer.permitted) {
    const { code = 'PERMISSION_DENIED', missing, suggestion } = answer
    throw new KiwiError(code, `"${item.id}" may not be added here: ${missing.join(', ')} is missing.`, {
      suggestion,
      facts: { missing },
    })
  }
  const reach: Record<string, readonly string[] | true> = {}
  for (const wanted of asked.wanted) {
    if (wanted.kind === 'flag') {
      reach[wanted.id] = true
      continue
    }
    const known = reach[wanted.id]
    reach[wanted.id] = [
      ...(known === undefined || known === true ? [] : known),
      wanted.kind === 'value' ? wanted.value : wanted.scope,
    ]
    const toll = tollOf(wanted, context.__user_space)
    if (toll.kind === 'capability') reach[toll.id] = true
  }
  return reach
}
