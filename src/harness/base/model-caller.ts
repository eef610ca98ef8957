import type { JsonObject } from '../../json.ts'
import { createHttpClient } from '../../primitives/http-client/http-client.ts'
import type { WireName } from './conversation.ts'
import type { CallModel } from './model-call.ts'
import { wireByName } from './wires/known-wires.ts'

export interface ModelCallerOptions {
  readonly wire: WireName
  /** Default: the provider's own (`https://api.anthropic.com`, `https://api.openai.com/v1`). Without a trailing slash. */
  readonly baseUrl?: string
  readonly apiKey: string
  /** Added to every request; they win over the wire's own. */
  readonly headers?: Readonly<Record<string, string>>
  /** Milliseconds; see `DEFAULT_TIMEOUTS_MS`. */
  readonly timeoutsMs?: {
    readonly connect?: number
    readonly firstByte?: number
    readonly betweenBytes?: number
    readonly total?: number
  }
  /** Attempts at a request that was refused before anything of the answer came. Default 4; waits are 0.5, 2 and 8 s, or `Retry-After`. */
  readonly maxAttempts?: number
}

/** A caller that keeps its connections between calls. */
export interface ModelCaller {
  readonly callModel: CallModel
  /** Closes the kept connections. Running calls are cut. */
  close(): void
}

const DEFAULT_TIMEOUTS_MS = { connect: 10_000, firstByte: 120_000, betweenBytes: 300_000, total: 1_800_000 } as const
const BACKOFF_MS = [500, 2000, 8000]

/**
 * Sends the requests of one wire over HTTP and streams the answers; all a library user needs to run a harness.
 *
 * @throws {TypeError} for a wire that does not exist.
 */
export function createModelCaller(options: ModelCallerOptions): ModelCaller {
  wireByName(options.wire)
  const client = createHttpClient()
  const { url, headers } = endpoint(options)
  const timeouts = { ...DEFAULT_TIMEOUTS_MS, ...options.timeoutsMs }
  const config = {
    method: 'POST',
    url,
    headers: { ...headers, ...options.headers },
    timeouts_ms: {
      connect: timeouts.connect,
      first_byte: timeouts.firstByte,
      between_bytes: timeouts.betweenBytes,
      total: timeouts.total,
    },
    retry: { max_attempts: options.maxAttempts ?? 4, backoff_ms: BACKOFF_MS },
  }
  return {
    callModel: async (parameters, { sink, signal }) => {
      const body: JsonObject = { ...parameters, stream: true }
      const sinks = [{ sink, type: 'harness', onError: 'fail' as const }]
      return client.execute({ ...config, body }, { mode: 'stream', signal, sinks })
    },
    close: () => client.close(),
  }
}

function endpoint({ wire, baseUrl, apiKey }: ModelCallerOptions): { url: string; headers: Readonly<Record<string, string>> } {
  switch (wire) {
    case 'anthropic_messages':
      return {
        url: `${baseUrl ?? 'https://api.anthropic.com'}/v1/messages`,
        headers: { 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' },
      }
    case 'openai_chat':
      return { url: `${baseUrl ?? 'https://api.openai.com/v1'}/chat/completions`, headers: { authorization: `Bearer ${apiKey}` } }
  }
}
