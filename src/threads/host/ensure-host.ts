import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, renameSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { askHost } from './host-client.ts'
import { openHostFolder, sizeOf } from './host-folder.ts'
import type { HostFolder } from './host-folder.ts'

export interface EnsureHostOptions {
  readonly hostDir: string
  /** Program and arguments that run a host of this folder. */
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/** The log of earlier hosts is put aside when it has grown to this. */
export const MAX_LOG_BYTES = 4_194_304

const PING_MS = 1_000
const POLL_MS = 25
/** A host that found the lock taken by one that was ending leaves nobody; somebody must then try again. */
const MAX_STARTS = 3

/**
 * Connects to the user's host, starting one when none answers. Safe for many processes at once: the lock lets one host live.
 * Gives what it answers to `ping`.
 *
 * @throws {KiwiError} HOST_UNAVAILABLE with the end of the host's log.
 */
export async function ensureHost(options: EnsureHostOptions): Promise<JsonObject> {
  const folder = openHostFolder(options.hostDir)
  const deadline = performance.now() + options.timeoutMs
  let child: ChildProcess | null = null
  let starts = 0
  for (;;) {
    const answer = await ping(folder)
    if (answer !== null) return answer
    if (options.signal?.aborted === true) throw new KiwiError('ABORTED', 'The start of the host was stopped.')
    const failed = child !== null && child.exitCode !== null && child.exitCode !== 0
    if (performance.now() >= deadline || failed) throw notStarted(folder, options.timeoutMs, child)
    if ((child === null || child.exitCode !== null) && starts < MAX_STARTS) {
      child = start(folder, options)
      starts += 1
    }
    await delay(POLL_MS)
  }
}

async function ping(folder: HostFolder): Promise<JsonObject | null> {
  try {
    return await askHost(folder, { cmd: 'ping' }, PING_MS)
  } catch {
    // Whatever the reason, the answer is that no host lives that could be used.
    return null
  }
}

function start(folder: HostFolder, options: EnsureHostOptions): ChildProcess {
  const [program, ...parameters] = options.command
  if (program === undefined) throw new TypeError('Expected `command` to name the program of a host.')
  if (sizeOf(folder.logPath) > MAX_LOG_BYTES) renameSync(folder.logPath, `${folder.logPath}.1`)
  const log = openSync(folder.logPath, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW, 0o600)
  try {
    const child = spawn(program, parameters, { detached: true, stdio: ['ignore', log, log], env: options.env, cwd: folder.path })
    // Told by `exitCode`, or by nobody answering until the deadline.
    child.on('error', () => undefined)
    child.unref()
    return child
  } finally {
    closeSync(log)
  }
}

function notStarted(folder: HostFolder, timeoutMs: number, child: ChildProcess | null): KiwiError {
  const how =
    child?.exitCode === null || child === null
      ? `did not answer within ${timeoutMs} ms`
      : `ended with exit code ${child.exitCode}`
  const log = endOfLog(folder)
  return new KiwiError('HOST_UNAVAILABLE', `The host ${how}.${log === '' ? '' : ` Its log ends with: ${log}`}`, {
    retryable: true,
    suggestion: 'Run "kiwi host run" to see why it does not start.',
  })
}

function endOfLog(folder: HostFolder): string {
  try {
    return readFileSync(folder.logPath, 'utf8').trimEnd().split('\n').slice(-3).join(' | ').slice(-600)
  } catch {
    // No log, nothing to show.
    return ''
  }
}
