import type { Json, JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { Actor } from '../approvals/approval.ts'
import { isoTime } from '../clock.ts'
import type { Signal, SignalKind } from '../engine.ts'
import { appendEvent } from '../store/append-event.ts'
import type { Store } from '../store/open-store.ts'

/** What somebody does to a thread; the other signals are the engine's own. */
const INTERVENTIONS: ReadonlySet<SignalKind> = new Set(['inject', 'pause', 'resume', 'cancel', 'budget', 'sink', 'approval'])

const AMOUNTS = ['add_usd', 'add_usd_nano', 'add_turns', 'add_tokens', 'add_tool_calls', 'add_seconds'] as const
const TEXTS = ['mode', 'role', 'approval_id', 'decision', 'because_of'] as const

/** An event stays small, whatever a caller sends. */
const MAX_TEXT = 256
export const MAX_REASON = 2_000
/** Who acts where nobody says. */
export const LIBRARY: Actor = { kind: 'operator', door: 'library' }

/**
 * The signal with `by` in its body: who did it, or the operator by the library where it does not say.
 *
 * @throws {KiwiError} INVALID_REQUEST for a `by` that is not an `Actor`.
 */
export function withActor(signal: Signal): Signal {
  if (!INTERVENTIONS.has(signal.kind)) return signal
  const { by } = signal.body
  if (by === undefined || by === null) return { ...signal, body: { ...signal.body, by: { ...LIBRARY } } }
  if (isActor(by)) return signal
  throw new KiwiError(
    'INVALID_REQUEST',
    `Expected by of signal ${signal.kind} to be {kind: "operator", door} or {kind: "thread", thread_id, token}.`,
  )
}

function isActor(by: Json): boolean {
  if (typeof by !== 'object' || by === null || Array.isArray(by)) return false
  // Neither null nor an array, so an object.
  const { kind, door, client, thread_id: threadId, token } = by as JsonObject
  if (kind === 'operator') return isShort(door) && (client === undefined || isShort(client))
  return kind === 'thread' && isShort(threadId) && (token === null || isShort(token))
}

function isShort(value: Json | undefined): boolean {
  return typeof value === 'string' && value !== '' && value.length <= MAX_TEXT
}

/** True for an answer that lets the thread go on. */
export function isApproved(decision: Json | undefined): boolean {
  return decision === 'approve_once' || decision === 'approve_thread'
}

/**
 * Logs what the signal does to the thread, as the event `intervention {action, by, reason, signal_id, …}`; nothing for a signal of the
 * engine. What was injected stands in the conversation, not here. Inside the operation that writes the signal.
 */
export function logIntervention(
  store: Store,
  threadId: string,
  signal: Signal,
  at: { readonly nowMs: number; readonly facts?: JsonObject },
): void {
  if (!INTERVENTIONS.has(signal.kind)) return
  const { by, reason } = signal.body
  const payload: JsonObject = {
    action: signal.kind,
    by: by ?? null,
    reason: typeof reason === 'string' && reason !== '' ? reason.slice(0, MAX_REASON) : null,
    signal_id: signal.id,
    ...factsOf(signal),
    ...at.facts,
  }
  appendEvent(store, { threadId, type: 'intervention', payload, nowIso: isoTime(at.nowMs) })
}

function factsOf({ kind, body }: Signal): JsonObject {
  const facts: Record<string, Json> = {}
  for (const name of TEXTS) {
    const value = body[name]
    if (typeof value === 'string') facts[name] = value.slice(0, MAX_TEXT)
  }
  // What an answer would have added is not added by a no.
  const adds = kind !== 'approval' || isApproved(body['decision'])
  for (const name of AMOUNTS) {
    const value = body[name]
    if (adds && typeof value === 'number') facts[name] = value
  }
  const type = kind === 'sink' ? typeOf(body['destination']) : undefined
  if (typeof type === 'string') facts['destination'] = type.slice(0, MAX_TEXT)
  return facts
}

function typeOf(destination: Json | undefined): Json | undefined {
  if (typeof destination !== 'object' || destination === null || Array.isArray(destination)) return undefined
  // Neither null nor an array, so an object.
  return (destination as JsonObject)['type']
}
