import type { TurnContext } from '../../../threads/engine.ts'
import { isTerminal, needsPerson } from '../../../threads/status.ts'
import type { HarnessServices } from '../services.ts'
import { joinedCommits } from './joined-commits.ts'
import type { ParkedCall } from './state.ts'
import { callerOf } from '../interventions/caller.ts'
import { waitAnswer } from '../interventions/thread-view.ts'
import { answerCommit } from '../tools/tool-steps.ts'

/** Milliseconds at which the earliest unfinished wait ends by itself, or null when every parked call can be answered now. */
export function parkedUntil(ctx: TurnContext, parked: readonly ParkedCall[]): number | null {
  const children = new Map(ctx.children().map((child) => [child.threadId, child]))
  const open = parked.filter((call) => {
    if (ctx.now() >= call.untilMs) return false
    const waitedFor = call.waitFor.flatMap((id) => children.get(id) ?? [])
    if (call.wakeOnWaiting === true && waitedFor.some(({ status, waitReason }) => needsPerson(status, waitReason))) return false
    return waitedFor.some(({ status }) => !isTerminal(status))
  })
  return open.length === 0 ? null : Math.min(...open.map(({ untilMs }) => untilMs))
}

/** Gives every parked call its result, in one journaled step, so that the model can be called again. */
export async function deliverParked(services: HarnessServices, ctx: TurnContext, parked: readonly ParkedCall[]): Promise<void> {
  await ctx.step('deliver', { effect: 'pure', timeoutMs: 60_000 }, async () => {
    const { projectPath } = services.kernel
    const caller = await callerOf(services, { projectPath, __thread_id: ctx.threadId, __auth: services.hostAuthority })
    const commits = parked.map((call) => {
      const answer = waitAnswer(services.threads, call.waitFor, caller)
      return answerCommit(ctx, { id: call.callId, tool: call.tool }, JSON.stringify(answer), false)
    })
    return { value: parked.length, commit: joinedCommits(commits) }
  })
}
