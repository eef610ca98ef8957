import type { Commit, TurnContext } from '../../threads/engine.ts'
import { answerCommit } from '../safety/tools/call-events.ts'
import { openCalls } from '../safety/turn/continuation.ts'
import { joinedCommits } from '../safety/turn/joined-commits.ts'
import { stored } from '../safety/turn/messages.ts'

const TIMEOUT_MS = 60_000
const CLOSED =
  'The outcome of this call is not known here: it was open where this conversation was taken up again, and it was not run again.'

/** Adds the request to the conversation, once, behind a result for each call that the conversation before it has left without one. */
export async function begin(ctx: TurnContext, request: string): Promise<void> {
  if (ctx.turn !== 1) return
  await ctx.step('request', { effect: 'pure', timeoutMs: TIMEOUT_MS }, async () => {
    const closed = openCalls(ctx).map(({ id, name }) => answerCommit(ctx, { id, tool: name }, CLOSED, true))
    return { value: null, commit: joinedCommits([...closed, said(request)]) }
  })
}

function said(content: string): Commit {
  return {
    messages: [stored({ role: 'user', content })],
    events: [{ type: 'user_message', payload: {}, message: 0, transcript: { content } }],
  }
}
