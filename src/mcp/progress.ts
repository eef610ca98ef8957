import type { ServerContext } from '@modelcontextprotocol/server'

/** Hosts that start their clock again at each sign of life do so after half a minute at the earliest. */
export const PROGRESS_EVERY_MS = 10_000

/** Does `work`; a client that asked for progress hears meanwhile that it goes on. */
export async function withProgress<T>(
  { mcpReq }: Pick<ServerContext, 'mcpReq'>,
  options: { readonly what: string; readonly everyMs: number },
  work: () => Promise<T>,
): Promise<T> {
  const progressToken = mcpReq._meta?.progressToken
  if (progressToken === undefined) return work()
  const begun = performance.now()
  let progress = 0
  const timer = setInterval(() => {
    progress += 1
    const message = `${options.what} goes on (${Math.round((performance.now() - begun) / 1000)} s).`
    // A client that cannot be told any more is noticed by its transport.
    mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, message } }).catch(() => undefined)
  }, options.everyMs)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}
