import { KiwiError } from '../../kernel/errors.ts'

/** How long work may take to notice its abort before nobody waits for it any more. */
const ABORT_GRACE_MS = 5_000

/**
 * Runs `work` with a signal that aborts after `timeoutMs` and with `outer`. Work that does not answer its abort is left behind: the
 * promise rejects 5 s later all the same.
 *
 * @throws {KiwiError} TIMEOUT or ABORTED when the work itself did not settle in time.
 */
export function runBounded<T>(
  outer: AbortSignal,
  bounds: { readonly name: string; readonly timeoutMs: number },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (outer.aborted) return Promise.reject(aborted(bounds.name, outer))
  return new Promise<T>((resolve, reject) => {
    const controller = new AbortController()
    let grace: NodeJS.Timeout | undefined
    const stop = (error: KiwiError): void => {
      if (controller.signal.aborted) return
      controller.abort(error)
      grace = setTimeout(() => settle(() => reject(error)), ABORT_GRACE_MS)
    }
    const onOuter = (): void => stop(aborted(bounds.name, outer))
    const timer = setTimeout(() => stop(timedOut(bounds)), bounds.timeoutMs)
    outer.addEventListener('abort', onOuter, { once: true })
    const settle = (answer: () => void): void => {
      clearTimeout(timer)
      clearTimeout(grace)
      outer.removeEventListener('abort', onOuter)
      answer()
    }
    // A synchronous throw of `work` is a rejection like any other.
    Promise.try(work, controller.signal).then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    )
  })
}

function timedOut(bounds: { readonly name: string; readonly timeoutMs: number }): KiwiError {
  return new KiwiError('TIMEOUT', `Step ${bounds.name} did not end within ${bounds.timeoutMs} ms.`, {
    retryable: true,
    facts: { timeout_ms: bounds.timeoutMs },
  })
}

function aborted(name: string, outer: AbortSignal): KiwiError {
  return new KiwiError('ABORTED', `Step ${name} was stopped.`, { error: outer.reason })
}
