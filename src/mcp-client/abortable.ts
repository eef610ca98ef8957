import { McpFailure } from './contract.ts'

export interface AbortScope {
  /** For the message. */
  readonly server: string
  readonly signals: readonly (AbortSignal | undefined)[]
}

/** The promise, or ABORTED as soon as one of the signals fires; what the promise comes to afterwards is nobody's. @throws {McpFailure} */
export async function abortable<T>(promise: Promise<T>, { server, signals }: AbortScope): Promise<T> {
  const given = signals.filter((signal) => signal !== undefined)
  if (given.length === 0) return await promise
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(aborted(server))
  for (const signal of given) signal.addEventListener('abort', onAbort, { once: true })
  if (given.some((signal) => signal.aborted)) onAbort()
  try {
    return await Promise.race([promise, stopped])
  } finally {
    for (const signal of given) signal.removeEventListener('abort', onAbort)
  }
}

/** @throws {McpFailure} ABORTED as soon as one of the signals fires. */
export async function waitFor(ms: number, scope: AbortScope): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  try {
    await abortable(promise, scope)
  } finally {
    clearTimeout(timer)
  }
}

export function aborted(server: string): McpFailure {
  return new McpFailure('ABORTED', `The call of the MCP server "${server}" was cancelled.`)
}
