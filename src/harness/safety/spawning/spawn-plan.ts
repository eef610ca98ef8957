import type { Grants } from '../../../capabilities/contract.ts'
import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ErrorBody, ErrorCode, ValidationError } from '../../../kernel/errors.ts'
import type { CostLimits, DirectiveDefinition } from '../../../kernel/items/item.ts'
import { directiveGaps } from '../../../kernel/items/directive-gaps.ts'
import { nanoFromUsd, ratesOf } from '../model/prices.ts'
import type { HarnessServices, ModelTarget } from '../services.ts'
import { hookProblems } from '../hooks/hook-directives.ts'
import { findDirective } from './find-directive.ts'
import { plannedGrants } from './spawn-permission.ts'
import { callingThread } from '../interventions/thread-access.ts'

/** A directive that has everything a thread needs. */
export interface SpawnPlan {
  readonly directive: DirectiveDefinition
  /** What its token will grant: declared, and within what the spawning thread has. */
  readonly grants: Grants
  readonly cost: CostLimits
  readonly target: ModelTarget
  /** Null draws on the nearest capped ancestor: no `max_cost_usd`, or one that only warns. */
  readonly grantedNano: number | null
  readonly guarantee: 'hard' | 'advisory'
}

/**
 * Checks that a directive can run on a thread: signed, inputs complete, and the four things it needs (cost, permissions, model,
 * version), with a price wherever a cap in dollars binds.
 *
 * @throws {KiwiError} DIRECTIVE_INVALID with `validation_errors`, or what the kernel said (ITEM_NOT_FOUND, ITEM_UNSIGNED, MISSING_INPUTS, …).
 */
export async function planSpawn(
  services: HarnessServices,
  context: ExecutionContext,
  name: string,
  inputs: JsonObject,
): Promise<SpawnPlan> {
  const { directive, item } = await findDirective(services, name)
  const { cost } = directive
  const errors: ValidationError[] = directiveGaps(directive).map(({ field, reason, fix }) => ({
    field,
    error: `${reason}. ${fix}`,
  }))
  if (directive.hooks.length > 0) errors.push(...(await hookProblems(services, directive.hooks, callingThread(context))))
  const target = directive.model === null ? null : resolveTarget({ services, context }, directive, errors)
  const priced = target === null || ratesOf(target, Date.now()) !== null
  if (target !== null && !priced && isCapped(services, context, cost)) errors.push(unknownPrice(target))
  if (errors.length > 0 || cost === null || target === null) throw invalidDirective(name, errors, priced ? null : 'UNKNOWN_PRICE')
  await assertRunnable(services, context, name, inputs)
  const grants = await plannedGrants({ services, context }, directive, item)
  const ownCap = cost.max_cost_usd !== undefined && cost.on_exceeded !== 'warn'
  return {
    directive,
    grants,
    cost,
    target,
    grantedNano: ownCap ? nanoFromUsd(cost.max_cost_usd) : null,
    guarantee: priced ? 'hard' : 'advisory',
  }
}

/** A kernel error as ours again, with everything it said. */
export function errorFromBody(body: ErrorBody): KiwiError {
  const { code, message, chain, failed_at: failedAt, cause, retryable, suggestion, ...facts } = body
  return new KiwiError(code, message, {
    chain,
    cause,
    retryable,
    ...(failedAt === null ? {} : { failedAt }),
    ...(suggestion === null ? {} : { suggestion }),
    // Facts were JSON before they became fields of the body.
    facts: facts as JsonObject,
  })
}

/** The kernel's own answer is the proof that the directive is signed, unchanged and has its inputs. */
async function assertRunnable(
  services: HarnessServices,
  context: ExecutionContext,
  name: string,
  inputs: JsonObject,
): Promise<void> {
  const answer = await services.kernel.execute({ item_type: 'directive', item_id: name, parameters: inputs }, context)
  if (!answer.success) throw errorFromBody(answer.error)
}

function resolveTarget(
  { services, context }: { readonly services: HarnessServices; readonly context: ExecutionContext },
  directive: DirectiveDefinition,
  errors: ValidationError[],
): ModelTarget | null {
  try {
    return services.resolveModel(directive.model, callingThread(context) ?? undefined)
  } catch (error) {
    if (!(error instanceof KiwiError)) throw error
    errors.push({ field: 'model', error: error.message })
    return null
  }
}

/** True where money binds the new thread: by its own cap, or by one of the caller's thread or its ancestors. */
function isCapped(services: HarnessServices, context: ExecutionContext, cost: CostLimits | null): boolean {
  if (cost?.max_cost_usd !== undefined) return true
  let ancestor = callingThread(context)
  while (ancestor !== null) {
    const row = services.threads.get(ancestor)
    if (typeof row.cost_budget['max_cost_usd'] === 'number') return true
    ancestor = row.parent_thread_id
  }
  return false
}

function unknownPrice(target: ModelTarget): ValidationError {
  return {
    field: 'cost.max_cost_usd',
    error: `UNKNOWN_PRICE: no price is known for model ${target.model} of provider ${target.provider}, so a cap in dollars cannot be kept. Configure its price, choose a model with a known price, or remove max_cost_usd.`,
    value: target.model,
  }
}

function invalidDirective(name: string, errors: readonly ValidationError[], cause: ErrorCode | null): KiwiError {
  const list = errors.map(({ field, error }) => `${field}: ${error}`).join(' ')
  return new KiwiError('DIRECTIVE_INVALID', `Directive ${name} cannot run on a thread. ${list}`, {
    failedAt: { tool_id: name, config_path: errors[0]?.field ?? null, validation_errors: errors },
    ...(cause === null ? {} : { cause: { code: cause, message: 'No price is known for the model.' } }),
    facts: { directive_name: name, validation_errors: errors.map((error) => ({ ...error })) },
    suggestion: 'Correct the directive, sign it again and spawn it.',
  })
}
