import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { MetaToolResult, Permission } from '../../../kernel/contract.ts'
import { KiwiError, toEnvelope } from '../../../kernel/errors.ts'
import type { NewEvent, StepMeta, TurnContext } from '../../../threads/engine.ts'
import { secretBlockedEvents, sinkWrapOf } from '../redaction.ts'
import type { HarnessServices } from '../services.ts'
import type { RunnableCall } from './tool-request.ts'

/** Whose calls they are, and where. */
export interface CallPlace {
  readonly services: HarnessServices
  readonly ctx: TurnContext
}

export interface RunOptions {
  /** Another token than the thread's present one: that of an approval. */
  readonly token?: () => Promise<string>
  /** Everything is looked at, and nothing runs. */
  readonly checkOnly?: boolean
}

/**
 * Runs the call under the thread's token, after a first look at whether the thread may make it at all. The tool layer looks again, with the
 * real parameters, just before anything happens.
 */
export async function runUnderToken(
  place: CallPlace,
  call: RunnableCall,
  meta: StepMeta,
  options: RunOptions = {},
): Promise<MetaToolResult> {
  const { services } = place
  try {
    const context = await callContext(place, meta, options)
    const first = await services.gate.check({ verb: call.verb, item: call.question, context })
    return first.permitted ? await call.run(context) : notPermitted(call, first).toEnvelope()
  } catch (error) {
    return toEnvelope(error)
  }
}

/** What a call of the thread carries. @throws {KiwiError} TOKEN_INVALID */
export async function callContext(
  { services, ctx }: CallPlace,
  meta: StepMeta,
  { token, checkOnly = false }: RunOptions = {},
): Promise<ExecutionContext> {
  return {
    projectPath: services.kernel.projectPath,
    signal: meta.signal,
    __auth: token === undefined ? await services.authority?.current(ctx.threadId) : await token(),
    __thread_id: ctx.threadId,
    __directive_id: ctx.start.directiveId,
    __idempotency_key: meta.idempotencyKey,
    ...(checkOnly ? { __check_only: true } : {}),
    ...sinkWrapOf(services.redactor(ctx.threadId)),
    services: { kiwi: services },
  }
}

function notPermitted({ verb, item }: RunnableCall, refusal: Extract<Permission, { permitted: false }>): KiwiError {
  const what = item === verb ? verb : `${verb} of ${item}`
  return new KiwiError(
    refusal.code ?? 'PERMISSION_DENIED',
    `This thread may not do this: ${what} needs ${refusal.missing.join(' and ')}, which its directive does not declare.`,
    {
      facts: { missing: refusal.missing },
      suggestion: verb === 'sign' ? `${refusal.suggestion} ${ASK_TO_SIGN}` : refusal.suggestion,
    },
  )
}

const ASK_TO_SIGN =
  'Without it, ask: help {"action": "escalate", "reason": "please sign …"} with type and id; a person then runs kiwi sign TYPE ID.'

const DENIALS: ReadonlySet<string> = new Set([
  'PERMISSION_DENIED',
  'APPROVAL_REQUIRED',
  'TOKEN_INVALID',
  'ADDRESS_DENIED',
  'SECRET_IN_PARAMETERS',
])

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
