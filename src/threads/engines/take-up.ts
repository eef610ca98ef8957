import type { Runner, ThreadStart } from '../engine.ts'
import { isoTime } from '../clock.ts'
import { text } from '../store/columns.ts'
import type { Journal } from './journal.ts'
import type { Leases } from './leases.ts'
import { loadLive } from './live-thread.ts'
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
  const { store, ledger, clock } = journal
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
    return { epoch, settled: ledger.settleAll(start.threadId) }
  })
  if (taken === null) return null
  const live = loadLive(store, { start, runner, epoch: taken.epoch, nowMs: clock.now() })
  if (taken.settled.length > 0) {
    const events = taken.settled.map(({ step, amountNano }) => ({
      type: 'reservation_settled',
      payload: { step, cost_nano: amountNano, reason: 'host_lost' },
    }))
    const costNano = taken.settled.reduce((sum, { amountNano }) => sum + amountNano, 0)
    const commit = journal.prepare(live, { events, usage: { cost_nano: costNano } }, { step: null })
    await journal.write(live, (transaction) => journal.put(live, commit, { transaction, nowIso: isoTime(clock.now()) }))
  }
  return live
}

function isUnfinished(journal: Journal, threadId: string): boolean {
  const row = journal.store.statement('SELECT status FROM threads WHERE thread_id = ?').get(threadId)
  return row !== undefined && ['spawning', 'running', 'paused', 'waiting'].includes(text(row, 'status'))
}
