/**
 * MCP hosts drop an answer after about a minute. This is the backstop behind tools that bound themselves, which wait for at most 44
 * seconds and then answer with what they have; it must not cut that answer off.
 */
export const CALL_DEADLINE_MS = 45_000

/**
 * Races `work` against a deadline and against signals that end it: of the caller, of the server. The signal that `work` gets aborts in
 * each case, so nothing of the call goes on unseen; what the call had already handed to a host goes on by design.
 */
export async function withDeadline<T>(
  options: { readonly deadlineMs: number; readonly signals: readonly AbortSignal[] },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<{ readonly kind: 'done'; readonly value: T } | { readonly kind: 'late' } | { readonly kind: 'cancelled' }> {
  const controller = new AbortController()
  const ended = Promise.withResolvers<'late' | 'cancelled'>()
  const end = (kind: 'late' | 'cancelled'): void => {
    ended.resolve(kind)
    controller.abort(
      new Error(kind === 'late' ? `The call took longer than ${options.deadlineMs} ms.` : 'The caller cancelled the call.'),
    )
  }
  const onCancel = (): void => end('cancelled')
  const timer = setTimeout(() => end('late'), options.deadlineMs)
  for (const signal of options.signals) {
    signal.addEventListener('abort', onCancel, { once: true })
    if (signal.aborted) onCancel()
  }
  try {
    const done = work(controller.signal).then((value) => ({ kind: 'done' as const, value }))
    // A rejection after the deadline has no reader; the winner below is then already decided.
    done.catch(() => undefined)
    return await Promise.race([done, ended.promise.then((kind) => ({ kind }))])
  } finally {
    clearTimeout(timer)
    for (const signal of options.signals) signal.removeEventListener('abort', onCancel)
  }
}
