import type { ThreadRow, ThreadsClient } from '../threads/threads-client.ts'
import { terminalLine, visibleText } from './terminal-text.ts'

const MOST_HINTED = 10

/**
 * How a thread that waits for a person, or is paused, goes on. With an open question the answer is what it waits for; to resume it is to go on without one.
 */
export function waitingHint(threads: ThreadsClient, { thread_id: id, status }: ThreadRow): string {
  const questions = threads.approvals.list({ root_thread_id: id, status: 'pending', limit: MOST_HINTED })
  const resume = `Let it go on: kiwi resume ${id} [--message TEXT] [--add-usd N] [--add-turns N]`
  if (status === 'paused') return `${id} is paused. ${resume}`
  if (questions.length === 0) return `${id} needs you. Read why: kiwi show ${id}   ${resume}`
  const lines = questions.map(({ approval_id: approvalId, title }) => {
    const ways = `Look: kiwi approvals ${approvalId}   Yes: kiwi approve ${approvalId}   No: kiwi deny ${approvalId}`
    return `  ${terminalLine(visibleText(title))}\n  ${ways}`
  })
  return [`${id} needs you. It asks:`, ...lines, `Or without an answer: kiwi resume ${id} [--message TEXT]`].join('\n')
}
