import type { Json, JsonObject } from '../../json.ts'
import { KiwiError, type ValidationError } from '../errors.ts'
import type { Requirement } from '../items/item.ts'
import { TemplateError } from '../template/placeholder.ts'
import { compileTemplate, type CompiledTemplate } from '../template/template.ts'
import { type InheritedRequires, inheritedRequires } from './inherited-requires.ts'
import { ForbiddenKeyError, mergeChain } from './merge.ts'
import type { Chain, Link } from './resolve-chain.ts'
import { dottedPath } from './schema-validation.ts'

/** Everything about a tool that does not depend on the call: made once per set of files. */
export interface CallPlan {
  readonly chain: Chain
  /** As written, templates included. */
  readonly config: JsonObject
  /** Null for a primitive called directly: its parameters are its configuration. */
  readonly template: CompiledTemplate | null
  /** JSON Schema of the parameters a caller may give. */
  readonly schema: JsonObject
  /** What the links before the runtime tool and the primitive require, of the caller's parameters. */
  readonly requires: readonly Requirement[]
  /** What links between the leaf and the runtime tool or the primitive require of what reached them. */
  readonly inherited: readonly InheritedRequires[]
  /** What the primitive requires of its rendered configuration; empty for one called directly, whose parameters are its configuration. */
  readonly primitiveRequires: readonly Requirement[]
  /** What is asked for last of all, when the rest is granted: that somebody agreed to the call, where a link wants that. */
  readonly approval: readonly Requirement[]
  /** What all links require together. */
  readonly chainRequires: readonly Requirement[]
  /**
   * Renders, under `stream.destinations`, those sink destinations that take no parameter: they stand in signed files as they are. None in
   * the chain of an `mcp_tool`, because the key of a connector may have signed that, which vouches for the tools of one server alone.
   */
  readonly fixedDestinations: CompiledTemplate | null
  /** Whether the primitive streams into sinks: its schema knows `stream`. */
  readonly streams: boolean
  /** The runtime tool behind the leaf, when another link stands before it: it has parameters of its own, and requires things of those. */
  readonly wrapped: { readonly module: Link; readonly requires: readonly Requirement[] } | null
  readonly isOptional: (parameter: string) => boolean
}

/** @throws {KiwiError} TOOL_CHAIN_FAILED with the link and config path of a template or key that cannot be used. */
export function planCall(chain: Chain): CallPlan {
  if (chain.leaf === chain.primitive) return planDirect(chain)
  const before = chain.links.slice(0, -1)
  const at = before.findIndex((link, index) => index > 0 && link.tool.module)
  const module = before[at]
  const { config, template } = compileChain(chain)
  const schema = callSchema(chain, config, template.parameterPaths)
  const undeclared = schema['additionalProperties'] === false ? undeclaredName(template, schema) : null
  if (undeclared !== null) {
    const message = `{${undeclared.name}} is no parameter of this chain. Declare it under parameters, or write {{${undeclared.name}}} for literal braces.`
    throw configError(chain, undeclared.path, { message, validation: [] })
  }
  const required = new Set(listOf(schema['required']))
  const properties = mapOf(schema['properties'])
  const asked = module === undefined ? before : before.slice(0, at)
  const links = asked.map(({ tool }, index) => ({ tool, inherited: index === 0 ? null : inheritedRequires(tool) }))
  return {
    chain,
    config,
    template,
    schema,
    requires: unionOfRequirements(
      links.map(({ tool, inherited }) => tool.requires.filter((one) => inherited?.requires.includes(one) !== true)),
    ),
    inherited: links.flatMap(({ inherited }) => inherited ?? []),
    primitiveRequires: chain.primitive.tool.requires,
    approval: approvalOf(chain),
    chainRequires: unionOfRequirements(chain.links.map(requirementsOf)),
    fixedDestinations: chain.links.some(({ tool }) => tool.toolType === 'mcp_tool') ? null : compileFixedDestinations(config),
    streams: streamsInto(chain),
    wrapped: module === undefined ? null : { module, requires: unionOfRequirements(before.slice(at).map(requirementsOf)) },
    isOptional: (name) => Object.hasOwn(properties, name) && !required.has(name),
  }
}

function planDirect(chain: Chain): CallPlan {
  const { config, configSchema, requires } = chain.primitive.tool
  return {
    chain,
    config,
    template: null,
    schema: configSchema ?? { type: 'object' },
    requires,
    inherited: [],
    primitiveRequires: [],
    approval: approvalOf(chain),
    chainRequires: requires,
    fixedDestinations: null,
    streams: streamsInto(chain),
    wrapped: null,
    isOptional: () => false,
  }
}

/** A person agrees to a call of the tool that was named, whichever link of its chain is marked. */
export function approvalRequired(leafId: string): readonly Requirement[] {
  return [{ cap: 'tool.approved', scope: { id: leafId } }]
}

function approvalOf({ leaf, links }: Chain): readonly Requirement[] {
  return links.some(({ tool }) => tool.approval === 'required') ? approvalRequired(leaf.id) : []
}

/** Each requirement once, in the order of the first that names it. */
export function unionOfRequirements(lists: readonly (readonly Requirement[])[]): readonly Requirement[] {
  return [...new Map(lists.flat().map((requirement) => [JSON.stringify(requirement), requirement])).values()]
}

function streamsInto({ primitive }: Chain): boolean {
  return Object.hasOwn(mapOf(primitive.tool.configSchema?.['properties']), 'stream')
}

function requirementsOf({ tool }: Link): readonly Requirement[] {
  return tool.requires
}

function compileFixedDestinations(config: JsonObject): CompiledTemplate | null {
  const written = mapOf(config['stream'])['destinations']
  const fixed = (Array.isArray(written) ? written : []).filter(
    (destination) => compileTemplate({ stream: { destinations: [destination] } }).parameterPaths.size === 0,
  )
  return fixed.length === 0 ? null : compileTemplate({ stream: { destinations: fixed } })
}

/**
 * A configuration that cannot be used, blamed on the link nearest the caller that wrote the value at `path`, or, when
 * nobody wrote it, on the link that stands before the primitive.
 */
export function configError(
  chain: Chain,
  path: readonly (string | number)[],
  { message, validation }: { readonly message: string; readonly validation: readonly ValidationError[] },
): KiwiError {
  const dotted = dottedPath(path)
  return new KiwiError(
    'TOOL_CHAIN_FAILED',
    `The configuration of "${chain.leaf.id}" cannot be used: ${dotted === '' || message.startsWith(dotted) ? '' : `${dotted}: `}${message}`,
    {
      chain: chain.ids,
      failedAt: {
        tool_id: linkThatSet(chain, path).id,
        config_path: dotted === '' ? 'config' : `config.${dotted}`,
        validation_errors: validation.length > 0 ? validation : [{ field: dotted, error: message }],
      },
      cause: { code: 'CONFIG_VALIDATION_ERROR', message },
    },
  )
}

function linkThatSet(chain: Chain, path: readonly (string | number)[]): Link {
  const depths = chain.links.map((link) => ({ link, depth: knownDepth(link, path) }))
  const deepest = Math.max(...depths.map(({ depth }) => depth))
  const setter = deepest === 0 ? chain.links.at(-2) : depths.find(({ depth }) => depth === deepest)?.link
  return setter ?? chain.primitive
}

/** How many steps of `path` this link's own configuration knows. */
function knownDepth(link: Link, path: readonly (string | number)[]): number {
  let value: Json | undefined = path[0] === 'retry' && link.tool.retry !== null ? { retry: link.tool.retry } : link.tool.config
  for (const [depth, part] of path.entries()) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return depth
    value = Array.isArray(value) ? value[Number(part)] : mapOf(value)[part]
  }
  return path.length
}

function compileChain(chain: Chain): { readonly config: JsonObject; readonly template: CompiledTemplate } {
  try {
    const config = mergeChain(chain.links.map((link) => link.tool))
    return { config, template: compileTemplate(config) }
  } catch (error) {
    if (error instanceof ForbiddenKeyError || error instanceof TemplateError)
      throw configError(chain, error.path, { message: error.message, validation: [] })
    throw error
  }
}

/**
 * The leaf's own parameters and, from the links behind it, those that the merged configuration still uses: a link
 * that writes a fixed value in place of `{model}` takes that parameter away.
 */
function callSchema(chain: Chain, config: JsonObject, used: ReadonlyMap<string, unknown>): JsonObject {
  // A tool file over a runtime tool that neither takes nor fixes parameters leaves that tool's own in place.
  const module = Object.hasOwn(config, 'parameters') ? undefined : chain.links.find((link) => link.tool.module)
  const own: JsonObject = chain.leaf.tool.inputSchema ??
    module?.tool.inputSchema ?? { type: 'object', properties: {}, additionalProperties: false }
  const properties = new Map(Object.entries(mapOf(own['properties'])))
  const required = new Set(listOf(own['required']))
  for (const { tool } of chain.links.slice(1, -1)) {
    const wanted = new Set(listOf(tool.inputSchema?.['required']))
    for (const [name, property] of Object.entries(mapOf(tool.inputSchema?.['properties']))) {
      if (properties.has(name) || !used.has(name)) continue
      properties.set(name, property)
      if (wanted.has(name)) required.add(name)
    }
  }
  if (properties.size === Object.keys(mapOf(own['properties'])).length) return own
  return { ...own, properties: Object.fromEntries(properties), required: [...required] }
}

function undeclaredName(
  template: CompiledTemplate,
  schema: JsonObject,
): { readonly name: string; readonly path: readonly (string | number)[] } | null {
  const declared = mapOf(schema['properties'])
  for (const [name, path] of template.parameterPaths) if (!Object.hasOwn(declared, name)) return { name, path }
  return null
}

function mapOf(value: Json | undefined): JsonObject {
  // Not null and not a list: what is left of Json is an object.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

function listOf(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}
