import { setTimeout as delay } from 'node:timers/promises'
import type { JsonObject } from '../json.ts'
import { isTerminal } from '../threads/status.ts'
import type { ThreadEventRow, ThreadRow, ThreadsClient } from '../threads/threads-client.ts'
import { exitCodeOfThread } from './exit-codes.ts'
import { count, dollars, numberIn } from './format.ts'
import type { StatusLine } from './status-line.ts'
import { createTerminalFilter, terminalLine } from './terminal-text.ts'
import { statusOf, tokensOf } from './thread-text.ts'

export interface FollowOptions {
  readonly threads: ThreadsClient
  readonly threadId: string
  readonly screen: StatusLine
  /** Events after this one are given to `onEvent`, each once and in order. */
  readonly sinceSeq: number
  readonly onEvent: (event: ThreadEventRow) => void
  /** Shown as a share in the status line; null shows the tokens alone. */
  readonly contextLimit: number | null
  /** Stops following; the thread goes on. */
  readonly signal: AbortSignal
}

/** How following ended, with the thread's row at that time and the text of the last answer that was streamed here. */
export interface Followed {
  readonly kind: 'settled' | 'interrupted'
  readonly row: ThreadRow
  readonly lastText: string
}

/**
 * Follows one thread until it ends, needs a person or is paused, or `signal` aborts: tokens go to the screen as they come, events come
 * from the registry, so that none is lost when the live channel is (it is lossy, and a host may be replaced meanwhile).
 */
export async function follow(options: FollowOptions): Promise<Followed> {
  const { threads, threadId, screen } = options
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const live = createLiveText(screen)
  const seen = { contextTokens: 0 }
  const onEvent = (event: ThreadEventRow): void => {
    if (event.event_type === 'cost_update') seen.contextTokens = numberIn(event.payload, 'input_tokens')
    options.onEvent(event)
  }
  const drain = createEventDrain({ ...options, onEvent })
  const refresh = (): void => {
    drain()
    screen.set(statusText(threads.get(threadId), { used: seen.contextTokens, limit: options.contextLimit }))
  }
  const timer = setInterval(refresh, REFRESH_MS)
  // A committed event is announced in order with the text around it, and read from the registry like every other.
  const onLive = (message: JsonObject): void => (message['type'] === 'event' ? drain() : live.take(message))
  const watching = keepWatching({ threads, threadId, signal, onLive, onLost: () => live.restart() })
  try {
    await untilSettled(threads, [threadId], { signal: options.signal })
  } finally {
    clearInterval(timer)
    stop.abort()
    await watching
    live.end()
    drain()
    screen.close()
  }
  return { kind: options.signal.aborted ? 'interrupted' : 'settled', row: threads.get(threadId), lastText: live.lastText() }
}

/**
 * Waits until every thread has ended, needs a person or is paused; until `signal` aborts; or until `deadlineMs` (a time) has come. Gives the
 * rows as they are then.
 */
export async function untilSettled(
  threads: ThreadsClient,
  threadIds: readonly string[],
  options: {
    readonly signal: AbortSignal
    readonly deadlineMs?: number
    /** Wait for work that was handed on where it is now; default: for the thread itself. */
    readonly followsWork?: boolean
  },
): Promise<readonly ThreadRow[]> {
  const { signal, deadlineMs = Infinity, followsWork = false } = options
  for (let isFirst = true; ; isFirst = false) {
    const rows = threadIds.map((id) => (followsWork ? threads.newestOf(id) : threads.get(id)))
    // What one needed may just have come, which its row does not say yet; the client's wait knows.
    const pending = rows
      .filter((row) => exitCodeOfThread(row) === null || (isFirst && !isTerminal(row.status)))
      .map((row) => row.thread_id)
    const leftMs = deadlineMs - Date.now()
    if (pending.length === 0 || signal.aborted || leftMs <= 0) return rows
    // In slices, because a pause does not end the client's wait. An abort may reject it; the loop's own test decides.
    await threads.wait(pending, { timeoutMs: Math.min(WAIT_SLICE_MS, leftMs), signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}

const REFRESH_MS = 250
const WAIT_SLICE_MS = 2000
const REWATCH_MS = 500

function createEventDrain({ threads, threadId, sinceSeq, onEvent }: FollowOptions): () => void {
  let seen = sinceSeq
  return () => {
    for (const event of threads.events(threadId, { sinceSeq: seen, limit: 1000 })) {
      seen = Math.max(seen, event.seq)
      onEvent(event)
    }
  }
}

/** The host may end and another take over while the thread goes on; the channel is opened again until `signal` aborts. */
async function keepWatching(options: {
  readonly threads: ThreadsClient
  readonly threadId: string
  readonly signal: AbortSignal
  readonly onLive: (live: JsonObject) => void
  /** What comes after this does not go on where the last live message ended. */
  readonly onLost: () => void
}): Promise<void> {
  const { threads, threadId, signal, onLive, onLost } = options
  while (!signal.aborted) {
    // Without a host there is nothing live to see; events and the outcome still come from the registry.
    await threads.watch(threadId, onLive, signal).catch(() => undefined)
    onLost()
    await delay(REWATCH_MS, undefined, { signal }).catch(() => undefined)
  }
}

interface LiveText {
  take(live: JsonObject): void
  /** The next text begins an answer again, though the attempt may have the same number: another host makes the call. */
  restart(): void
  end(): void
  lastText(): string
}

function createLiveText(screen: StatusLine): LiveText {
  const filter = createTerminalFilter()
  const state = { attempt: '', text: '' }
  return {
    take(live) {
      if (live['type'] === 'tool_call') state.text = '' // what was said before a call is not the answer
      if (live['type'] === 'retry') screen.line(`  … ${retryText(live)}`)
      const text = textOfLive(live)
      if (text === null) return
      // A call that is made again begins its answer again.
      const attempt = `${numberIn(live, 'turn')}/${numberIn(live, 'attempt')}`
      if (attempt !== state.attempt) {
        screen.freshLine()
        state.attempt = attempt
        state.text = ''
      }
      state.text += text
      screen.write(filter.write(text))
    },
    restart() {
      state.attempt = ''
    },
    end: () => screen.write(filter.end()),
    lastText: () => state.text,
  }
}

/** Why it is quiet, and for how long. */
function retryText(live: JsonObject): string {
  const { code, message } = live
  const why = typeof code === 'string' && typeof message === 'string' ? `${terminalLine(message)} ` : ''
  return `${why}Trying again in ${(numberIn(live, 'wait_ms') / 1000).toFixed(1)} s.`
}

/** The visible text of a live message; null for reasoning, arguments and anything else. */
function textOfLive(live: JsonObject): string | null {
  return live['type'] === 'text' && typeof live['text'] === 'string' ? live['text'] : null
}

function statusText(row: ThreadRow, context: { readonly used: number; readonly limit: number | null }): string {
  const share = context.limit === null ? count(context.used) : `${Math.floor((context.used / Math.max(1, context.limit)) * 100)}%`
  return [
    statusOf(row),
    `turn ${row.turn}`,
    `${count(tokensOf(row.total_usage))} tokens`,
    dollars(numberIn(row.total_usage, 'cost_nano')),
    `context ${share}`,
  ].join(' · ')
}
