import path from 'node:path'
import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError, toEnvelope } from '../../../kernel/errors.ts'
import type { ErrorCode } from '../../../kernel/errors.ts'
import { makeThreadId, sanitizeThreadId } from '../../../threads/thread-id.ts'
import type { SpawnReceipt, SpawnRequest, ThreadRow } from '../../../threads/threads-client.ts'
import { hash } from '../limits/loops.ts'
import type { HarnessServices } from '../services.ts'
import { planSpawn } from './spawn-plan.ts'
import type { SpawnPlan } from './spawn-plan.ts'
import { callingThread } from '../interventions/thread-access.ts'

/** What all three layers of spawning take. */
export interface SpawnCall {
  readonly directive_name: string
  readonly initial_message?: string
  readonly inputs?: JsonObject
  readonly project_path?: string
  /** Default `cancel`: the thread ends with the one that spawned it. */
  readonly on_parent_end?: 'cancel' | 'detach'
}

/** Who spawns, and with what. */
export interface Spawner {
  readonly services: HarnessServices
  readonly context: ExecutionContext
  /** Start data for the runner of the new thread; never from a model or a client. */
  readonly options?: JsonObject
}

const DEFAULT_MESSAGE = 'Execute this directive.'
export const DEFAULT_HARNESS = 'safety_harness'
export const ID_ATTEMPTS = 5
/** These say themselves what went wrong; everything else that stops a spawn is SPAWN_FAILED with its cause. */
const OWN_CODES: ReadonlySet<ErrorCode> = new Set([
  'DIRECTIVE_INVALID',
  'INVALID_THREAD_ID',
  'THREAD_ID_COLLISION',
  'SPAWN_FAILED',
  'PERMISSION_DENIED',
])

/**
 * Layer 3, what LLMs call: checks the directive and spawns it under the safety harness. From inside a thread it makes a child, whose
 * id follows from the step that asked for it, so that a repeated step finds the child it made before.
 */
export async function spawnDirective(
  spawner: Spawner,
  call: SpawnCall & { readonly thread_id?: unknown },
): Promise<SpawnReceipt> {
  return orSpawnFailed(call, async () => {
    if (call.thread_id !== undefined) {
      throw new KiwiError('INVALID_REQUEST', 'thread_directive takes no thread_id: it makes the id itself.', {
        suggestion: 'Leave thread_id out, or use spawn_thread to choose the id.',
      })
    }
    const plan = await planFor(spawner, call)
    return spawnSafely(spawner, call, plan)
  })
}

/** Layer 2: makes the thread id and names the safety harness. */
export async function spawnSafely(spawner: Spawner, call: SpawnCall, plan?: SpawnPlan): Promise<SpawnReceipt> {
  return orSpawnFailed(call, async () => {
    const checked = plan ?? (await planFor(spawner, call))
    const childId = childIdOf(spawner.context, call.directive_name)
    if (childId !== null) return spawnOnce(spawner, { ...call, thread_id: childId }, checked)
    const taken = new Set<string>()
    for (;;) {
      const threadId = makeThreadId(call.directive_name, Date.now(), (id) => taken.has(id) || exists(spawner.services, id))
      try {
        return await spawnThread(spawner, { ...call, thread_id: threadId }, checked)
      } catch (error) {
        // Another process took the id between the look and the write.
        if (!isCollision(error) || taken.size >= ID_ATTEMPTS) throw error
        taken.add(threadId)
      }
    }
  })
}

/** Layer 1: spawns under the given id and harness name; of harnesses it knows no more than the name. */
export async function spawnThread(
  spawner: Spawner,
  call: SpawnCall & { readonly thread_id: string; readonly harness?: string },
  plan?: SpawnPlan,
): Promise<SpawnReceipt> {
  return orSpawnFailed(call, async () => {
    const threadId = sanitizeThreadId(call.thread_id)
    const harness = call.harness ?? DEFAULT_HARNESS
    const checked = plan ?? (await planFor(spawner, call))
    await assertHarness(spawner.services, harness)
    return spawner.services.threads.spawn(requestOf(spawner, call, { threadId, harness, plan: checked }))
  })
}

async function planFor(spawner: Spawner, call: SpawnCall): Promise<SpawnPlan> {
  assertOwnProject(spawner, call)
  return planSpawn(spawner.services, spawner.context, call.directive_name, call.inputs ?? {})
}

/** @throws {KiwiError} INVALID_REQUEST for the path of another project. */
export function assertOwnProject({ services }: Spawner, { project_path: asked }: Pick<SpawnCall, 'project_path'>): void {
  if (asked === undefined || path.resolve(asked) === path.resolve(services.kernel.projectPath)) return
  throw new KiwiError('INVALID_REQUEST', 'project_path names another project than the one these tools serve.', {
    suggestion: 'Leave project_path out, or call the tool of that project.',
  })
}

/** The row that a checked directive becomes. */
export function requestOf(
  { services, context, options = {} }: Spawner,
  call: SpawnCall,
  chosen: { readonly threadId: string; readonly harness: string; readonly plan: SpawnPlan },
): SpawnRequest {
  const { cost, target, directive, grants, grantedNano, guarantee } = chosen.plan
  // What is stored with the thread for good holds no secret of its spawner.
  const redactor = services.redactor(callingThread(context) ?? undefined)
  return {
    threadId: chosen.threadId,
    directiveId: call.directive_name,
    harness: chosen.harness,
    initialMessage: redactor.text(call.initial_message ?? DEFAULT_MESSAGE),
    inputs: redactor.json(call.inputs ?? {}),
    parentThreadId: callingThread(context),
    grantedNano,
    maxSpawns: cost.max_spawns ?? null,
    maxDepth: cost.max_depth ?? null,
    maxLive: cost.max_live_spawns ?? null,
    onParentEnd: call.on_parent_end ?? 'cancel',
    guarantee,
    options,
    costBudget: { ...cost, model: target.model, provider: target.provider, model_tool: target.tool },
    // Permission tags and grants are plain data; their interfaces only lack an index signature.
    permissionContext: { declared: directive.permissions ?? [], grants } as unknown as JsonObject,
  }
}

/** Inside a thread the id follows from the step, so that a replay cannot spawn twice; null for the operator. */
function childIdOf(context: ExecutionContext, directiveName: string): string | null {
  const { __idempotency_key: key } = context
  if (callingThread(context) === null || key === undefined) return null
  const name = directiveName.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100)
  return `${name}_${hash(key).slice(0, 12)}`
}

/** A child that this very step made before (its answer was lost in a crash) is the answer, not a collision. */
async function spawnOnce(
  spawner: Spawner,
  call: SpawnCall & { readonly thread_id: string },
  plan: SpawnPlan,
): Promise<SpawnReceipt> {
  try {
    return await spawnThread(spawner, call, plan)
  } catch (error) {
    if (!isCollision(error)) throw error
    const row = spawner.services.threads.get(call.thread_id)
    if (row.parent_thread_id !== callingThread(spawner.context) || row.directive_id !== call.directive_name) throw error
    return receiptOf(row)
  }
}

export function receiptOf(row: ThreadRow): SpawnReceipt {
  return {
    success: true,
    thread_id: row.thread_id,
    status: 'spawned',
    transcript_path: row.transcript_path,
    registry_id: row.registry_id,
    started_at: row.created_at,
  }
}

/** @throws {KiwiError} for a name that is no harness, or one that is not signed as it is. */
export async function assertHarness(services: HarnessServices, name: string): Promise<void> {
  const item = await services.kernel.require('tool', name)
  const definition = item.state.kind === 'available' ? item.state.definition : null
  if (definition?.kind === 'tool' && definition.toolType === 'harness') return
  throw new KiwiError('INVALID_REQUEST', `${name} is no harness that can be used.`, {
    suggestion: `Leave harness out to use ${DEFAULT_HARNESS}, or name a tool of type harness.`,
  })
}

export function exists(services: HarnessServices, threadId: string): boolean {
  try {
    services.threads.get(threadId)
    return true
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'THREAD_NOT_FOUND') return false
    throw error
  }
}

export function isCollision(error: unknown): boolean {
  return error instanceof KiwiError && error.code === 'THREAD_ID_COLLISION'
}

/** What was to be spawned: a directive, or a harness that runs none. */
type Spawned = Pick<SpawnCall, 'directive_name'> | { readonly harness: string }

/** What went wrong as an error of spawning, with the name of the directive or harness. */
export async function orSpawnFailed(call: Spawned, spawn: () => Promise<SpawnReceipt>): Promise<SpawnReceipt> {
  try {
    return await spawn()
  } catch (error) {
    if (error instanceof KiwiError && OWN_CODES.has(error.code) && error.context.facts?.['directive_name'] !== undefined)
      throw error
    throw spawnError(call, error)
  }
}

function spawnError(call: Spawned, error: unknown): KiwiError {
  const named = 'directive_name' in call ? { directive_name: call.directive_name } : { harness: call.harness }
  const what = 'directive_name' in call ? `Directive ${call.directive_name}` : `Harness ${call.harness}`
  const { code, message, suggestion, retryable } = toEnvelope(error).error
  const facts = error instanceof KiwiError ? (error.context.facts ?? {}) : {}
  const own = OWN_CODES.has(code)
  return new KiwiError(own ? code : 'SPAWN_FAILED', own ? message : `${what} was not spawned: ${message}`, {
    facts: { ...facts, ...named },
    cause: own && error instanceof KiwiError ? (error.context.cause ?? null) : { code, message },
    retryable,
    ...(suggestion === null ? {} : { suggestion }),
    error,
  })
}
