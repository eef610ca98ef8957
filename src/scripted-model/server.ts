import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createAnswering } from './answering.ts'
import { createRequestLog } from './request-log.ts'
import type { LoggedRequest } from './request-log.ts'
import { loadScenario } from './scenario-file.ts'
import type { Scenario, ScenarioFunction } from './scenario.ts'

export interface ScriptedModelOptions {
  /** Path of a scenario file (.yaml, or a .js/.ts module whose code runs), or a scenario itself. */
  readonly scenario: string | Scenario | ScenarioFunction
  /** Default 0: any free port. */
  readonly port?: number
  /** Default 127.0.0.1. */
  readonly host?: string
  /** JSON lines, one for each request. */
  readonly logPath?: string | null
}

export interface ScriptedModel {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  /** The same as `url`. */
  readonly baseUrl: string
  /** What `ANTHROPIC_BASE_URL` is set to. */
  readonly anthropicBaseUrl: string
  /** What `OPENAI_BASE_URL` is set to. */
  readonly openaiBaseUrl: string
  requests(): readonly LoggedRequest[]
  /** Ends open connections and the log. */
  close(): Promise<void>
}

const MAX_BODY_BYTES = 64 * 1024 * 1024

/**
 * Serves a model that answers from a scenario, over the Anthropic Messages and the OpenAI Chat Completions wire. Every answer says that it
 * is scripted: header `x-scripted-model`, model names `scripted-…`.
 *
 * @throws {ScenarioError} for a scenario that cannot be used.
 */
export async function startScriptedModel(options: ScriptedModelOptions): Promise<ScriptedModel> {
  const scenario = typeof options.scenario === 'string' ? await loadScenario(options.scenario) : options.scenario
  const log = createRequestLog(options.logPath ?? null)
  const answering = createAnswering(scenario, log)
  const server = createServer({ keepAliveTimeout: 30_000, requestTimeout: 0 }, (request, response) => {
    route(request, response, answering)
  })
  const url = await listen(server, options)
  return {
    url,
    baseUrl: url,
    anthropicBaseUrl: url,
    openaiBaseUrl: `${url}/v1`,
    requests: () => log.list(),
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      await log.close()
    },
  }
}

function listen(server: Server, { port = 0, host = '127.0.0.1' }: ScriptedModelOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // A burst of new connections from a bench must not be refused.
    server.listen({ port, host, backlog: 4096 }, () => {
      server.off('error', reject)
      const address = server.address()
      const bound = typeof address === 'object' && address !== null ? address.port : port
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${bound}`)
    })
  })
}

function route(request: IncomingMessage, response: ServerResponse, answering: ReturnType<typeof createAnswering>): void {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname
  const wire = path === '/v1/messages' ? 'anthropic_messages' : path === '/v1/chat/completions' ? 'openai_chat' : null
  if (request.method === 'GET' && path === '/v1/models') {
    answering.listModels(response)
  } else if (wire === null || request.method !== 'POST') {
    answering.refuseRoute(response, `${request.method ?? 'GET'} ${path}`)
  } else {
    readBody(request, (body) => {
      if (body === null) answering.refuseSize(response, wire)
      else answering.answer(response, { wire, headers: request.headers, body })
    })
  }
}

/** Gives null for a body over the cap. A request that breaks off is nobody's any more. */
function readBody(request: IncomingMessage, onBody: (body: Buffer | null) => void): void {
  const chunks: Buffer[] = []
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk)
  })
  request.on('end', () => onBody(bytes > MAX_BODY_BYTES ? null : Buffer.concat(chunks)))
  request.on('error', () => request.destroy())
}
