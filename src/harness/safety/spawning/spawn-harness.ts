import { NO_GRANTS } from '../../../capabilities/permissions/meet-grants.ts'
import type { JsonObject } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ValidationError } from '../../../kernel/errors.ts'
import { costOf } from '../../../kernel/items/directive-cost.ts'
import type { CostLimits } from '../../../kernel/items/item.ts'
import { sanitizeThreadId } from '../../../threads/thread-id.ts'
import type { SpawnReceipt, SpawnRequest } from '../../../threads/threads-client.ts'
import { callingThread } from '../interventions/thread-access.ts'
import { nanoFromUsd } from '../model/prices.ts'
import { assertHarness, assertOwnProject, DEFAULT_HARNESS, orSpawnFailed } from './spawning.ts'
import type { SpawnCall, Spawner } from './spawning.ts'

/** A thread without a directive: its limits are said here, what it does is in its harness. */
export interface HarnessCall extends Pick<SpawnCall, 'initial_message' | 'inputs' | 'project_path'> {
  readonly thread_id: string
  readonly harness: string
  /** The fields of `<cost>`; `max_turns` and `on_exceeded` must be there. */
  readonly cost?: JsonObject
}

const FIRST_MESSAGE = 'Begin.'

/**
 * Spawns a harness of the user's on a thread of its own. The row's `directive_id` is the harness's name, and its limits stand in the
 * thread's start options as `cost`. It gets no token: its signed code runs in the host with the rights of the user. So only the operator
 * spawns one, and never a thread, whose token could not bound it.
 *
 * @throws {KiwiError} PERMISSION_DENIED, INVALID_REQUEST, PARAMETER_VALIDATION_ERROR (of `cost`), INVALID_THREAD_ID, THREAD_ID_COLLISION,
 * SPAWN_FAILED with what the kernel said of the harness.
 */
export async function spawnHarness(spawner: Spawner, call: HarnessCall): Promise<SpawnReceipt> {
  const { services, context } = spawner
  const { harness } = call
  const caller = callingThread(context)
  if (caller !== null) throw threadMayNot(caller, harness)
  if (harness === DEFAULT_HARNESS)
    throw new KiwiError('INVALID_REQUEST', `${DEFAULT_HARNESS} runs a directive, and none is named.`, {
      suggestion: 'Give directive_name; or, for a harness of your own that needs no directive, harness and cost.',
    })
  const cost = requiredCost(call)
  assertOwnProject(spawner, call)
  return orSpawnFailed({ harness }, async () => {
    const threadId = sanitizeThreadId(call.thread_id)
    await assertHarness(services, harness)
    return services.threads.spawn(requestOf(spawner, { ...call, thread_id: threadId }, cost))
  })
}

/** @throws {KiwiError} PARAMETER_VALIDATION_ERROR naming every field that is wrong. */
function requiredCost({ cost: given }: HarnessCall): CostLimits {
  const missing = [{ field: 'cost', error: 'is required where no directive brings its own: no thread runs without a budget' }]
  const { cost, errors } = given === undefined ? { cost: null, errors: missing } : costOf(given)
  if (cost === null) throw costError(errors)
  return cost
}

function costError(errors: readonly ValidationError[]): KiwiError {
  const list = errors.map(({ field, error }) => `${field} ${error}`).join('; ')
  return new KiwiError('PARAMETER_VALIDATION_ERROR', `The cost of this thread cannot be used: ${list}.`, {
    failedAt: { tool_id: 'spawn_thread', config_path: 'cost', validation_errors: errors },
    suggestion: 'Give cost as {"max_turns": 10, "on_exceeded": "stop"}, with further limits as in <cost> of a directive.',
  })
}

/** What such code does is bounded by no token. */
export function threadMayNot(caller: string, harness: string): KiwiError {
  return new KiwiError('PERMISSION_DENIED', `Thread ${caller} may not spawn the harness ${harness} without a directive.`, {
    facts: { thread_id: caller, missing: ['to be the operator'] },
    suggestion: 'What such a harness does is bounded by no token, so only a person or program outside of threads spawns it.',
  })
}

function requestOf({ services }: Spawner, call: HarnessCall, cost: CostLimits): SpawnRequest {
  // What is stored with the thread for good holds no secret of its spawner.
  const redactor = services.redactor()
  const ownCap = cost.max_cost_usd !== undefined && cost.on_exceeded !== 'warn'
  // Plain data; the interface only lacks an index signature.
  const limits = cost as unknown as JsonObject
  return {
    threadId: call.thread_id,
    directiveId: call.harness,
    harness: call.harness,
    initialMessage: redactor.text(call.initial_message ?? FIRST_MESSAGE),
    inputs: redactor.json(call.inputs ?? {}),
    parentThreadId: null,
    grantedNano: ownCap ? nanoFromUsd(cost.max_cost_usd) : null,
    maxSpawns: cost.max_spawns ?? null,
    maxDepth: cost.max_depth ?? null,
    maxLive: cost.max_live_spawns ?? null,
    // Whether it reserves before it spends is for its own code to see to.
    guarantee: 'advisory',
    options: { cost: limits },
    costBudget: limits,
    permissionContext: { declared: [], grants: NO_GRANTS } as unknown as JsonObject,
  }
}
