import { isTerminal } from '../../../threads/status.ts'
import { contextOf, warnOfContext } from '../limits/watch-context.ts'
import type { Scene } from '../turn/scene.ts'
import type { SafetyData } from '../turn/state.ts'

/** How often the work of a thread is handed on where its directive does not say. */
const DEFAULT_HANDOFFS = 3

/**
 * What follows at the end of a turn from a context that fills up: the next turn hands the work on, or the model is warned. What other
 * threads do at this moment may decide it, because no step of this turn comes after it (S2).
 */
export function planHandoff(scene: Scene): SafetyData {
  const { ctx, prepared, data } = scene
  return mayHandOn(scene) ? { ...data, handoff: 'due' } : warnOfContext(ctx, prepared, data)
}

/**
 * A thread hands on when its context has crossed the threshold and its directive says so; a bounded number of times in its chain, and only
 * after a tool call of its own, so that what it was given alone cannot fill one successor after the other. A thread that others work for
 * waits for them: its end is theirs.
 */
function mayHandOn({ services, ctx, prepared, data }: Scene): boolean {
  const { limits } = prepared
  if (limits.on_context_full !== 'handoff' || data.handoff !== 'none' || contextOf(prepared, data).kind !== 'warn') return false
  if (data.handoffs >= (limits.max_handoffs ?? DEFAULT_HANDOFFS) || data.spent.toolCalls <= data.callsBefore) return false
  // One turn writes the summary; without another for the successor it were better spent on the work.
  if (limits.on_exceeded === 'stop' && data.spent.turns + 2 > limits.max_turns + data.added.turns) return false
  const live = ctx.children().filter(({ status }) => !isTerminal(status))
  return live.every(({ threadId }) => services.threads.get(threadId).on_parent_end === 'detach')
}
