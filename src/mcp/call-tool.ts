import { ProtocolError, ProtocolErrorCode, type CallToolResult, type Tool } from '@modelcontextprotocol/server'
import type { JsonObject } from '../json.ts'
import type { ExecutionContext } from '../kernel/chain/primitive.ts'
import type { MetaToolRequest, MetaToolResult } from '../kernel/contract.ts'
import { KiwiError, toEnvelope } from '../kernel/errors.ts'
import { META_TOOLS } from '../kernel/meta-tools/meta-tools.ts'
import { boundedResult } from './bounded-result.ts'
import { parseCallArguments, projectOfCall, type ToolSchema } from './call-arguments.ts'
import type { McpServingOptions } from './contract.ts'
import { CALL_DEADLINE_MS, withDeadline } from './deadline.ts'
import type { ResultPages } from './result-pages.ts'

export interface ToolCall {
  readonly name: string
  readonly given: unknown
  /** Each of them ends the call. */
  readonly signals: readonly AbortSignal[]
  readonly origin: NonNullable<ExecutionContext['__caller']>
}

/** What a call came to. `request` is null where its arguments were refused, or asked for a page. */
export interface ToolOutcome {
  readonly result: MetaToolResult
  readonly request: (MetaToolRequest & { readonly project_path: string }) | null
}

export interface ToolCalls {
  /** Every failure but that of an unknown tool is a result, which a model can read and act on. @throws ProtocolError */
  run(call: ToolCall): Promise<ToolOutcome>
  /** The answer of `name` with this result, shortened where it is long. */
  answer(name: string, result: MetaToolResult): CallToolResult
}

/** Calls of the listed tools, and of no others. */
export function createToolCalls(
  options: McpServingOptions,
  { tools, pages }: { readonly tools: readonly Tool[]; readonly pages: ResultPages },
): ToolCalls {
  const deadlineMs = options.deadlineMs ?? CALL_DEADLINE_MS
  const known = new Map(META_TOOLS.map(({ name }) => [name as string, name]))
  const listed = new Map(tools.map((tool) => [tool.name, schemaOf(tool)]))

  async function callKernel(schema: ToolSchema, call: ToolCall): Promise<ToolOutcome> {
    const verb = known.get(schema.name)
    if (verb === undefined) throw unknownTool(schema.name, listed)
    const parsed = await parseCallArguments(schema, call.given)
    const projectPath = projectOfCall(parsed.project_path, options.projectPath)
    // The kernel is the project's own; the request says so in the same words, with links resolved.
    const request = parsed.project_path === undefined ? parsed : { ...parsed, project_path: projectPath }
    const outcome = await withDeadline({ deadlineMs, signals: call.signals }, async (signal) => {
      const { kernel } = await options.open(projectPath)
      return kernel[verb](request, { projectPath, signal, __caller: call.origin })
    })
    if (outcome.kind === 'done') return { result: outcome.value, request: { ...request, project_path: projectPath } }
    throw outcome.kind === 'late'
      ? lateError(verb, deadlineMs)
      : new KiwiError('ABORTED', 'The call was cancelled by its caller.')
  }

  return {
    async run(call) {
      const schema = listed.get(call.name)
      if (schema === undefined) throw unknownTool(call.name, listed)
      try {
        const cursor = cursorOf(call.given)
        if (cursor === null) return await callKernel(schema, call)
        return { result: { ...pages.read(schema.name, cursor) }, request: null }
      } catch (error) {
        return { result: toEnvelope(error), request: null }
      }
    },
    answer(name, result) {
      const { value, text } = boundedResult(result, { keep: (whole) => pages.keep(name, whole) })
      return { content: [{ type: 'text', text }], structuredContent: { ...value }, isError: !result.success }
    },
  }
}

function schemaOf({ name, inputSchema }: Tool): ToolSchema {
  // `listedTools` makes it of JSON.
  return { name, schema: inputSchema as JsonObject }
}

/** A page is asked for by its cursor alone, but a host may insist on the arguments that the tool otherwise needs. */
function cursorOf(given: unknown): string | null {
  if (typeof given !== 'object' || given === null || !('cursor' in given)) return null
  return typeof given.cursor === 'string' ? given.cursor : null
}

function unknownTool(name: string, listed: ReadonlyMap<string, unknown>): ProtocolError {
  const off = META_TOOLS.some((tool) => tool.name === name)
    ? `\`${name}\` is switched off here`
    : `There is no tool \`${name.slice(0, 64)}\``
  return new ProtocolError(ProtocolErrorCode.InvalidParams, `${off}. The tools are ${[...listed.keys()].join(', ')}.`)
}

function lateError(name: string, deadlineMs: number): KiwiError {
  return new KiwiError('TIMEOUT', `\`${name}\` had not answered after ${deadlineMs / 1000} seconds and was stopped.`, {
    suggestion:
      'Run long work on a thread: execute thread_directive, which answers at once with a thread_id, then wait_thread {thread_id}. A thread that was already spawned goes on.',
  })
}
