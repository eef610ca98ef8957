import type { JsonObject } from '../../json.ts'
import type { Sink } from '../../primitives/http-client/contract.ts'
import type { AssistantTurn } from './conversation.ts'
import type { LiveDelta, ModelRequest, Wire } from './wires/wire.ts'

/** What is left of an HTTP result for a harness; the result of `http_client` fits as it is. */
export interface ModelCallResult {
  readonly success: boolean
  readonly error: ModelCallError | null
  /** The whole answer where a server did not stream although it was asked to. */
  readonly body?: unknown
}

export interface ModelCallError {
  /** `HttpErrorCode`, or a code of the caller's own. */
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly detail?: Readonly<Record<string, unknown>>
}

/** Sends one request and writes the answer's events to `sink`, which it closes. It does not throw for what a server or network does. */
export type CallModel = (
  parameters: JsonObject,
  call: { readonly sink: Sink; readonly signal: AbortSignal },
) => Promise<ModelCallResult>

/** What was kept and what was lost of an answer that did not end well. */
export interface Incomplete {
  /** `OUTPUT_TRUNCATED`: the answer ended properly, but its output limit cut a tool call. */
  readonly code: 'STREAM_INCOMPLETE' | 'OUTPUT_TRUNCATED'
  readonly message: string
  /** Closed calls, as `name:id`; they run. */
  readonly completed_tools: readonly string[]
  /** The call that was still open; it never runs. */
  readonly discarded_partial: {
    readonly tool_name: string | null
    readonly bytes_collected: number
    readonly json_parse_error: string | null
  } | null
  readonly retryable: true
  readonly cause: { readonly code: string; readonly message: string } | null
}

export type ModelOutcome =
  | { readonly kind: 'turn'; readonly turn: AssistantTurn; readonly incomplete: Incomplete | null }
  /** Nothing usable came. `turn` holds what was folded before an abort (and the usage that was reported). */
  | { readonly kind: 'failed'; readonly error: ModelCallError; readonly turn: AssistantTurn }

export interface FoldOptions {
  readonly onDelta?: (delta: LiveDelta) => void
  readonly signal?: AbortSignal
}

/**
 * One model call: builds the request, folds the stream while it arrives, and classifies how it ended.
 * An abort is always `failed` (code `ABORTED`), so that no call of an aborted answer runs.
 */
export async function foldModelCall(
  wire: Wire,
  callModel: CallModel,
  request: ModelRequest,
  options: FoldOptions = {},
): Promise<ModelOutcome> {
  const signal = options.signal ?? new AbortController().signal
  const fold = wire.createFold(options.onDelta)
  let pushed = false
  const sink: Sink = {
    write: (event) => {
      pushed = true
      fold.push(event)
    },
    close: async () => {},
  }
  const result = await callModel(wire.buildParameters(request), { sink, signal })
  const wholeBody = !pushed && result.success && isObject(result.body)
  const turn = wholeBody ? wire.foldBody(result.body) : fold.finish()
  if (signal.aborted) return { kind: 'failed', error: abortedError(result.error), turn }
  return classify(turn, result)
}

function classify(turn: AssistantTurn, result: ModelCallResult): ModelOutcome {
  const cause = turn.error === null ? result.error : { code: errorEventCode(turn.error.type), ...turn.error }
  // An end marker settles it: what breaks behind a whole answer (a sink, the socket) does not make it less whole.
  const whole = turn.clean_finish && turn.error === null
  if (whole) return { kind: 'turn', turn, incomplete: turn.partial_calls.length === 0 ? null : describeIncomplete(turn, null) }
  if (turn.blocks.length > 0) return { kind: 'turn', turn, incomplete: describeIncomplete(turn, cause) }
  return { kind: 'failed', error: cause ?? endedEarly(turn), turn }
}

function describeIncomplete(turn: AssistantTurn, cause: ModelCallError | null): Incomplete {
  const partial = turn.partial_calls.at(-1)
  const ran = turn.tool_calls.length
  const reason = turn.clean_finish
    ? 'The output limit cut the answer'
    : `The stream ended before the answer did${cause === null ? '' : ` (${cause.message})`}`
  const lost = partial === undefined ? '' : ` The call of ${partial.name ?? 'an unnamed tool'} was not complete and does not run.`
  return {
    code: turn.clean_finish ? 'OUTPUT_TRUNCATED' : 'STREAM_INCOMPLETE',
    message: `${reason}: ${ran === 0 ? 'no tool call' : `${ran} complete tool call${ran === 1 ? '' : 's'}`} had arrived.${lost}`,
    completed_tools: turn.tool_calls.map(({ name, id }) => `${name}:${id}`),
    discarded_partial: discardedPartial(turn),
    retryable: true,
    cause: cause === null ? null : { code: cause.code, message: cause.message },
  }
}

/** The call that was open when the answer ended; null when none was. */
export function discardedPartial(turn: Pick<AssistantTurn, 'partial_calls'>): Incomplete['discarded_partial'] {
  const partial = turn.partial_calls.at(-1)
  if (partial === undefined) return null
  return { tool_name: partial.name, bytes_collected: partial.bytesCollected, json_parse_error: partial.jsonParseError }
}

function endedEarly(turn: AssistantTurn): ModelCallError {
  const detail = { completed_tools: [], discarded_partial: discardedPartial(turn) }
  const message = 'The stream ended before anything usable had arrived. Call the model again.'
  return { code: 'STREAM_INCOMPLETE', message, retryable: true, detail }
}

function errorEventCode(type: string): string {
  if (type === 'overloaded_error') return 'OVERLOADED'
  if (type === 'rate_limit_error') return 'RATE_LIMITED'
  return type === 'invalid_event' || type === 'invalid_response' ? 'INVALID_RESPONSE' : 'STREAM_ERROR_EVENT'
}

function abortedError(error: ModelCallError | null): ModelCallError {
  if (error?.code === 'ABORTED') return error
  return { code: 'ABORTED', message: 'The model call was aborted before its answer ended.', retryable: false }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
