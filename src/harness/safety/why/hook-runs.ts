import type { JsonObject } from '../../../json.ts'
import type { ThreadsClient } from '../../../threads/threads-client.ts'
import { loggedEvents } from './logged-events.ts'

/** One time that a hook was asked, in the words of the log. */
export interface HookRun extends JsonObject {
  readonly seq: number
  readonly ts: string
  /** Of what happened to the thread. */
  readonly event: string
  readonly code: string
  readonly directive: string | null
  /** The hook's own; null where none could be started. */
  readonly thread_id: string | null
  /** `retry`, `continue`, `skip`, `fail` or `abort`; `failed` for no answer; null while it runs. */
  readonly answer: string | null
  /** What no answer meant to the thread: `ended` or `went_on`; null where there was one. */
  readonly outcome: string | null
  /** What it said, or why it gave no answer. */
  readonly message: string | null
}

/** The last hooks of a thread, in the order in which they were started. */
export function hookRuns(threads: ThreadsClient, threadId: string): readonly HookRun[] {
  const logged = (type: string): readonly JsonObject[] => loggedEvents(threads, threadId, type)
  const failed = logged('hook_failed')
  const heard = new Map([...logged('hook_finished'), ...failed].map((answer) => [answer['thread_id'], answer]))
  const started = logged('hook_started').map((start) => runOf(start, heard.get(start['thread_id'] ?? null)))
  const neverStarted = failed.filter(({ thread_id: id }) => id === null).map((failure) => runOf(failure, failure))
  return [...started, ...neverStarted].toSorted((left, right) => left.seq - right.seq)
}

function runOf(start: JsonObject, heard: JsonObject | undefined): HookRun {
  return {
    seq: Number(start['seq']),
    ts: textOf(start['ts']) ?? '',
    event: textOf(start['event']) ?? '',
    code: textOf(start['code']) ?? '',
    directive: textOf(start['directive']),
    thread_id: textOf(start['thread_id']),
    answer: heard === undefined ? null : (textOf(heard['action']) ?? 'failed'),
    outcome: textOf(heard?.['outcome']),
    message: heard === undefined ? null : (textOf(heard['message']) ?? textOf(heard['reason'])),
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
