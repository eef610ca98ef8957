import type { Json } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { Commit, NewEvent } from '../../../threads/engine.ts'
import { isTerminal } from '../../../threads/status.ts'
import type { Pending } from '../interruptions/contract.ts'
import type { HarnessServices } from '../services.ts'
import { summarise } from '../turn/messages.ts'
import type { Scene } from '../turn/scene.ts'
import { isGuard, obey, withoutAnswer } from './obey.ts'
import type { HookOutcome } from './start-hook.ts'
import { readVerdict } from './verdict.ts'
import type { Verdict } from './verdict.ts'

type PendingHook = Extract<Pending, { kind: 'hook' }>

const HEAR_TIMEOUT_MS = 60_000
const MAX_MESSAGE = 2_000

/**
 * What the hook that the thread waits for has said, or that there is no answer: it ended otherwise than done, or its time is over, and
 * then its thread is cancelled. What was found is journaled, because the hook's thread may end a moment later.
 */
export async function hearHook(scene: Scene, pending: PendingHook): Promise<HookOutcome> {
  const { ctx } = scene
  if (!isOver(scene, pending)) {
    const next = { do: 'wait', reason: 'children', untilMs: pending.untilMs, idle: true } as const
    return { kind: 'waits', end: { data: scene.data, next } }
  }
  const outcome = await ctx.step<Json>('hook-answer', { effect: 'idempotent', timeoutMs: HEAR_TIMEOUT_MS }, async () =>
    hear(scene, pending),
  )
  if (outcome.kind !== 'done')
    throw new KiwiError('INTERNAL', 'The answer of a hook may be read again, but the journal holds it as a step that may not.')
  // `hear` wrote it, and nothing else.
  const heard = outcome.value as unknown as Heard
  const data = { ...scene.data, pending: null }
  if (!heard.ok) return { kind: 'follows', data, consequence: withoutAnswer(pending, heard.reason) }
  return { kind: 'follows', ...obey(data, pending, heard.verdict) }
}

/** What the step leaves in the journal. */
type Heard = { readonly ok: true; readonly verdict: Verdict } | { readonly ok: false; readonly reason: string }

function isOver({ ctx }: Scene, { childId, untilMs }: PendingHook): boolean {
  if (ctx.now() >= untilMs) return true
  const child = ctx.children().find(({ threadId }) => threadId === childId)
  return child === undefined || isTerminal(child.status)
}

async function hear(scene: Scene, pending: PendingHook): Promise<{ readonly value: Json; readonly commit: Commit }> {
  const { childId, event } = pending
  const heard = await answerOf(scene, childId)
  const facts = { event: event.name, code: event.code, thread_id: childId }
  const outcome = isGuard(event) ? 'ended' : 'went_on'
  const told: NewEvent = heard.ok
    ? { type: 'hook_finished', payload: { ...facts, ...heard.verdict } }
    : { type: 'hook_failed', payload: { ...facts, reason: heard.reason, outcome } }
  // Heard holds only JSON values.
  return { value: heard as unknown as Json, commit: { events: [told] } }
}

async function answerOf({ services, ctx }: Scene, childId: string): Promise<Heard> {
  try {
    const row = services.threads.newestOf(childId)
    if (!isTerminal(row.status)) {
      await stop(services, ctx.threadId, row.thread_id)
      return { ok: false, reason: `${row.directive_id} gave no answer in time.` }
    }
    if (row.end_reason !== 'done') return { ok: false, reason: `${row.directive_id} ended with ${row.end_reason ?? row.status}.` }
    const { action, message } = readVerdict(row.result)
    // Redacted before it is cut: half a secret is not known for one any more.
    const shown = services.redactor(ctx.threadId).text(message)
    return { ok: true, verdict: { action, message: shown.slice(0, MAX_MESSAGE) } }
  } catch (error) {
    if (ctx.signal.aborted || !(error instanceof KiwiError)) throw error
    return { ok: false, reason: summarise(services.redactor(ctx.threadId).text(error.message)) }
  }
}

/** Nobody waits for it any more. */
async function stop({ threads }: HarnessServices, threadId: string, childId: string): Promise<void> {
  const by = { kind: 'thread', thread_id: threadId, token: null }
  const body = { mode: 'now', by, reason: 'The hook gave no answer in time.' }
  try {
    await threads.signal(childId, { id: `hook_timeout:${threadId}`, kind: 'cancel', body })
  } catch (error) {
    // It has ended by itself a moment ago.
    if (!(error instanceof KiwiError) || error.code !== 'ILLEGAL_TRANSITION') throw error
  }
}
