import type { Json, JsonObject } from '../../json.ts'
import { projectOfCall } from '../call-arguments.ts'

/** A call of `execute` that waits for threads. */
export interface WaitCall {
  readonly threadIds: readonly string[]
  readonly projectPath: string
  /** As asked for, or as long as such a call may take. */
  readonly timeoutMs: number
  /** Arguments of the same call that waits for so long. */
  given(timeoutMs: number): JsonObject
}

/** What `wait_thread` takes when it is given nothing, and at most. */
const MAX_WAIT_MS = 44_000

/** Null for every other call, and for one whose arguments will be refused. `deadlineMs` is when calls are cut off. */
export function waitCall(
  call: { readonly name: string; readonly arguments?: unknown },
  options: { readonly projectPath: string; readonly deadlineMs: number },
): WaitCall | null {
  const { name, arguments: given } = call
  if (name !== 'execute' || !isObject(given) || given['item_type'] !== 'tool' || given['item_id'] !== 'wait_thread') return null
  // A page of an earlier result.
  if ('cursor' in given) return null
  const { parameters, project_path: path } = given
  if (!isObject(parameters) || (path !== undefined && typeof path !== 'string')) return null
  const { thread_id: one, thread_ids: several, timeout_seconds: seconds } = parameters
  const threadIds = [one, ...(Array.isArray(several) ? several : [])].filter((id): id is string => typeof id === 'string')
  const projectPath = projectOrNull(path, options.projectPath)
  if (threadIds.length === 0 || projectPath === null) return null
  // Time is kept for the answer itself.
  const longestMs = Math.min(MAX_WAIT_MS, Math.max(options.deadlineMs - 1_000, options.deadlineMs / 2))
  return {
    threadIds,
    projectPath,
    timeoutMs: typeof seconds === 'number' && seconds >= 0 ? Math.min(seconds * 1000, longestMs) : longestMs,
    given: (timeoutMs) => ({ ...given, parameters: { ...parameters, ...timeoutOf(seconds, timeoutMs) } }),
  }
}

/** A timeout that is none is left for the tool to refuse. */
function timeoutOf(seconds: Json | undefined, timeoutMs: number): JsonObject {
  return seconds === undefined || typeof seconds === 'number' ? { timeout_seconds: Math.max(0, timeoutMs) / 1000 } : {}
}

function projectOrNull(given: string | undefined, fallback: string): string | null {
  try {
    return projectOfCall(given, fallback)
  } catch {
    // The call itself will be told why.
    return null
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
