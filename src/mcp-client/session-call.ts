import type { JsonObject } from '../json.ts'
import type { RpcCall, RpcOutcome } from '../primitives/json-rpc/contract.ts'
import { boundedResult, boundedToolValue, firstText } from './bounded-content.ts'
import { McpFailure, type McpSession, type SessionRequestOptions, type UpstreamTool } from './contract.ts'
import { definitionHash } from './definitions/definition-hash.ts'
import { neutralText } from './definitions/neutral-text.ts'
import type { McpCallConfig, McpRequest } from './mcp-config.ts'

/** Lists of tools are whole, so that they can be pinned; what is longer is for nobody. */
const MAX_RESULT_CHARACTERS = 16 * 1024 * 1024
const MAX_ERROR_TEXT = 2_000

/** One call of a session, by what the configuration says. @throws {McpFailure} */
export async function callSession(session: McpSession, config: McpCallConfig, call: RpcCall): Promise<RpcOutcome> {
  const { request, timeoutMs } = config
  const { signal } = call.context
  const options: SessionRequestOptions = { timeoutMs, ...(signal === undefined ? {} : { signal }) }
  if (request.kind === 'tool') {
    if (request.pinnedHash !== null)
      await assertPinned(session, { ...request, pinnedHash: request.pinnedHash }, { call, options })
    const params = { name: request.name, arguments: call.parameters }
    return toolOutcome(await session.request('tools/call', params, options), JSON.stringify(request.name))
  }
  if (request.method === 'tools/list') {
    // Who asks for the list looks for what changed.
    const tools = await session.tools({ ...options, fresh: true })
    return succeeded(session, { tools: tools.map(toolJson) })
  }
  const result = await session.request(request.method, request.params, options)
  if (request.method === 'tools/call') return toolOutcome(result, JSON.stringify(request.params?.['name'] ?? null))
  return succeeded(session, boundedResult(result))
}

/** A tool that is not what was signed is not called, and nothing is sent to it. */
async function assertPinned(
  session: McpSession,
  { name, pinnedHash }: Extract<McpRequest, { kind: 'tool' }> & { readonly pinnedHash: string },
  { call, options }: { readonly call: RpcCall; readonly options: SessionRequestOptions },
): Promise<void> {
  const found = (await session.tools(options)).filter((tool) => tool.name === name)
  const [current = null] = found
  // Of two tools of one name nobody knows which one would answer.
  if (current !== null && found.length === 1 && definitionHash(current) === pinnedHash) return
  // Only here: it brings a compiler of schemas, which a start of Kiwi does not wait for.
  const { definitionDiff } = await import('./definitions/definition-diff.ts')
  const { server } = session
  const { id, description, inputSchema } = call.leaf
  const what = current === null ? 'the server does not offer it any more' : 'the server now describes it in another way'
  throw new McpFailure(
    'MCP_TOOL_CHANGED',
    `"${id}" was not called: it is pinned to a tool of the MCP server "${server}", and ${what}.`,
    {
      detail: { server, tool: name, diff: definitionDiff({ description, inputSchema }, current) },
      suggestion: `Look at the change with \`kiwi connect diff ${server}\`; if it is welcome, \`kiwi connect accept ${server} ${id}\`.`,
    },
  )
}

function toolOutcome(result: JsonObject, name: string): RpcOutcome {
  const value = boundedToolValue(result)
  if (result['isError'] !== true) return { value, error: null }
  const said = shownText(firstText(value) ?? 'it gave no reason')
  const message = `The MCP server's tool ${shownText(name.slice(0, 128))} reported an error: ${said}`
  return { value, error: { code: 'EXECUTION_FAILED', message, retryable: false } }
}

function succeeded({ server }: McpSession, value: JsonObject): RpcOutcome {
  const size = JSON.stringify(value).length
  if (size <= MAX_RESULT_CHARACTERS) return { value, error: null }
  throw new McpFailure(
    'LIMIT_EXCEEDED',
    `The MCP server "${server}" answered with ${size} characters; at most ${MAX_RESULT_CHARACTERS} are taken.`,
    {
      detail: { server, characters: size },
    },
  )
}

/** A failure as the caller is shown it. */
export function failedOutcome(failure: McpFailure): RpcOutcome {
  const { code, retryable, detail, suggestion } = failure
  const message = neutralText(failure.message, { maxCharacters: MAX_ERROR_TEXT * 2, multiline: true })
  const isOwn = /^(?:MCP_|JSON_RPC_)/.test(code)
  return { value: null, error: { code, message, retryable, detail, isOwn, ...(suggestion === undefined ? {} : { suggestion }) } }
}

function shownText(text: string): string {
  return neutralText(text, { maxCharacters: MAX_ERROR_TEXT, multiline: true })
}

function toolJson(tool: UpstreamTool): JsonObject {
  // Made of JSON; an interface only lacks the index signature.
  return { ...tool }
}
