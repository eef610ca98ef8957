import { integer, text, textOrNull } from '../store/columns.ts'
import type { Row } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import { isAlive } from './process-identity.ts'
import type { ProcessIdentity } from './process-identity.ts'

/**
 * Who runs which thread. A lease names a host; whether the host lives is one row per host, so a heartbeat is one write whatever the
 * number of threads. Every taking of a lease raises its epoch, and every write of a host checks its epoch in the same transaction (E3).
 */
export interface Leases {
  /** Tells the others that this host lives. Must run inside a transaction, like all of these but `epochOf`. */
  heartbeat(nowMs: number): void
  /** Gives the new epoch, or null when a living host has it. */
  take(threadId: string, nowMs: number): number | null
  release(threadId: string, epoch: number): void
  /** Null when no host holds the lease, or another one does. */
  epochOf(threadId: string): number | null
}

export interface LeaseOptions {
  readonly store: Store
  readonly hostId: string
  readonly identity: ProcessIdentity
  /** A host of another machine that has not told of itself for this long is dead. */
  readonly expiryMs: number
}

const SELECT_LEASE = `SELECT l.host_id, l.epoch, h.machine, h.pid, h.pid_start, h.heartbeat_ms
  FROM leases l LEFT JOIN hosts h ON h.host_id = l.host_id WHERE l.thread_id = ?`
const TAKE =
  'INSERT INTO leases (thread_id, host_id, epoch) VALUES (?, ?, ?) ON CONFLICT (thread_id) DO UPDATE SET host_id = excluded.host_id, epoch = excluded.epoch'
const BEAT = `INSERT INTO hosts (host_id, machine, pid, pid_start, heartbeat_ms) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (host_id) DO UPDATE SET heartbeat_ms = excluded.heartbeat_ms`

export function createLeases(options: LeaseOptions): Leases {
  const { store, hostId, identity } = options

  function isFree(row: Row, nowMs: number): boolean {
    const holder = textOrNull(row, 'host_id')
    if (holder === null || holder === hostId || row['machine'] === null) return true
    const alive = isAlive({ machine: text(row, 'machine'), pid: integer(row, 'pid'), pidStart: text(row, 'pid_start') }, identity)
    return alive === null ? integer(row, 'heartbeat_ms') + options.expiryMs < nowMs : !alive
  }

  return {
    heartbeat: (nowMs) => void store.statement(BEAT).run(hostId, identity.machine, identity.pid, identity.pidStart, nowMs),
    take(threadId, nowMs) {
      const row = store.statement(SELECT_LEASE).get(threadId)
      if (row !== undefined && !isFree(row, nowMs)) return null
      const epoch = row === undefined ? 1 : integer(row, 'epoch') + 1
      store.statement(TAKE).run(threadId, hostId, epoch)
      return epoch
    },
    release: (threadId, epoch) =>
      void store
        .statement('UPDATE leases SET host_id = NULL WHERE thread_id = ? AND host_id = ? AND epoch = ?')
        .run(threadId, hostId, epoch),
    epochOf(threadId) {
      const row = store.statement('SELECT epoch FROM leases WHERE thread_id = ? AND host_id = ?').get(threadId, hostId)
      return row === undefined ? null : integer(row, 'epoch')
    },
  }
}
