import type { jsonSchemaValidator, JsonSchemaValidator } from '@modelcontextprotocol/client'
import { McpFailure } from '../contract.ts'
import type { McpSession } from '../contract.ts'
import { connectFailure, HandshakeTimeout } from './connect-failure.ts'
import { createEnding } from './ending.ts'
import { describeEndpoint } from './endpoint.ts'
import { processFailure, violationFailure } from './failures.ts'
import type { ServerName } from './failures.ts'
import { createFrameGuard } from './frame-guard.ts'
import { createSession, createToolMemory } from './session.ts'
import type { HttpTarget, StdioTarget } from './target.ts'
import { openWire } from './wire.ts'
import type { Wire } from './wire.ts'
import type { Sdk } from './sdk.ts'

/** What a session is opened with. Durations are milliseconds, sizes bytes. */
export interface OpenSessionRequest {
  /** Name of the server, for messages and facts. */
  readonly server: string
  readonly target: HttpTarget | StdioTarget
  /** Default: `auto` over HTTP, `legacy` over stdio. */
  readonly era?: 'auto' | 'legacy' | 'modern'
  /** From opening to the end of the handshake. Default 30,000. */
  readonly connectTimeoutMs?: number
  /** Of one incoming message. Default 10 MiB. */
  readonly maxMessageBytes?: number
  /** Ends the opening, and nothing once the session is there. */
  readonly signal?: AbortSignal
}

/**
 * Connects to a server and agrees on a protocol with it.
 *
 * Several sessions share nothing. A session holds its connection until `close`, or until its server ends or breaks the protocol: `ended` tells.
 * `auto` over stdio asks the process that it then speaks to; only one that exits at the question is started a second time, as a legacy server.
 *
 * @throws {McpFailure} MCP_CONNECTION_FAILED {endpoint, cause, remediation}, PERMISSION_DENIED, ADDRESS_DENIED, SANDBOX_UNAVAILABLE,
 * LIMIT_EXCEEDED, CONFIG_VALIDATION_ERROR, ABORTED. Nothing is left running.
 */
export async function openMcpSession(request: OpenSessionRequest): Promise<McpSession> {
  const { target } = request
  const era = request.era ?? (target.kind === 'http' ? 'auto' : 'legacy')
  const untilMs = performance.now() + (request.connectTimeoutMs ?? DEFAULT_CONNECT_MS)
  const name = { server: request.server, endpoint: describeEndpoint(target) }
  // Not at the top: it takes a tenth of a second that a start of Kiwi does not have.
  const sdk = await import('@modelcontextprotocol/client')
  try {
    return await connect({ ...name, request, era, untilMs, sdk })
  } catch (error) {
    const diedOfProbe = era === 'auto' && target.kind === 'stdio' && isExit(error) && request.signal?.aborted !== true
    if (!diedOfProbe) throw error
    return await connect({ ...name, request, era: 'legacy', untilMs, sdk })
  }
}

const DEFAULT_CONNECT_MS = 30_000
const DEFAULT_MESSAGE_BYTES = 10 * 1024 * 1024
/** An older server may answer the probe with silence. */
const MAX_PROBE_MS = 10_000
const MODERN_VERSION = '2026-07-28'

interface Attempt extends ServerName {
  readonly request: OpenSessionRequest
  readonly era: 'auto' | 'legacy' | 'modern'
  /** On the clock of `performance.now()`. */
  readonly untilMs: number
  readonly sdk: Sdk
}

async function connect(attempt: Attempt): Promise<McpSession> {
  const { server, endpoint, request, sdk } = attempt
  const { target, maxMessageBytes = DEFAULT_MESSAGE_BYTES } = request
  const leftMs = Math.max(1, attempt.untilMs - performance.now())
  const name = { server, endpoint }
  const ending = createEnding()
  const toolMemory = createToolMemory()
  const guard = createFrameGuard({
    maxMessageBytes,
    onViolation: (violation, reason) => ending.end(violationFailure(name, violation, reason)),
    onNotification: (method) => {
      if (method === 'notifications/tools/list_changed') toolMemory.forget()
    },
  })
  const wire = openWire(target, sdk, { guard, maxMessageBytes, connectTimeoutMs: leftMs })
  // One that was closed says nothing: the client closes it when the handshake fails, and knows why.
  void wire.processEnded?.then((end) => (end.endedBy === 'close' ? undefined : ending.end(processFailure(name, end))))
  const client = newClient(attempt, leftMs)
  const release = async (): Promise<void> => {
    await client.close().catch(() => undefined)
    await wire.release()
  }
  // Whatever ends it, a server that was not let go of in peace is cut off.
  ending.onEnd((reason) => {
    if (reason === null) return
    wire.cut()
    void release()
  })
  try {
    await handshake(client, wire, { ...attempt, leftMs, ended: ending.ended })
  } catch (error) {
    const failure = connectFailure(ending.reason() ?? error, { ...name, leftMs, sdk, era: attempt.era })
    ending.end(failure)
    await release()
    throw failure
  }
  const session = createSession({
    ...name,
    sdk,
    client,
    guard,
    ending,
    toolMemory,
    kind: target.kind,
    isLive: livenessOf(target),
    async dispose() {
      await wire.farewell()
      await release()
    },
  })
  if (session.era === 'modern' && client.getServerCapabilities()?.tools?.listChanged === true)
    // Without it the memory of the tools is short, that is all.
    void client.listen({ toolsListChanged: true }, { timeout: leftMs }).catch(() => undefined)
  return session
}

function newClient({ sdk, era, request }: Attempt, leftMs: number): InstanceType<Sdk['Client']> {
  const mode = era === 'modern' ? { pin: MODERN_VERSION } : era
  const probe =
    request.target.kind === 'stdio' && era === 'auto' ? { timeoutMs: Math.min(MAX_PROBE_MS, leftMs / 2) } : { timeoutMs: leftMs }
  return new sdk.Client(
    { name: 'kiwi', version: '1' },
    {
      // Nothing is granted to a server: no sampling, no elicitation, no roots.
      capabilities: {},
      versionNegotiation: { mode, probe },
      inputRequired: { autoFulfill: false },
      // A schema of a server is not run: its patterns can take hours.
      jsonSchemaValidator: TRUSTING,
    },
  )
}

const TRUSTING: jsonSchemaValidator = {
  getValidator<T>(): JsonSchemaValidator<T> {
    // The type of what it lets pass is the caller's word, as it is without a schema.
    return (data) => ({ valid: true, data: data as T, errorMessage: undefined })
  },
}

interface HandshakeOptions extends Attempt {
  readonly leftMs: number
  readonly ended: Promise<McpFailure | null>
}

/** Rejects at the deadline, at an abort and at the end of the session, however long the client would go on. */
async function handshake(client: InstanceType<Sdk['Client']>, wire: Wire, options: HandshakeOptions): Promise<void> {
  const { leftMs, ended, server, endpoint } = options
  const { signal } = options.request
  const { promise: given, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new HandshakeTimeout()), leftMs)
  const onAbort = (): void =>
    reject(
      new McpFailure('ABORTED', `The MCP server "${server}" (${endpoint}) was not connected: aborted.`, { detail: { server } }),
    )
  if (signal?.aborted === true) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  given.catch(() => undefined)
  try {
    if (signal?.aborted === true) return await given
    const connected = client.connect(wire.transport, { timeout: leftMs })
    connected.catch(() => undefined)
    const isOver = ended.then((reason) => Promise.reject(reason ?? new HandshakeTimeout()))
    isOver.catch(() => undefined)
    await Promise.race([connected, given, isOver])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function isExit(error: unknown): boolean {
  return error instanceof McpFailure && error.detail['cause'] === 'MCP_SERVER_ENDED' && error.detail['never_ran'] !== true
}

function livenessOf(target: HttpTarget | StdioTarget): () => boolean {
  if (target.kind === 'http') return target.isLive ?? (() => true)
  const { __grant: grant } = target.process.context
  return () => grant?.isLive() !== false
}
