import type { JsonObject } from '../../../json.ts'
import { toEnvelope } from '../../../kernel/errors.ts'
import type { ErrorEnvelope } from '../../../kernel/errors.ts'
import type { NewEvent, TurnContext } from '../../../threads/engine.ts'
import type { CallModel, ModelCallError, ModelCallResult } from '../../base/model-call.ts'
import { addedDestinations } from '../interventions/add-sink.ts'
import { sinkWrapOf } from '../redaction.ts'
import type { HarnessServices, ModelTarget } from '../services.ts'

/**
 * Sends a request through the thread tool of the model, like any other tool call: the kernel resolves the chain, its own sinks get
 * the raw events, and ours folds them while they arrive. What a sink of the tool lost is no failure of the call: it becomes an event.
 */
export function modelCaller(
  services: HarnessServices,
  ctx: TurnContext,
  call: {
    readonly target: ModelTarget
    readonly idempotencyKey: string
    readonly onEvent: (event: NewEvent) => void
    /** Destinations that were added to the thread's stream. */
    readonly sinks: readonly JsonObject[]
  },
): CallModel {
  return async (parameters, { sink, signal }) => {
    try {
      const answer = await services.kernel.execute(
        { item_type: 'tool', item_id: call.target.tool, parameters: { ...parameters, thread_id: ctx.threadId } },
        {
          signal,
          __sinks: [{ sink, type: 'fold', onError: 'fail' }],
          ...(call.sinks.length === 0 ? {} : { __destinations: addedDestinations(ctx.threadId, call.sinks) }),
          __on_retry: ({ attempt, waitMs, error }) =>
            ctx.emit({ type: 'retry', attempt, wait_ms: Math.round(waitMs), code: error.code, message: error.message }),
          // The operator chose the model's endpoint; the directive's own permissions are about what the model asks for.
          __auth: services.hostAuthority,
          __thread_id: ctx.threadId,
          __directive_id: ctx.start.directiveId,
          __idempotency_key: call.idempotencyKey,
          ...sinkWrapOf(services.redactor(ctx.threadId)),
        },
      )
      for (const event of sinkLosses(answer['result'])) call.onEvent(event)
      return answer.success
        ? { success: true, error: null, body: bodyOf(answer['result']) }
        : failed(answer, httpErrorOf(answer.result))
    } catch (error) {
      return failed(toEnvelope(error), null)
    }
  }
}

function failed({ error }: ErrorEnvelope, http: ModelCallError | null): ModelCallResult {
  if (http !== null) return { success: false, error: http }
  const cause = error.cause ?? error
  return { success: false, error: { code: cause.code, message: cause.message, retryable: error.retryable } }
}

/** The primitive's own error says more than the envelope around it: its code, and whether another attempt makes sense. */
function httpErrorOf(result: unknown): ModelCallError | null {
  const error = recordOf(recordOf(result)?.['error'])
  const { code, message, retryable, detail } = error ?? {}
  if (typeof code !== 'string' || typeof message !== 'string') return null
  return { code, message, retryable: retryable === true, detail: recordOf(detail) ?? {} }
}

/** `return` keeps the beginning of a long answer by design: the stream's file has all of it. */
function sinkLosses(result: unknown): readonly NewEvent[] {
  const reports = recordOf(result)?.['stream_destinations']
  if (!Array.isArray(reports)) return []
  return reports.flatMap((report) => {
    const { type = null, delivered = null, lost = 0, error = null } = recordOf(report) ?? {}
    if (type === 'return' || (lost === 0 && error === null)) return []
    return [{ type: 'sink_loss', payload: { sink: type, delivered, lost, reason: error } }]
  })
}

function bodyOf(result: unknown): unknown {
  return recordOf(result)?.['body']
}

function recordOf(value: unknown): JsonObject | null {
  // Neither null nor an array: an object, whose fields are checked where they are read.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null
}
