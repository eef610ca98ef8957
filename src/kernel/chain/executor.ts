/**
 * Runs one tool: resolve and verify its chain, check the parameters, ask whether it is allowed, render and check the configuration, make the
 * sinks, call the primitive.
 *
 * E1. What runs was verified: definitions and modules come from the bytes whose signature was checked, for every link.
 * E2. Nothing happens before `authorize` agreed to every part of the call, and it sees the parameters that will be used.
 * E3. Every sink is closed exactly once: by the primitive that streams into it, otherwise here.
 */
import { importVerified } from '../../primitives/runtime/verified-module.ts'
import type { AttachedSink } from '../../primitives/http-client/contract.ts'
import type { JsonObject } from '../../json.ts'
import type { Authorize, KernelOptions, MetaToolResult } from '../contract.ts'
import { KiwiError } from '../errors.ts'
import type { Item, Requirement } from '../items/item.ts'
import { TemplateError } from '../template/placeholder.ts'
import type { TemplateScope } from '../template/template.ts'
import { makeAddedSinks } from './added-sinks.ts'
import { askForPart, type CallPart, sinkGrant } from './call-permission.ts'
import { approvalRequired, type CallPlan, configError, planCall, unionOfRequirements } from './call-plan.ts'
import { primitiveFailure, returnedFailure, thrownFailure } from './failure.ts'
import { inheritedParameters } from './inherited-requires.ts'
import type { ExecutionContext, Primitive, PrimitiveCall, PrimitiveOutcome } from './primitive.ts'
import { type Chain, type Link, resolveChain } from './resolve-chain.ts'
import { createSchemaValidation, withDefaults, type SchemaValidation } from './schema-validation.ts'
import { closeSinks, destinationsOf, makeSinks, type SinkCall, sinkCalls, type SinkScope } from './sinks.ts'
import type { TrustedItems } from './trusted-items.ts'

export interface ExecutorOptions {
  readonly items: TrustedItems
  readonly primitives: readonly Primitive[]
  readonly env: KernelOptions['env']
  readonly authorize: Authorize | undefined
}

export interface Executor {
  /** Never rejects for a tool's failure. @throws {KiwiError} for everything that kept the tool from being called. */
  execute(toolId: string, parameters: JsonObject, context: ExecutionContext): Promise<MetaToolResult>
  /** The module of a runtime tool, from its verified bytes. @throws {KiwiError} */
  importModule(toolId: string): Promise<{ readonly item: Item; readonly module: Readonly<Record<string, unknown>> }>
}

/** A call that is permitted, and which of its sink destinations stand in signed files as they are. */
interface PreparedCall {
  readonly call: Omit<PrimitiveCall, 'sinks'>
  readonly isFixed: SinkScope['isFixed']
}

/** A call that is rendered and checked but not yet permitted. */
interface ReadyCall extends Pick<PreparedCall, 'isFixed'> {
  readonly call: Omit<PrimitiveCall, 'sinks' | 'context'>
  /** Everything beside the tool itself that is asked for on its own. */
  readonly parts: readonly CallPart[]
  readonly sinkRequires: readonly (readonly Requirement[])[]
  readonly approval: readonly Requirement[]
}

/** Far more than a project has tools. */
const MAX_PLANS = 2_000

export function createExecutor({ items, primitives, env, authorize }: ExecutorOptions): Executor {
  const validation = createSchemaValidation()
  const plans = createPlans(items)
  const openSink = primitives.find((primitive) => primitive.openSink !== undefined)?.openSink

  const prepare = async (plan: CallPlan, given: JsonObject, context: ExecutionContext): Promise<PreparedCall> => {
    const { chain } = plan
    const parameters = await checkedParameters(validation, plan, given)
    const readied = await settled(readyCall(plan, { parameters, context }))
    const sinks = readied.kind === 'ready' ? readied.ready.sinkRequires : []
    const reach = { chain: chain.ids, chainRequires: unionOfRequirements([plan.chainRequires, ...sinks]), context }
    // Called directly, a primitive is about what its file and the caller's parameters make together.
    const own = plan.template === null ? { ...plan.config, ...parameters } : parameters
    let grant = await askForPart(authorize, { item: chain.leaf.verified.item, requires: plan.requires, parameters: own }, reach)
    // What is wrong with its configuration is told only to those who may execute the tool.
    if (readied.kind === 'failed') throw readied.error
    const { call, parts, isFixed, approval } = readied.ready
    for (const part of parts) grant = await askForPart(authorize, part, reach)
    // Last, so that nobody is asked to agree to what could not be done anyway.
    if (approval.length > 0 && context.__check_only !== true)
      grant = await askForPart(authorize, { item: chain.leaf.verified.item, requires: approval, parameters: own }, reach)
    return { call: { ...call, context: grant === undefined ? context : { ...context, __grant: grant } }, isFixed }
  }

  /** Renders and checks everything that the call will use. Opens, makes and sends nothing (E2). */
  const readyCall = async (
    plan: CallPlan,
    { parameters, context }: { readonly parameters: JsonObject; readonly context: ExecutionContext },
  ): Promise<ReadyCall> => {
    const { chain, inherited, wrapped, primitiveRequires } = plan
    const { item } = chain.leaf.verified
    const envOf: TemplateScope['env'] = (name, path) => env(name, context, { path })
    const config = await renderedConfig(validation, plan, { parameters, env: envOf })
    const isFixed = fixedDestinationsOf(plan, envOf)
    const sinks = await shapedSinks(items, plan, { config, isFixed })
    const inner =
      wrapped === null ? parameters : await wrappedParameters(validation, chain, { module: wrapped.module, config, parameters })
    const runtime = wrapped?.module ?? (chain.leaf.tool.module ? chain.leaf : null)
    const parts = [
      ...inherited.map((link) => ({ item, requires: link.requires, parameters: inheritedParameters(link, config, parameters) })),
      // What a runtime tool requires is about its own parameters, not those of the tool file before it.
      { item, requires: wrapped?.requires ?? [], parameters: inner },
      { item, requires: primitiveRequires, parameters: config },
    ]
    return {
      call: {
        config,
        parameters: inner,
        leaf: leafOf(chain),
        ...(runtime === null ? {} : { runtimeTool: runtimeToolOf(runtime) }),
      },
      isFixed,
      parts: [...parts.filter(({ requires }) => requires.length > 0), ...sinks],
      sinkRequires: sinks.map(({ requires }) => requires),
      approval: sinks.some(({ approval }) => approval === 'required') ? approvalRequired(chain.leaf.id) : plan.approval,
    }
  }

  return {
    async execute(toolId, given, callerContext) {
      // A grant comes from `authorize` alone, whatever the caller brings.
      const { __grant: _forged, ...context } = callerContext
      const { __sinks: callerSinks = [] } = context
      let sinks: readonly AttachedSink[] = callerSinks
      let taken = false
      try {
        const plan = await plans.of(toolId)
        if (plan.chain.leaf.tool.toolType === 'sink') throw notExecutable(toolId)
        const primitive = primitives.find(({ id }) => id === plan.chain.primitive.id)
        if (primitive === undefined) throw missingPrimitive(plan.chain)
        const prepared = await prepare(plan, given, context)
        if (context.__check_only === true) return { success: true, item_type: 'tool', item_id: toolId, checked: true }
        if (plan.streams && prepared.call.config['mode'] === 'stream') {
          sinks = [...(await sinksOf({ items, openSink, authorize }, plan.chain, prepared)), ...sinks]
          taken = true
        }
        return await run(primitive, plan.chain, { ...prepared.call, sinks: taken ? sinks : [] })
      } finally {
        // E3
        if (!taken) await closeSinks(sinks)
      }
    },

    async importModule(toolId) {
      const { item, bytes, imports } = await items.require('tool', toolId)
      if (item.state.kind !== 'available' || item.state.definition.kind !== 'tool' || !item.state.definition.module) {
        throw new KiwiError('INVALID_REQUEST', `"${toolId}" is not a runtime tool, so it has no module.`)
      }
      return { item, module: await importVerified({ path: item.path, space: item.space, bytes, imports }) }
    },
  }
}

/** Plans by tool; a plan is used while every file of its chain is the one it was made from. */
function createPlans(items: TrustedItems): { of(toolId: string): Promise<CallPlan> } {
  const known = new Map<string, CallPlan>()
  return {
    async of(toolId) {
      const plan = known.get(toolId)
      // All links at once: one look at the files instead of one after the other.
      if (
        plan !== undefined &&
        (await Promise.all(plan.chain.links.map(async (link) => await isCurrent(items, link)))).every(Boolean)
      )
        return plan
      const made = planCall(await resolveChain(items, toolId))
      if (known.size >= MAX_PLANS) known.clear()
      known.set(toolId, made)
      return made
    },
  }
}

async function isCurrent(items: TrustedItems, { id, verified }: Link): Promise<boolean> {
  try {
    return (await items.require('tool', id)) === verified
  } catch (error) {
    // Resolving the chain again says what is wrong, and at which link.
    if (error instanceof KiwiError) return false
    throw error
  }
}

async function checkedParameters(validation: SchemaValidation, plan: CallPlan, given: JsonObject): Promise<JsonObject> {
  const reserved = Object.keys(given).find((key) => key.startsWith('__'))
  if (reserved !== undefined) {
    throw parameterError(plan.chain, plan.chain.leaf, [
      { field: reserved, error: 'is reserved: no parameter may begin with "__"' },
    ])
  }
  const parameters = withDefaults(plan.schema, given)
  const violations = await validation.check(plan.schema, parameters)
  if (violations.length > 0) throw parameterError(plan.chain, plan.chain.leaf, violations)
  return parameters
}

function parameterError(chain: Chain, link: Link, violations: Awaited<ReturnType<SchemaValidation['check']>>): KiwiError {
  const summary = violations.map(({ field, error }) => `${field} ${error}`).join('; ')
  return new KiwiError('PARAMETER_VALIDATION_ERROR', `The parameters of "${link.id}" do not fit: ${summary}.`, {
    chain: chain.ids,
    failedAt: { tool_id: link.id, config_path: null, validation_errors: violations },
    suggestion: `Load the tool "${chain.leaf.id}" to see its parameters.`,
  })
}

/** Tells the destinations that stand in a signed file as they are from those that the caller shaped; a primitive called directly has none. */
function fixedDestinationsOf({ fixedDestinations }: CallPlan, env: TemplateScope['env']): (destination: JsonObject) => boolean {
  const fixed = fixedDestinations?.render({ parameters: {}, isOptional: () => false, env })
  const texts = new Set(fixed === undefined ? [] : destinationsOf(fixed).map((destination) => JSON.stringify(destination)))
  return (destination) => texts.has(JSON.stringify(destination))
}

type ShapedSink = CallPart & Pick<SinkCall, 'approval'>

/** The sinks that are the caller's doing, each as a call of its tool. */
async function shapedSinks(
  items: TrustedItems,
  { chain, streams }: CallPlan,
  { config, isFixed }: { readonly config: JsonObject; readonly isFixed: SinkScope['isFixed'] },
): Promise<readonly ShapedSink[]> {
  if (!streams || config['mode'] !== 'stream') return []
  try {
    const calls = await sinkCalls(items, config, isFixed)
    return calls.map(({ item, requires, approval, options }) => ({ item, requires, approval, parameters: options }))
  } catch (error) {
    throw error instanceof KiwiError ? destinationError(chain, error) : error
  }
}

async function settled(
  readying: Promise<ReadyCall>,
): Promise<{ readonly kind: 'ready'; readonly ready: ReadyCall } | { readonly kind: 'failed'; readonly error: unknown }> {
  try {
    return { kind: 'ready', ready: await readying }
  } catch (error) {
    return { kind: 'failed', error }
  }
}

async function renderedConfig(
  validation: SchemaValidation,
  { chain, config: written, template, isOptional }: CallPlan,
  { parameters, env }: { readonly parameters: JsonObject; readonly env: TemplateScope['env'] },
): Promise<JsonObject> {
  // A primitive called directly is configured by its caller; the file's own values are its defaults.
  if (template === null) return { ...written, ...parameters }
  let config: JsonObject
  try {
    config = template.render({ parameters, isOptional, env })
  } catch (error) {
    if (error instanceof TemplateError) throw configError(chain, error.path, { message: error.message, validation: [] })
    throw error
  }
  const schema = chain.primitive.tool.configSchema
  const [first, ...others] = schema === null ? [] : await validation.check(schema, config)
  if (first === undefined) return config
  // Rendered values may hold secrets of the environment, so they are not shown.
  const validationErrors = [first, ...others].map(({ field, error }) => ({ field, error }))
  throw configError(chain, pathOf(first.field), { message: `${first.field} ${first.error}`, validation: validationErrors })
}

function pathOf(field: string): readonly (string | number)[] {
  if (field === '(all)') return []
  return [...field.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([part, index]) => (index === undefined ? part : Number(index)))
}

/** A tool file over a runtime tool may fix that tool's parameters under `config.parameters`; otherwise the caller's go through. */
async function wrappedParameters(
  validation: SchemaValidation,
  chain: Chain,
  { module, config, parameters }: { readonly module: Link; readonly config: JsonObject; readonly parameters: JsonObject },
): Promise<JsonObject> {
  const fixed = config['parameters']
  // Neither null nor a list: what is left of Json is an object.
  const given = typeof fixed === 'object' && fixed !== null && !Array.isArray(fixed) ? (fixed as JsonObject) : parameters
  const schema = module.tool.inputSchema ?? { type: 'object', additionalProperties: false }
  const complete = withDefaults(schema, given)
  const violations = await validation.check(schema, complete)
  if (violations.length > 0) throw parameterError(chain, module, violations)
  return complete
}

function leafOf({ leaf: { id, tool, verified } }: Chain): PrimitiveCall['leaf'] {
  return { id, description: verified.item.description, inputSchema: tool.inputSchema }
}

function runtimeToolOf({ id, verified: { item, bytes, imports } }: Link): NonNullable<PrimitiveCall['runtimeTool']> {
  return { id, path: item.path, space: item.space, bytes, imports }
}

async function sinksOf(
  {
    items,
    openSink,
    authorize,
  }: Pick<ExecutorOptions, 'items' | 'authorize'> & { readonly openSink: Primitive['openSink'] | undefined },
  chain: Chain,
  { call: { config, context }, isFixed }: PreparedCall,
): Promise<readonly AttachedSink[]> {
  const reach = { chain: chain.ids, context }
  const scope: SinkScope = {
    context,
    isFixed,
    openSink,
    grantFor: async ({ options: parameters, ...part }, destination) =>
      await sinkGrant(authorize, { ...part, parameters }, { ...reach, ...destination }),
  }
  try {
    const made = await makeSinks(items, config, scope)
    return [...made, ...(await makeAddedSinks({ items, authorize, chain: chain.ids, made }, scope))]
  } catch (error) {
    throw error instanceof KiwiError ? destinationError(chain, error) : error
  }
}

function destinationError(chain: Chain, error: KiwiError): KiwiError {
  const index = error.context.facts?.['destination']
  const failed = configError(chain, ['stream', 'destinations', ...(typeof index === 'number' ? [index] : [])], {
    message: error.message,
    validation: [],
  })
  return new KiwiError('TOOL_CHAIN_FAILED', failed.message, {
    ...failed.context,
    error,
    cause: { code: error.code, message: error.message },
  })
}

async function run(primitive: Primitive, chain: Chain, call: PrimitiveCall): Promise<MetaToolResult> {
  let outcome: PrimitiveOutcome
  try {
    outcome = await primitive.execute(call)
  } catch (error) {
    return thrownFailure(chain, error).toEnvelope()
  }
  const { value, error } = outcome
  const sandbox = outcome.sandbox === undefined ? {} : { sandbox: outcome.sandbox }
  if (error !== null) return { ...primitiveFailure(chain, { value, error }), ...sandbox }
  const returned = call.runtimeTool === undefined ? null : returnedFailure(chain, value)
  if (returned !== null) return { ...returned, ...sandbox }
  return { success: true, item_type: 'tool', item_id: chain.leaf.id, result: value, ...sandbox }
}

function notExecutable(toolId: string): KiwiError {
  const suggestion = 'Name it under config.stream.destinations of a tool that streams.'
  return new KiwiError('INVALID_REQUEST', `"${toolId}" is a sink: streams write to it, and it is not executed.`, { suggestion })
}

function missingPrimitive(chain: Chain): KiwiError {
  const message = `This process has no primitive named "${chain.primitive.id}".`
  return new KiwiError('TOOL_CHAIN_FAILED', message, {
    chain: chain.ids,
    failedAt: { tool_id: chain.primitive.id, config_path: null, validation_errors: [] },
    cause: { code: 'ITEM_NOT_FOUND', message },
  })
}
