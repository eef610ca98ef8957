import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { MetaToolResult, Permission } from '../../../kernel/contract.ts'
import { KiwiError, toEnvelope } from '../../../kernel/errors.ts'
import type { NewEvent, StepMeta, TurnContext } from '../../../threads/engine.ts'
import { secretBlockedEvents, sinkWrapOf } from '../redaction.ts'
import type { HarnessServices } from '../services.ts'
import type { RunnableCall } from './tool-request.ts'

/**
 * Runs the call under the thread's token, after a first look at whether the thread may make it at all. The tool layer looks again, with the
 * real parameters, just before anything happens.
 */
export async function runUnderToken(
  { services, ctx }: { readonly services: HarnessServices; readonly ctx: TurnContext },
  call: RunnableCall,
  meta: StepMeta,
): Promise<MetaToolResult> {
  try {
    const context: ExecutionContext = {
      projectPath: services.kernel.projectPath,
      signal: meta.signal,
      __auth: await services.authority?.current(ctx.threadId),
      __thread_id: ctx.threadId,
      __directive_id: ctx.start.directiveId,
      __idempotency_key: meta.idempotencyKey,
      ...sinkWrapOf(services.redactor(ctx.threadId)),
      services: { kiwi: services },
    }
    const first = await services.gate.check({ verb: call.verb, item: call.question, context })
    return first.permitted ? await call.run(context) : notPermitted(call, first).toEnvelope()
  } catch (error) {
    return toEnvelope(error)
  }
}

function notPermitted({ verb, item }: RunnableCall, refusal: Extract<Permission, { permitted: false }>): KiwiError {
  const what = item === verb ? verb : `${verb} of ${item}`
  return new KiwiError(
    refusal.code ?? 'PERMISSION_DENIED',
    `This thread may not do this: ${what} needs ${refusal.missing.join(' and ')}, which its directive does not declare.`,
    { facts: { missing: refusal.missing }, suggestion: refusal.suggestion },
  )
}

const DENIALS: ReadonlySet<string> = new Set(['PERMISSION_DENIED', 'TOKEN_INVALID', 'ADDRESS_DENIED', 'SECRET_IN_PARAMETERS'])

/** What was denied stands in the log as an event of its own, wherever on the way it was denied. */
export function denialEvents(tool: string, result: MetaToolResult): readonly NewEvent[] {
  if (result.success) return []
  const { code, cause, message, suggestion } = result.error
  const denial = [code, cause?.code].find((one) => one !== undefined && DENIALS.has(one))
  if (denial === undefined) return []
  const { missing } = result.error
  return [
    ...secretBlockedEvents(tool, result.error),
    {
      type: 'permission_denied',
      payload: { tool, code: denial, missing: Array.isArray(missing) ? missing.map(String) : null, message, suggestion },
    },
  ]
}
