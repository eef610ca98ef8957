import type { Runner, ThreadStart } from '../engine.ts'
import { isoTime } from '../clock.ts'
import { text } from '../store/columns.ts'
import type { Journal } from './journal.ts'
import type { Leases } from './leases.ts'
import { appendEvent } from '../store/append-event.ts'
import { addUsage, loadLive, readUsage } from './live-thread.ts'
import type { LiveThread } from './live-thread.ts'

/**
 * Takes a thread's lease and reads the thread. What an earlier host left open is resolved in the same transaction: a `once` step that
 * began is `unknown` (E2), and every reservation counts as spent. Null when a living host has the thread, or it has ended.
 */
export async function takeUp(
  context: { readonly journal: Journal; readonly leases: Leases },
  start: ThreadStart,
  runner: Runner,
): Promise<LiveThread | null> {
  const { journal, leases } = context
  const { store, clock } = journal
  const taken = await store.commit(() => {
    const nowMs = clock.now()
    if (!isUnfinished(journal, start.threadId)) return null
    const epoch = leases.take(start.threadId, nowMs)
    if (epoch === null) return null
    // Another engine of this process may believe that it has the thread.
    store.touch()
    store
      .statement("UPDATE steps SET state = 'unknown' WHERE thread_id = ? AND effect = 'once' AND state IN ('begun', 'failed')")
      .run(start.threadId)
    settleLost(journal, start.threadId, isoTime(nowMs))
    return epoch
  })
  return taken === null ? null : loadLive(store, { start, runner, epoch: taken, nowMs: clock.now() })
}

/** What the lost host had reserved counts as spent, in the ledger, in the log and in the totals of the row alike. */
function settleLost({ store, ledger }: Journal, threadId: string, nowIso: string): void {
  let costNano = 0
  for (const { step, amountNano } of ledger.settleAll(threadId)) {
    costNano += amountNano
    const payload = { step, cost_nano: amountNano, reason: 'host_lost' }
    appendEvent(store, { threadId, type: 'reservation_settled', payload, nowIso })
  }
  if (costNano === 0) return
  const row = store.statement('SELECT total_usage_json FROM threads WHERE thread_id = ?').get(threadId)
  if (row === undefined) return
  const usage = addUsage(readUsage(row), { cost_nano: costNano })
  store
    .statement('UPDATE threads SET total_usage_json = ?, updated_at = ? WHERE thread_id = ?')
    .run(JSON.stringify(usage), nowIso, threadId)
}

function isUnfinished(journal: Journal, threadId: string): boolean {
  const row = journal.store.statement('SELECT status FROM threads WHERE thread_id = ?').get(threadId)
  return row !== undefined && ['spawning', 'running', 'paused', 'waiting'].includes(text(row, 'status'))
}
