import { McpFailure } from '../contract.ts'
import type { SessionRequestOptions } from '../contract.ts'
import type { Ending } from './ending.ts'
import { lostFailure } from './failures.ts'
import type { ServerName } from './failures.ts'

/** One request from outside: what ends it before its answer comes. After `finish` no timer and no listener is left. */
export interface Call {
  /** Aborts when the call is over, so that the server is told that nobody waits any more. */
  readonly signal: AbortSignal
  /** Rejects with why the call is over; never resolves. */
  readonly failed: Promise<never>
  /** The server told of its progress: it has its whole time again, up to the hard limit. */
  life(): void
  finish(): void
}

const FAR_MS = 2_147_483_647
const MAX_TOTAL_FACTOR = 10

export function startCall(name: ServerName, method: string, ending: Ending, options: SessionRequestOptions): Call {
  const { signal } = options
  const timeoutMs = clamp(options.timeoutMs)
  const maxTotalMs = clamp(options.maxTotalMs ?? timeoutMs * MAX_TOTAL_FACTOR)
  const controller = new AbortController()
  const { promise: failed, reject } = Promise.withResolvers<never>()
  failed.catch(() => undefined)

  let isOver = false
  const fail = (failure: McpFailure, told: string): void => {
    isOver = true
    reject(failure)
    controller.abort(told)
  }
  const expire = (timer: 'progress' | 'total', ms: number) => (): void => {
    const what = timer === 'progress' ? 'neither an answer nor a sign of progress' : 'no answer, for all its progress,'
    const message = `The MCP server "${name.server}" (${name.endpoint}) gave ${what} to ${method} within ${ms} ms.`
    fail(new McpFailure('TIMEOUT', message, { retryable: true, detail: { server: name.server, timer, ms } }), 'timeout')
  }
  const onAbort = (): void =>
    fail(
      new McpFailure('ABORTED', `The call of the MCP server "${name.server}" was aborted.`, { detail: { server: name.server } }),
      'aborted',
    )
  const idleTimer = setTimeout(expire('progress', timeoutMs), timeoutMs)
  const totalTimer = setTimeout(expire('total', maxTotalMs), maxTotalMs)
  const forget = ending.onEnd((reason) => fail(reason ?? lostFailure(name, 'its session was closed.'), 'closed'))
  if (signal?.aborted === true) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })

  return {
    signal: controller.signal,
    failed,
    life() {
      // A timer that was cleared would come back to life.
      if (!isOver) idleTimer.refresh()
    },
    finish() {
      isOver = true
      clearTimeout(idleTimer)
      clearTimeout(totalTimer)
      signal?.removeEventListener('abort', onAbort)
      forget()
    },
  }
}

function clamp(ms: number): number {
  return Math.min(Math.max(1, ms), FAR_MS)
}
