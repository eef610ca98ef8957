import type { JsonObject } from '../../../json.ts'
import type { ThreadsClient } from '../../../threads/threads-client.ts'

const MOST = 20

/** The last events of one type, in order: `seq` and `ts` with the facts of the event. */
export function loggedEvents(threads: ThreadsClient, threadId: string, type: string): readonly JsonObject[] {
  return threads.events(threadId, { type, last: MOST }).map(({ seq, ts, payload }) => ({ seq, ts, ...payload }))
}
