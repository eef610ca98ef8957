/**
 * Calls of external MCP servers.
 *
 * C1. A session is used by the calls of one project under one grant, and only where everything that it was opened with is the same.
 * C2. What a server says is data. It is bounded and handed on; nothing of it is obeyed.
 * C3. Nothing is sent twice: only a connection that could not be made is tried again, as the tool file says.
 */
import { createHash } from 'node:crypto'
import type { RpcCall, RpcOutcome, RpcProtocol } from '../primitives/json-rpc/contract.ts'
import type { SandboxMode } from '../primitives/sandbox/contract.ts'
import type { OpenProcess } from '../primitives/subprocess/contract.ts'
import { waitFor } from './abortable.ts'
import { type McpClient, McpFailure, type McpSession } from './contract.ts'
import { type McpCallConfig, readMcpConfig } from './mcp-config.ts'
import { callSession, failedOutcome } from './session-call.ts'
import { createSessionPool, type PoolRequest, type SessionPoolOptions } from './session-pool.ts'
import type { OpenSessionRequest } from './session/open-session.ts'

export interface McpClientOptions extends Partial<SessionPoolOptions> {
  /** Starts servers that are commands; `createProcessOpener` of the `subprocess` primitive makes one. */
  readonly openProcess: OpenProcess
  /** Default `openMcpSession`, imported when it is first needed. */
  readonly openSession?: (request: OpenSessionRequest) => Promise<McpSession>
}

/** Nothing is opened before the first call. One client can serve all projects of a process; `close` it before the process ends. */
export function createMcpClient(options: McpClientOptions): McpClient {
  const { openProcess, openSession = openLazily, nowMs = () => performance.now(), ...pooling } = options
  const pool = createSessionPool({ ...pooling, nowMs })
  const modes = new WeakMap<McpSession, SandboxMode>()

  const open = async (config: McpCallConfig, call: RpcCall, given: OpenGiven): Promise<McpSession> => {
    const noted: { mode?: SandboxMode } = {}
    const opening: OpenProcess = async (request) => {
      const opened = await openProcess(request)
      noted.mode = opened.mode
      return opened
    }
    const session = await openSession({ ...sessionRequest(config, call, opening), ...given })
    if (noted.mode !== undefined) modes.set(session, noted.mode)
    return session
  }

  const callOnce = async (config: McpCallConfig, call: RpcCall, sent: { began: boolean }): Promise<RpcOutcome> => {
    const request = poolRequest(config, call, async (given) => await open(config, call, given))
    return await pool.use(request, async (session) => {
      sent.began = true
      const mode = modes.get(session)
      try {
        const outcome = await callSession(session, config, call)
        return mode === undefined ? outcome : { ...outcome, sandbox: mode }
      } catch (error) {
        if (error instanceof McpFailure && mode !== undefined)
          return { ...failedOutcome(atEndOfGrant(error, call)), sandbox: mode }
        throw error
      }
    })
  }

  const callIt = async (given: RpcCall, kind: 'http' | 'stdio'): Promise<RpcOutcome> => {
    const call = withAnswerableGrant(given)
    try {
      const config = withProgram(readMcpConfig(call.config, kind), call)
      const sent = { began: false }
      for (let attempt = 1; ; attempt += 1) {
        try {
          // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
          return await callOnce(config, call, sent)
        } catch (error) {
          const waitMs = sent.began ? null : retryDelay(config, attempt, error)
          if (waitMs === null) throw error
          // oxlint-disable-next-line no-await-in-loop
          await waitFor(waitMs, { server: config.server, signals: [call.context.signal] })
        }
      }
    } catch (error) {
      if (error instanceof McpFailure) return failedOutcome(atEndOfGrant(error, call))
      throw error
    }
  }

  const protocol = (kind: 'http' | 'stdio'): RpcProtocol => ({
    name: 'mcp',
    call: async (call) => await callIt(call, kind),
  })
  return { overHttp: protocol('http'), overStdio: protocol('stdio'), close: async () => await pool.close() }
}

interface OpenGiven {
  readonly signal: AbortSignal
  readonly connectTimeoutMs: number
}

/** A session outlives its calls, and may outlive what its grant asks: a grant that cannot be asked any more holds no more. */
function withAnswerableGrant(call: RpcCall): RpcCall {
  const grant = call.context.__grant
  if (grant === undefined) return call
  const isLive = (): boolean => {
    try {
      return grant.isLive()
    } catch {
      return false
    }
  }
  return { ...call, context: { ...call.context, __grant: { ...grant, isLive } } }
}

async function openLazily(request: OpenSessionRequest): Promise<McpSession> {
  const { openMcpSession } = await import('./session/open-session.ts')
  return await openMcpSession(request)
}

/** The call that lists the tools of a connector's server carries what the signed connector file says of `program`. */
function withProgram(config: McpCallConfig, { context }: RpcCall): McpCallConfig {
  const { target } = config
  if (target.kind !== 'stdio' || target.program !== undefined || context.__program === undefined) return config
  return { ...config, target: { ...target, program: context.__program } }
}

/** C1 */
function poolRequest(config: McpCallConfig, { context }: RpcCall, open: PoolRequest['open']): PoolRequest {
  const { server, target, era, maxMessageBytes, maxConcurrency, connectTimeoutMs, timeoutMs, idleMs } = config
  const grant = context.__grant
  const opened = [context.projectPath, server, target, era ?? null, maxMessageBytes]
  const key = hashOf([...opened, grant?.id ?? null])
  return {
    server,
    key,
    // A process is its caller's own; a server elsewhere is one for all of the project.
    lane: target.kind === 'http' ? hashOf(opened) : key,
    maxConcurrency,
    open,
    isLive: grant?.isLive ?? (() => true),
    connectTimeoutMs,
    turnTimeoutMs: timeoutMs,
    idleMs,
    signal: context.signal,
  }
}

/** Environment and credentials are kept as a hash only. */
function hashOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

function sessionRequest(config: McpCallConfig, call: RpcCall, open: OpenProcess): OpenSessionRequest {
  const { server, target, era, maxMessageBytes } = config
  const { projectPath, __grant: grant } = call.context
  const common = { server, maxMessageBytes, ...(era === undefined ? {} : { era }) }
  if (target.kind === 'http') {
    const { kind, url, headers, auth } = target
    const live = grant === undefined ? {} : { isLive: grant.isLive }
    return { ...common, target: { kind, url, headers, auth, network: grant?.network, ...live } }
  }
  return {
    ...common,
    target: {
      kind: 'stdio',
      open,
      process: {
        config: target.process,
        parameters: wordsOfCaller(config, call),
        context: { projectPath, ...(grant === undefined ? {} : { __grant: grant }) },
        ...(target.program === undefined ? {} : { program: target.program }),
      },
    },
  }
}

/** Of a generated tool, the parameters are the arguments of somebody else's tool, whatever they are called. */
function wordsOfCaller({ request }: McpCallConfig, { parameters, leaf }: RpcCall): RpcCall['parameters'] {
  return request.kind === 'tool' && leaf.id !== 'subprocess' ? {} : parameters
}

/** C3 */
function retryDelay({ retry }: McpCallConfig, attempt: number, error: unknown): number | null {
  if (!(error instanceof McpFailure) || error.code !== 'MCP_CONNECTION_FAILED' || !error.retryable) return null
  if (!retry.retriesConnections || attempt >= retry.maxAttempts) return null
  const backoffMs = retry.backoffMs[Math.min(attempt, retry.backoffMs.length) - 1] ?? 0
  const { retry_after_ms: leftAloneMs } = error.detail
  return Math.max(backoffMs, typeof leftAloneMs === 'number' ? leftAloneMs : 0)
}

/** What broke because the thread may no longer act is no fault of the server. */
function atEndOfGrant(failure: McpFailure, { context }: RpcCall): McpFailure {
  if (context.__grant?.isLive() !== false || failure.code === 'ABORTED') return failure
  return new McpFailure('ABORTED', 'The call of an MCP server was ended: the thread that asks may no longer act.', {
    cause: failure,
  })
}
