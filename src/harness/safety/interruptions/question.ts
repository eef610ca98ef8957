import type { ApprovalKind } from '../../../threads/approvals/approval.ts'
import type { TurnContext } from '../../../threads/engine.ts'
import { hash } from '../limits/loops.ts'
import type { Interruption, Scene } from '../turn/scene.ts'
import { waitFor } from '../turn/turn-draft.ts'
import type { Consequence } from './contract.ts'

/** An answer that was written just before the expiry is still on its way when the time comes. */
export const ANSWER_GRACE_MS = 1_000

/** Opens a question and lets the thread wait for its answer, which is a no when its time is over. */
export function ask(scene: Scene, { question, refused }: Extract<Consequence, { kind: 'ask' }>): Interruption {
  const { ctx, services } = scene
  // A turn that only asked is not counted, so the next one may ask the same under the same number.
  const approvalId = approvalIdOf(ctx, question.kind, String(ctx.now()))
  // From now, and not from the beginning of the turn, which may have taken long; no step comes after this one (S2).
  const untilMs = Math.max(ctx.now(), Date.now()) + services.approvalTimeoutMs(ctx.threadId)
  const { kind, title, subject } = question
  ctx.record({ approvals: [{ do: 'request', approval: { approvalId, kind, title, subject, expiresAtMs: untilMs } }] })
  const data = { ...scene.data, pending: { kind: 'question', approvalId, question, refused, untilMs } } as const
  return { kind: 'over', end: waitFor(data, question.wait, untilMs + ANSWER_GRACE_MS) }
}

/** The same for a turn that is taken again after a crash, so that nothing is asked twice. `part` tells several questions of a turn apart. */
export function approvalIdOf(ctx: TurnContext, kind: ApprovalKind, part = ''): string {
  return `${kind}_${hash(`${ctx.threadId}/${ctx.turn}/${kind}/${part}`).slice(0, 12)}`
}
