import type { Receive } from '../../threads/engine.ts'
import { saidBy } from '../safety/turn/signals.ts'

/**
 * The `receive` of a harness that has nothing to say of signals itself: what somebody injects, or says with a pause, a resume or a raised
 * budget, becomes a message of the conversation. The engine pauses, wakes and cancels by itself.
 */
export const receiveMessages: Receive = (state, signal) => {
  const commit = saidBy(signal)
  return commit === null ? { state } : { state, commit }
}
