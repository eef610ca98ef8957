import type { Commit } from '../../../threads/engine.ts'

/** One commit of several, of their messages, events and usage; events keep pointing at their own message. */
export function joinedCommits(commits: readonly Commit[]): Commit {
  const messages = commits.flatMap((commit) => commit.messages ?? [])
  let offset = 0
  const events = commits.flatMap((commit) => {
    const moved = (commit.events ?? []).map((event) =>
      event.message === undefined ? event : { ...event, message: event.message + offset },
    )
    offset += commit.messages?.length ?? 0
    return moved
  })
  const toolCalls = commits.reduce((sum, commit) => sum + (commit.usage?.tool_calls ?? 0), 0)
  return { messages, events, ...(toolCalls === 0 ? {} : { usage: { tool_calls: toolCalls } }) }
}
