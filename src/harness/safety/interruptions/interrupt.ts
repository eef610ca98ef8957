import { startHook } from '../hooks/start-hook.ts'
import type { HookOutcome } from '../hooks/start-hook.ts'
import type { Interruption, Scene } from '../turn/scene.ts'
import { endWith, tell } from '../turn/turn-draft.ts'
import type { Consequence, Happening, Settled, ThreadEvent } from './contract.ts'
import { ask } from './question.ts'

/**
 * Something has happened that a hook or a person may answer. Called only where every tool call of the turn has its result, so that the
 * thread can wait here and go on with a fresh turn.
 */
export async function interrupt(scene: Scene, event: ThreadEvent, consequence: Consequence): Promise<Interruption> {
  const { pending, unheard } = scene.data
  // What the thread waits for already comes first.
  if (pending !== null) return { kind: 'go_on', data: { ...scene.data, unheard: [...unheard, { event, consequence }] } }
  // Most threads have none, and come here in every turn.
  if (scene.prepared.hooks === undefined) return follow(scene, consequence)
  return afterHook(scene, await startHook(scene, event, consequence))
}

/** `interrupt` for something that may be no event. */
export async function hear(scene: Scene, { event, consequence }: Happening): Promise<Interruption> {
  return event === null ? follow(scene, consequence) : interrupt(scene, event, consequence)
}

/** Waits for the hook that was started, or goes on as it was decided. */
export function afterHook(scene: Scene, outcome: HookOutcome): Interruption {
  if (outcome.kind === 'waits') return { kind: 'over', end: outcome.end }
  return follow({ ...scene, data: outcome.data }, outcome.consequence)
}

/** What follows when no hook says otherwise. */
function follow(scene: Scene, consequence: Consequence): Interruption {
  return consequence.kind === 'ask' ? ask(scene, consequence) : settle(scene, consequence)
}

/** Goes on with a note to the model, or ends the thread. */
export function settle({ ctx, data }: Scene, settled: Settled): Interruption {
  if (settled.kind === 'end') return { kind: 'over', end: endWith(ctx, data, settled.endReason, settled.failure) }
  if (settled.note !== null) tell(ctx, settled.note)
  return { kind: 'go_on', data }
}
