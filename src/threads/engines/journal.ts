import { KiwiError } from '../../kernel/errors.ts'
import { changeApproval } from '../approvals/approval-changes.ts'
import { isoTime } from '../clock.ts'
import type { Clock } from '../clock.ts'
import type { Commit, NewEvent, NewMessage } from '../engine.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { LiveBus } from '../live-bus.ts'
import type { CommitOptions, Operation, Transaction } from '../store/group-commit.ts'
import type { Store } from '../store/open-store.ts'
import { prepareEvent, transcriptLine } from '../transcript/transcript-line.ts'
import type { PreparedEvent } from '../transcript/transcript-line.ts'
import type { Transcripts } from '../transcript/transcripts.ts'
import type { Leases } from './leases.ts'
import { addUsage, lastEventSeq } from './live-thread.ts'
import type { LiveThread } from './live-thread.ts'

/** A commit whose messages have their seq; what an operation writes. */
export interface PreparedCommit {
  readonly messages: readonly (NewMessage & {
    readonly seq: number
    readonly turn: number
    readonly step: string | null
    readonly contentJson: string
  })[]
  readonly events: readonly PreparedEvent[]
  readonly usage: Commit['usage']
  readonly approvals: Commit['approvals']
}

/**
 * The writes of a live thread. Each runs in the group commit of its tick, after checking in the same transaction that the lease is
 * still this host's (E3); a failed one breaks the thread, so that nothing later of it is written on top of a hole.
 */
export interface Journal {
  readonly store: Store
  readonly ledger: Ledger
  readonly clock: Clock
  /** Queues an operation of a live thread. */
  write<T>(live: LiveThread, operation: (transaction: Transaction, nowIso: string) => T, options?: CommitOptions): Promise<T>
  /** Gives messages their seq and shows them in the conversation. Inside an operation, give the transaction. */
  prepare(
    live: LiveThread,
    commit: Commit,
    at: { readonly step: string | null; readonly transaction?: Transaction },
  ): PreparedCommit
  /** Writes messages, questions, events and totals; inside an operation of `write`. */
  put(live: LiveThread, commit: PreparedCommit, at: WriteMoment): void
}

export interface JournalOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly leases: Leases
  readonly clock: Clock
  readonly transcripts: Transcripts | null
  readonly bus: LiveBus | null
}

const INSERT_MESSAGE = 'INSERT INTO messages (thread_id, seq, turn, step, role, content_json) VALUES (?, ?, ?, ?, ?, ?)'
const INSERT_EVENT =
  'INSERT INTO thread_events (thread_id, seq, ts, event_type, payload_json, line_json) VALUES (?, ?, ?, ?, ?, ?)'
const UPDATE_USAGE = 'UPDATE threads SET total_usage_json = ?, updated_at = ? WHERE thread_id = ?'

export function createJournal(options: JournalOptions): Journal {
  return new LiveJournal(options)
}

class LiveJournal implements Journal {
  readonly store: Store
  readonly ledger: Ledger
  readonly clock: Clock
  readonly #options: JournalOptions

  constructor(options: JournalOptions) {
    this.store = options.store
    this.ledger = options.ledger
    this.clock = options.clock
    this.#options = options
  }

  write<T>(
    live: LiveThread,
    operation: (transaction: Transaction, nowIso: string) => T,
    commitOptions: CommitOptions = {},
  ): Promise<T> {
    const guarded: Operation<T> = (transaction) => {
      if (live.broken !== null) throw live.broken.error
      this.#guard(live, transaction)
      return operation(transaction, isoTime(this.clock.now()))
    }
    const onFailure = (error: unknown): void => {
      live.broken ??= { error, leaseLost: error instanceof LeaseLostError }
      live.controller.abort(error)
      commitOptions.onFailure?.(error)
    }
    return this.store.commit(guarded, { ...commitOptions, onFailure })
  }

  prepare(
    live: LiveThread,
    commit: Commit,
    at: { readonly step: string | null; readonly transaction?: Transaction },
  ): PreparedCommit {
    return prepare(live, commit, at)
  }

  put(live: LiveThread, commit: PreparedCommit, at: WriteMoment): void {
    for (const message of commit.messages) {
      this.store
        .statement(INSERT_MESSAGE)
        .run(live.id, message.seq, message.turn, message.step, message.role, message.contentJson)
    }
    const events =
      commit.approvals === undefined ? commit.events : [...commit.events, ...this.#putApprovals(live, commit.approvals)]
    if (events.length > 0) this.#putEvents(live, events, at)
    if (commit.usage === undefined) return
    const usage = addUsage(live.counters.usage, commit.usage)
    setCounters(live, at.transaction, { ...live.counters, usage })
    this.store.statement(UPDATE_USAGE).run(JSON.stringify(usage), at.nowIso, live.id)
  }

  #guard(live: LiveThread, transaction: Transaction): void {
    const foreign = transaction.foreign()
    if (live.checked === foreign) return
    if (this.#options.leases.epochOf(live.id) !== live.epoch) throw leaseLost(live)
    const eventSeq = lastEventSeq(this.store, live.id)
    // Another process logged an event of this thread: ours come after it, and the transcript fills it in.
    if (eventSeq !== live.counters.eventSeq) setCounters(live, transaction, { ...live.counters, eventSeq })
    live.checked = foreign
  }

  /** Gives the events of the questions that were put or closed; one that stands as it was has none. */
  #putApprovals(live: LiveThread, changes: NonNullable<Commit['approvals']>): readonly PreparedEvent[] {
    const at = { threadId: live.id, nowMs: this.clock.now() }
    return changes.flatMap((change) => {
      const event = changeApproval(this.store, change, at)
      return event === null ? [] : [prepareEvent(event, null)]
    })
  }

  #putEvents(live: LiveThread, events: readonly PreparedEvent[], at: WriteMoment): void {
    const insert = this.store.statement(INSERT_EVENT)
    const firstSeq = live.counters.eventSeq + 1
    let seq = firstSeq - 1
    const ids: number[] = []
    for (const event of events) {
      seq += 1
      ids.push(Number(insert.run(live.id, seq, at.nowIso, event.type, event.payloadJson, event.lineJson).lastInsertRowid))
    }
    setCounters(live, at.transaction, { ...live.counters, eventSeq: seq })
    at.transaction.afterCommit(() => this.#announce(live.id, { events, ids, firstSeq, ts: at.nowIso }))
  }

  #announce(threadId: string, written: WrittenEvents): void {
    const { transcripts, bus } = this.#options
    const watched = bus?.watched(threadId) === true
    for (let index = 0; index < written.events.length; index += 1) {
      const event = written.events[index]
      if (event === undefined) continue
      const seq = written.firstSeq + index
      const { ts } = written
      transcripts?.append(threadId, seq, transcriptLine({ seq, ts, ...event }))
      if (!watched) continue
      const row = {
        id: written.ids[index] ?? 0,
        thread_id: threadId,
        seq,
        ts,
        event_type: event.type,
        payload: JSON.parse(event.payloadJson),
      }
      bus.publish(threadId, { type: 'event', event: row })
    }
  }
}

/** The transaction that is being written, and its time. */
export interface WriteMoment {
  readonly transaction: Transaction
  readonly nowIso: string
}

interface WrittenEvents {
  readonly events: readonly PreparedEvent[]
  readonly ids: readonly number[]
  readonly firstSeq: number
  readonly ts: string
}

function prepare(
  live: LiveThread,
  commit: Commit,
  at: { readonly step: string | null; readonly transaction?: Transaction },
): PreparedCommit {
  const { messages = [], events = [] } = commit
  const { messageSeq, history } = live
  const shown = history.length
  at.transaction?.onRollback(() => {
    live.messageSeq = messageSeq
    live.history.length = shown
  })
  const turn = live.turn + 1
  const prepared = messages.map((message, index) => {
    const seq = messageSeq + index + 1
    return { ...message, seq, turn, step: at.step, contentJson: JSON.stringify(message.content) }
  })
  live.messageSeq = messageSeq + messages.length
  for (const { seq, role, content } of prepared) live.history.push({ seq, turn, role, content })
  return {
    messages: prepared,
    events: events.map((event) => prepareEvent(event, messageOf(event, prepared))),
    usage: commit.usage,
    approvals: commit.approvals,
  }
}

function messageOf(event: NewEvent, messages: PreparedCommit['messages']): PreparedCommit['messages'][number] | null {
  if (event.message === undefined) return null
  const message = messages[event.message]
  if (message === undefined)
    throw new KiwiError(
      'INTERNAL',
      `Event ${event.type} refers to message ${event.message} of a commit that has ${messages.length}.`,
    )
  return message
}

/** Inside an operation: what memory says about the registry goes back when the registry does. */
function setCounters(live: LiveThread, transaction: Transaction, counters: LiveThread['counters']): void {
  const before = live.counters
  live.counters = counters
  transaction.onRollback(() => {
    live.counters = before
    // The next operation looks for itself.
    live.checked = null
  })
}

/** Another host runs the thread now; this one has nothing more to say about it. */
class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'
}

function leaseLost(live: LiveThread): LeaseLostError {
  return new LeaseLostError(`Epoch ${live.epoch} of thread ${live.id} is over: another host has taken its lease.`)
}
