import type { Client } from '@modelcontextprotocol/client'
import type { JsonObject } from '../../json.ts'
import { GuardedFetchError } from '../../primitives/http-client/guarded-fetch.ts'
import { OpenProcessError } from '../../primitives/subprocess/contract.ts'
import { McpFailure } from '../contract.ts'
import type { McpSession, SessionRequestOptions, UpstreamTool } from '../contract.ts'
import { startCall } from './call.ts'
import type { Call } from './call.ts'
import type { Ending } from './ending.ts'
import { fetchFailure, lostFailure, ownCause, quoted, statusFailure } from './failures.ts'
import type { ServerName } from './failures.ts'
import type { FrameGuard } from './frame-guard.ts'
import { walkTools } from './tool-list.ts'
import type { Sdk } from './sdk.ts'

export interface SessionParts extends ServerName {
  readonly sdk: Sdk
  readonly client: Client
  readonly guard: FrameGuard
  readonly ending: Ending
  readonly kind: 'http' | 'stdio'
  readonly isLive: () => boolean
  readonly toolMemory: ToolMemory
  /** Says goodbye and waits until nothing is left. Never rejects. */
  readonly dispose: () => Promise<void>
}

/** What the server last said of its tools, and whether it still holds. */
export interface ToolMemory {
  readonly tools: () => readonly UpstreamTool[] | null
  /** Kept unless the server said in the meantime that they changed. */
  remember(tools: readonly UpstreamTool[], generation: number): void
  readonly generation: () => number
  forget(): void
}

/** A server need not tell that its tools changed, and a connection that would tell can be lost. */
const MEMORY_MS = 60_000
/** How often one that changes while it is told is asked for. */
const MAX_LISTS = 4

export function createToolMemory(): ToolMemory {
  let kept: { readonly tools: readonly UpstreamTool[]; readonly untilMs: number } | null = null
  let generation = 0
  return {
    tools: () => (kept !== null && performance.now() < kept.untilMs ? kept.tools : null),
    generation: () => generation,
    remember(tools, ofGeneration) {
      if (ofGeneration === generation) kept = { tools, untilMs: performance.now() + MEMORY_MS }
    },
    forget() {
      generation += 1
      kept = null
    },
  }
}

/** The session over a client that is connected. */
export function createSession(parts: SessionParts): McpSession {
  const { server, endpoint, ending, client, toolMemory } = parts
  let closing: Promise<void> | null = null

  async function tools(options: SessionRequestOptions): Promise<readonly UpstreamTool[]> {
    const known = options.fresh === true ? null : toolMemory.tools()
    if (known !== null && ending.reason() === undefined) return known
    if (client.getServerCapabilities()?.tools === undefined) return []
    const untilMs = performance.now() + (options.maxTotalMs ?? options.timeoutMs * 10)
    let before: string | null = null
    for (let lists = 1; ; lists += 1) {
      const generation = toolMemory.generation()
      // oxlint-disable-next-line no-await-in-loop -- whether it must be asked again is known afterwards
      const listed = await listTools(options, untilMs)
      toolMemory.remember(listed, generation)
      if (generation === toolMemory.generation()) return listed
      // They changed while they were told, so these may be the old ones; two lists alike are the new ones, whatever the server says.
      const told = JSON.stringify(listed)
      if (told === before) return listed
      before = told
      if (lists < MAX_LISTS) continue
      parts.guard.violate('endless_pages', 'changed its tools each time that it listed them')
      throw overFailure(parts)
    }
  }

  async function listTools(options: SessionRequestOptions, untilMs: number): Promise<readonly UpstreamTool[]> {
    const walk = await walkTools(async (params) => {
      const leftMs = Math.max(1, untilMs - performance.now())
      return await request('tools/list', params, {
        ...options,
        timeoutMs: Math.min(options.timeoutMs, leftMs),
        maxTotalMs: leftMs,
      })
    })
    if (walk.kind === 'complete') return walk.tools
    parts.guard.violate(walk.violation, walk.reason)
    throw overFailure(parts)
  }

  async function request(method: string, params: JsonObject | undefined, options: SessionRequestOptions): Promise<JsonObject> {
    if (ending.reason() !== undefined) throw overFailure(parts)
    if (!parts.isLive()) ending.end(notLive(parts))
    const call = startCall(parts, method, ending, options)
    try {
      const answered = send(method, params, call, options)
      // The call may be over long before the client notices.
      answered.catch(() => undefined)
      return await Promise.race([call.failed, answered])
    } catch (error) {
      throw await requestFailure(error, method, parts)
    } finally {
      call.finish()
    }
  }

  async function send(
    method: string,
    params: JsonObject | undefined,
    call: Call,
    options: SessionRequestOptions,
  ): Promise<JsonObject> {
    const sdkOptions = {
      signal: call.signal,
      // Ours are the timers: those of the SDK look at the hard limit only when progress is told.
      timeout: FAR_MS,
      onprogress: (progress: { progress: number; total?: number | undefined; message?: string | undefined }) => {
        call.life()
        const { total, message } = progress
        options.onProgress?.({
          progress: progress.progress,
          ...(total === undefined ? {} : { total }),
          ...(message === undefined ? {} : { message: quoted(message) }),
        })
      },
    }
    const isModern = client.getProtocolEra() === 'modern'
    if (method === 'tools/call' && isModern && parts.kind === 'http')
      return await callWithHeaders(params ?? {}, sdkOptions, await tools({ ...options, signal: call.signal }))
    // The 2026 era has no ping; this is the request that every server answers.
    const asked = method === 'ping' && isModern ? 'server/discover' : method
    const result = await client.request({ method: asked, ...(params === undefined ? {} : { params }) }, ANY_OBJECT, sdkOptions)
    return method === 'ping' ? {} : result
  }

  /** A server of the 2026 era may want some arguments in headers too; the client needs the tool's schema for that, and nothing else of it. */
  async function callWithHeaders(
    params: JsonObject,
    options: Parameters<Client['callTool']>[1],
    known: readonly UpstreamTool[],
  ): Promise<JsonObject> {
    const name = typeof params['name'] === 'string' ? params['name'] : ''
    const inputSchema = { type: 'object' as const, ...known.find((tool) => tool.name === name)?.inputSchema }
    // The schema stands for the server's word, whatever is in it; `params` are what the wire takes.
    const toolDefinition = { name, inputSchema } as NonNullable<typeof options>['toolDefinition']
    const result: unknown = await client.callTool(params as Parameters<Client['callTool']>[0], {
      ...options,
      ...(toolDefinition === undefined ? {} : { toolDefinition }),
    })
    // It came as JSON and is an object, or the client had refused it.
    return result as JsonObject
  }

  return {
    server,
    endpoint,
    era: client.getProtocolEra() === 'modern' ? 'modern' : 'legacy',
    request,
    tools,
    ended: ending.ended,
    async close() {
      ending.end(null)
      closing ??= parts.dispose()
      await closing
    },
  }
}

const FAR_MS = 2_147_483_647

/** Results are passed on as they came: what a field means is for whoever asked, and a hash must see all of it. */
const ANY_OBJECT = {
  '~standard': {
    version: 1 as const,
    vendor: 'kiwi',
    // The frame guard lets only objects pass, which were parsed from JSON.
    validate: (value: unknown) => ({ value: value as JsonObject }),
    types: undefined as unknown as { input: JsonObject; output: JsonObject },
  },
}

function overFailure({ ending, ...name }: SessionParts): McpFailure {
  return ending.reason() ?? lostFailure(name, 'its session was closed.')
}

function notLive({ server }: SessionParts): McpFailure {
  return new McpFailure('ABORTED', `The MCP server "${server}" was not asked: the thread that asks may no longer act.`, {
    detail: { server },
  })
}

/** What a request that failed means, and for the session too where the server is gone. */
async function requestFailure(error: unknown, method: string, parts: SessionParts): Promise<McpFailure> {
  const { sdk, guard, ending } = parts
  const own = ownCause(error)
  if (own instanceof McpFailure) return own
  if (own instanceof GuardedFetchError) return endWith(fetchFailure(parts, own, true), parts)
  if (own instanceof OpenProcessError) return await endOfProcess(parts)
  if (ending.reason() !== undefined) return overFailure(parts)
  if (sdk.SdkHttpError.isInstance(error)) {
    const { status } = error
    const told = parts.client.getProtocolEra() === 'modern' ? rpcErrorOf(error.data) : null
    if (told !== null) return rpcFailure(parts, method, told)
    if (status === 404) return endWith(lostFailure(parts, 'it does not know the session any more.', { status }), parts)
    const failure = statusFailure(parts, status)
    return status === 401 || status === 403 ? endWith(failure, parts) : failure
  }
  if (sdk.SdkError.isInstance(error)) {
    if (error.code === sdk.SdkErrorCode.MethodNotSupportedByProtocolVersion)
      return new McpFailure(
        'CONFIG_VALIDATION_ERROR',
        `The MCP server "${parts.server}" speaks a protocol that has no ${quoted(method)}.`,
        {
          detail: { server: parts.server, method: quoted(method) },
        },
      )
    if (error.code === sdk.SdkErrorCode.UnsupportedResultType)
      guard.violate('not_granted', `answered ${method} with a request of its own`)
    else if (error.code === sdk.SdkErrorCode.InvalidResult)
      guard.violate('bad_result', `answered ${method} with a result of a wrong form`)
    else ending.end(lostFailure(parts, quoted(error.message)))
    return overFailure(parts)
  }
  if (sdk.ProtocolError.isInstance(error)) {
    // The wire itself hands over what broke a stream.
    if (error.data instanceof Error) return endWith(lostFailure(parts, quoted(error.data.message)), parts)
    return rpcFailure(parts, method, error)
  }
  return endWith(lostFailure(parts, quoted(error instanceof Error ? error.message : String(error))), parts)
}

function rpcFailure({ server }: ServerName, method: string, { code, message }: { code: number; message: string }): McpFailure {
  return new McpFailure(
    'JSON_RPC_ERROR',
    `The MCP server "${server}" answered ${quoted(method)} with an error: ${quoted(message)}`,
    {
      detail: { server, rpc_code: code, method: quoted(method) },
    },
  )
}

/** A server of the 2026 era answers some errors with a status of HTTP, and says which in the body. */
function rpcErrorOf(data: object): { code: number; message: string } | null {
  try {
    const body: unknown = 'text' in data && typeof data.text === 'string' ? JSON.parse(data.text) : null
    if (typeof body !== 'object' || body === null || !('error' in body) || typeof body.error !== 'object' || body.error === null)
      return null
    const { error } = body
    if (!('code' in error) || typeof error.code !== 'number' || !Number.isInteger(error.code)) return null
    return { code: error.code, message: 'message' in error && typeof error.message === 'string' ? error.message : '' }
  } catch {
    // Not every error page is JSON.
    return null
  }
}

function endWith(failure: McpFailure, { ending }: SessionParts): McpFailure {
  ending.end(failure)
  return failure
}

const LAST_WORDS_MS = 1_000

/** It takes no more input. Usually it is about to end, and then its exit code says more. */
async function endOfProcess(parts: SessionParts): Promise<McpFailure> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, LAST_WORDS_MS)
  await Promise.race([parts.ending.ended, late])
  clearTimeout(timer)
  parts.ending.end(lostFailure(parts, 'it takes no more input.'))
  return overFailure(parts)
}
