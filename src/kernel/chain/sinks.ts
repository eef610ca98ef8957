import type { AttachedSink, Sink, SinkFailurePolicy } from '../../primitives/http-client/contract.ts'
import type { Grant } from '../../primitives/sandbox/contract.ts'
import { importVerified } from '../../primitives/runtime/verified-module.ts'
import type { Json, JsonObject } from '../../json.ts'
import { KiwiError } from '../errors.ts'
import type { VerifiedItem } from '../items/item-store.ts'
import type { Item, Requirement, ToolDefinition } from '../items/item.ts'
import type { ExecutionContext, Primitive } from './primitive.ts'
import type { TrustedItems } from './trusted-items.ts'

type SinkFactory = (
  options: JsonObject,
  context: Pick<ExecutionContext, 'projectPath' | 'signal' | '__user_space'> & { readonly grant?: Grant },
) => Promise<Sink>

/** Built into the HTTP client: it is named in a configuration, but no tool makes it. */
const BUILT_IN = 'return'
const ALIASES: ReadonlyMap<string, string> = new Map([['file', 'file_sink']])
const POLICIES: ReadonlySet<unknown> = new Set<SinkFailurePolicy>(['fail', 'drop', 'retry'])

/**
 * Makes the sinks of `config.stream.destinations` by running each destination's sink tool. The tool gets the destination's own fields
 * and, over them, those of its `config`.
 *
 * What the system refuses (a full disk, too many open files) falls under the destination's policy like a failed write; everything else
 * is a mistake in the configuration.
 *
 * @throws {KiwiError} when a sink cannot be made; those already made are closed first. The message names the destination.
 */
export async function makeSinks(items: TrustedItems, config: JsonObject, scope: SinkScope): Promise<readonly AttachedSink[]> {
  const made: AttachedSink[] = []
  for (const [index, destination] of destinationsOf(config).entries()) {
    if (destination['type'] === BUILT_IN) continue
    try {
      made.push(await makeSink(items, destination, scope))
    } catch (error) {
      if (isSystemError(error) && destination['on_error'] !== 'fail') {
        made.push(lostSink(destination, error))
        continue
      }
      await closeSinks(made)
      if (error instanceof KiwiError) throw withPlace(error, index)
      const message = error instanceof Error ? error.message : String(error)
      throw withPlace(new KiwiError('SINK_FAILED', message, { error }), index)
    }
  }
  return made
}

/** Closes sinks that no primitive has taken over. A sink that cannot be closed does not keep the others open. */
export async function closeSinks(sinks: readonly AttachedSink[]): Promise<void> {
  await Promise.allSettled(sinks.map(async ({ sink }) => await sink.close()))
}

/** For whom sinks are made. */
export interface SinkScope {
  readonly context: ExecutionContext
  /** Whether a destination stands in a signed file as it is. */
  readonly isFixed: (destination: JsonObject) => boolean
  /** Where sinks of projects and users run; undefined where none can. */
  readonly openSink: Primitive['openSink'] | undefined
  /** What such a sink may reach; undefined for nothing. */
  readonly grantFor: (call: SinkCall, destination: { readonly isFixed: boolean }) => Promise<Grant | undefined>
}

/** One destination as a call of its sink tool. */
export interface SinkCall {
  readonly item: Item
  readonly requires: readonly Requirement[]
  readonly approval: ToolDefinition['approval']
  /** What the sink is made with. */
  readonly options: JsonObject
}

/**
 * The calls of sink tools that the destinations of a rendered configuration amount to, but for those that `isFixed`. Makes nothing.
 *
 * @throws {KiwiError} as `makeSinks` does.
 */
export async function sinkCalls(
  items: TrustedItems,
  config: JsonObject,
  isFixed: (destination: JsonObject) => boolean,
): Promise<readonly SinkCall[]> {
  const calls: SinkCall[] = []
  for (const [index, destination] of destinationsOf(config).entries()) {
    if (destination['type'] === BUILT_IN || isFixed(destination)) continue
    try {
      const { tool, verified } = await requireSink(items, destination)
      calls.push(callOf(tool, verified, destination))
    } catch (error) {
      throw error instanceof KiwiError ? withPlace(error, index) : error
    }
  }
  return calls
}

function callOf({ requires, approval }: ToolDefinition, { item }: VerifiedItem, destination: JsonObject): SinkCall {
  return { item, requires, approval, options: sinkOptions(destination) }
}

/** The destination's own fields and, over them, those of its `config`. */
export function sinkOptions({ type: _type, on_error: _onError, buffer: _buffer, config, ...own }: JsonObject): JsonObject {
  return { ...own, ...(isMap(config) ? config : {}) }
}

/** The id of the tool that makes the sinks of this `type`; null for the one that no tool makes. */
export function sinkToolOf(type: string): string | null {
  return type === BUILT_IN ? null : sinkTypeOf(type)
}

function sinkTypeOf(written: string): string {
  return ALIASES.get(written) ?? written
}

async function requireSink(
  items: TrustedItems,
  { type: written }: JsonObject,
): Promise<{ readonly type: string; readonly tool: ToolDefinition; readonly verified: VerifiedItem }> {
  if (typeof written !== 'string') throw new KiwiError('CONFIG_VALIDATION_ERROR', 'A stream destination has no `type`.')
  const type = sinkTypeOf(written)
  const verified = await items.require('tool', type)
  const { item } = verified
  const tool = item.state.kind === 'available' && item.state.definition.kind === 'tool' ? item.state.definition : null
  if (tool?.toolType !== 'sink' || !tool.module)
    throw new KiwiError('CONFIG_VALIDATION_ERROR', `"${type}" is no sink: its tool type is ${tool?.toolType ?? 'unknown'}.`)
  return { type, tool, verified }
}

async function makeSink(items: TrustedItems, destination: JsonObject, scope: SinkScope): Promise<AttachedSink> {
  const { on_error: onError, buffer } = destination
  const { type, tool, verified } = await requireSink(items, destination)
  const open = verified.item.space === 'system' ? openShipped : openApart
  const made = await open(type, { tool, verified, destination, scope })
  return {
    sink: scope.context.__wrap_sink?.(made) ?? made,
    type,
    onError: isPolicy(onError) ? onError : 'drop',
    ...(typeof buffer === 'number' ? { maxQueuedEvents: buffer } : {}),
  }
}

interface Opening {
  readonly tool: ToolDefinition
  readonly verified: VerifiedItem
  readonly destination: JsonObject
  readonly scope: SinkScope
}

async function openShipped(type: string, { verified, destination, scope: { context, isFixed } }: Opening): Promise<Sink> {
  const { item, bytes, imports } = verified
  const factory = (await importVerified({ path: item.path, space: item.space, bytes, imports }))['default']
  if (!isFactory(factory))
    throw new KiwiError('CONFIG_VALIDATION_ERROR', `The sink "${type}" has no default export that is a function.`)
  const { __grant: grant } = context
  return await factory(sinkOptions(destination), {
    projectPath: context.projectPath,
    // What stands in a signed file is its owner's; what the caller shaped reaches no further than the caller.
    ...(grant === undefined || isFixed(destination) ? {} : { grant }),
    ...(context.__user_space === undefined ? {} : { __user_space: context.__user_space }),
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  })
}

/** Code that is not part of the package does not run in this process, whoever signed it. */
async function openApart(
  type: string,
  { tool, verified, destination, scope: { context, openSink, isFixed, grantFor } }: Opening,
): Promise<Sink> {
  if (openSink === undefined)
    throw new KiwiError('TOOL_CHAIN_FAILED', `This process runs no tools, so the sink "${type}" has no place.`)
  const { item, bytes, imports } = verified
  const call = callOf(tool, verified, destination)
  const grant = await grantFor(call, { isFixed: isFixed(destination) })
  const { __grant: _ofTheCall, ...rest } = context
  return await openSink({
    tool: { id: item.id, path: item.path, space: item.space, bytes, imports },
    options: call.options,
    context: grant === undefined ? rest : { ...rest, __grant: grant },
  })
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error
}

/** Takes the place of a sink that could not be opened: every event of it is counted as lost, with the reason. */
export function lostSink({ type }: JsonObject, reason: Error): AttachedSink {
  const write = (): never => {
    throw reason
  }
  return { sink: { write, close: () => Promise.resolve() }, type: typeof type === 'string' ? type : 'unknown', onError: 'drop' }
}

/** The sink destinations of a configuration, rendered or not. */
export function destinationsOf(config: JsonObject): readonly JsonObject[] {
  const stream = config['stream']
  const destinations = isMap(stream) ? stream['destinations'] : undefined
  return Array.isArray(destinations) ? destinations.filter(isMap) : []
}

function withPlace(error: KiwiError, index: number): KiwiError {
  const place = `stream.destinations[${index}]`
  return new KiwiError(error.code, `${place}: ${error.message}`, {
    ...error.context,
    error: error.cause,
    facts: { ...error.context.facts, destination: index },
  })
}

function isFactory(value: unknown): value is SinkFactory {
  return typeof value === 'function'
}

function isPolicy(value: unknown): value is SinkFailurePolicy {
  return POLICIES.has(value)
}

function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
