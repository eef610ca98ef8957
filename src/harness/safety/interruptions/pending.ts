import { hearHook } from '../hooks/hear-hook.ts'
import type { HookOutcome } from '../hooks/start-hook.ts'
import { note } from '../turn/messages.ts'
import type { Interruption, Scene } from '../turn/scene.ts'
import { waitFor } from '../turn/turn-draft.ts'
import type { Answer, Pending, Settled } from './contract.ts'
import { afterHook, hear, settle } from './interrupt.ts'
import { ANSWER_GRACE_MS } from './question.ts'

const NOTE_TIMEOUT_MS = 60_000

/** Looks whether what the thread waits for has come, and goes on accordingly. A thread that waits for nothing goes on. */
export async function resolvePending(scene: Scene): Promise<Interruption> {
  const resolved = await resolve(scene)
  return resolved.kind === 'over' ? resolved : askOn({ ...scene, data: resolved.data })
}

/** Hooks are asked about one event after the other, also where the thread had to wait in between. */
async function askOn(scene: Scene): Promise<Interruption> {
  const [next, ...unheard] = scene.data.unheard
  if (next === undefined) return { kind: 'go_on', data: scene.data }
  const asked = await hear({ ...scene, data: { ...scene.data, unheard } }, next)
  return asked.kind === 'over' ? asked : askOn({ ...scene, data: asked.data })
}

async function resolve(scene: Scene): Promise<Interruption> {
  const { pending } = scene.data
  if (pending === null) return { kind: 'go_on', data: scene.data }
  switch (pending.kind) {
    case 'question':
      return answered(scene, pending)
    case 'hook':
      return heard(scene, await hearHook(scene, pending))
  }
}

async function heard(scene: Scene, outcome: HookOutcome): Promise<Interruption> {
  if (outcome.kind === 'waits' || outcome.consequence.kind !== 'go_on') return afterHook(scene, outcome)
  return settleNow({ ...scene, data: outcome.data }, outcome.consequence)
}

/** Like `settle`, in time for the model call of this very turn: what a turn records comes behind its answer. */
async function settleNow(scene: Scene, settled: Settled): Promise<Interruption> {
  if (settled.kind === 'end' || settled.note === null) return settle(scene, settled)
  const messages = [note(settled.note)]
  await scene.ctx.step('pending-note', { effect: 'pure', timeoutMs: NOTE_TIMEOUT_MS }, async () => ({
    value: null,
    commit: { messages },
  }))
  return { kind: 'go_on', data: scene.data }
}

async function answered(scene: Scene, pending: Extract<Pending, { kind: 'question' }>): Promise<Interruption> {
  const { ctx, data } = scene
  const { [pending.approvalId]: answer, ...others } = data.answers
  const rest = { ...data, pending: null, answers: others }
  if (answer !== undefined) return settleNow({ ...scene, data: rest }, afterAnswer(pending, answer))
  if (ctx.now() >= pending.untilMs + ANSWER_GRACE_MS) {
    ctx.record({ approvals: [{ do: 'close', approvalId: pending.approvalId, as: 'expired' }] })
    return settleNow({ ...scene, data: rest }, withOutcome(pending.refused, 'Nobody answered in time, which is a no.'))
  }
  const { data: stopped, next } = waitFor(data, pending.question.wait, pending.untilMs + ANSWER_GRACE_MS)
  return { kind: 'over', end: { data: stopped, next: next.do === 'wait' ? { ...next, idle: true } : next } }
}

function afterAnswer({ question, refused }: Extract<Pending, { kind: 'question' }>, answer: Answer): Settled {
  const words = answer.reason === '' ? '' : ` ${answer.reason}`
  if (answer.decision === 'deny') return withOutcome(refused, `Denied.${words}`)
  const approved = question.kind === 'budget' ? 'The limits of this thread were raised.' : 'Answered: go on.'
  return { kind: 'go_on', note: `${approved}${words}` }
}

/** The refusal with how it came about in front of it. */
function withOutcome(refused: Settled, outcome: string): Settled {
  if (refused.kind === 'go_on') return { kind: 'go_on', note: refused.note === null ? outcome : `${outcome} ${refused.note}` }
  const { message, ...facts } = refused.failure
  return { ...refused, failure: { ...facts, message: `${message} ${outcome}` } }
}
