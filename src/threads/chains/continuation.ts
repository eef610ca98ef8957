import { KiwiError } from '../../kernel/errors.ts'
import type { Continues } from '../engine.ts'
import { isTerminal } from '../status.ts'
import { integer } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { getThread } from '../store/thread-rows.ts'
import type { SpawnRequest } from '../threads-client.ts'
import { newestOf } from './line.ts'

/** What a new thread goes on from, and the chain that it joins by that. */
export interface Continuation {
  readonly chainId: string
  readonly continues: Continues | null
}

/**
 * Looks whether the thread may be continued that way, and how far its conversation goes; inside the spawn's transaction.
 *
 * @throws {KiwiError} THREAD_NOT_FOUND; ILLEGAL_TRANSITION for a retry of work that goes on; INVALID_REQUEST for a `throughSeq` that is no seq.
 */
export function continuationOf(store: Store, request: Pick<SpawnRequest, 'threadId' | 'continues'>): Continuation {
  const { threadId, continues } = request
  if (continues === undefined || continues === null) return { chainId: threadId, continues: null }
  if (!Number.isSafeInteger(continues.throughSeq) || continues.throughSeq < 0) {
    throw new KiwiError(
      'INVALID_REQUEST',
      `Expected the last message to copy as a whole number from 0, got ${String(continues.throughSeq)}.`,
    )
  }
  const earlier = getThread(store, continues.threadId)
  if (continues.how === 'retry') assertEnded(store, continues.threadId)
  const row = store
    .statement('SELECT COALESCE(MAX(seq), 0) AS seq FROM messages WHERE thread_id = ? AND seq <= ?')
    .get(continues.threadId, continues.throughSeq)
  // What is copied, not what was asked for: the next message of the new thread has the seq after it.
  const throughSeq = row === undefined ? 0 : integer(row, 'seq')
  return { chainId: earlier.chain_id, continues: { threadId: continues.threadId, how: continues.how, throughSeq } }
}

function assertEnded(store: Store, threadId: string): void {
  const newest = newestOf(store, threadId)
  if (isTerminal(newest.status)) return
  const who = newest.thread_id === threadId ? 'it' : `${newest.thread_id}, which has its work now,`
  throw new KiwiError('ILLEGAL_TRANSITION', `Thread ${threadId} cannot be retried: ${who} is ${newest.status}.`, {
    facts: { thread_id: threadId, newest_thread_id: newest.thread_id, status: newest.status },
    suggestion: `Send ${newest.thread_id} a message, or cancel it and retry it then. A fork starts from a thread that still works.`,
  })
}

const COPY = `INSERT INTO messages (thread_id, seq, turn, step, role, content_json)
  SELECT ?, seq, 0, NULL, role, content_json FROM messages WHERE thread_id = ? AND seq <= ?`

/** Turn 0 and no step: messages that are there before the first turn. Inside a transaction, after the row of the new thread. */
export function copyConversation(store: Store, threadId: string, continues: Continues | null): void {
  if (continues !== null && continues.throughSeq > 0)
    store.statement(COPY).run(threadId, continues.threadId, continues.throughSeq)
}
