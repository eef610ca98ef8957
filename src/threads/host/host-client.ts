import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { findSocketPath } from './host-folder.ts'
import type { HostFolder } from './host-folder.ts'
import { createLineSplitter, MAX_LINE_BYTES, parseObject } from './protocol.ts'
import type { HostRequest } from './protocol.ts'

/**
 * Asks the living host one thing.
 *
 * @throws {KiwiError} HOST_UNAVAILABLE when none answers within `timeoutMs`, else what the host answered.
 */
export async function askHost(folder: HostFolder, request: HostRequest, timeoutMs: number): Promise<JsonObject> {
  const socket = await connect(folder, timeoutMs)
  try {
    return await new Promise<JsonObject>((resolve, reject) => {
      const timer = setTimeout(() => reject(unavailable(`it did not answer ${request.cmd} within ${timeoutMs} ms`)), timeoutMs)
      const settle = (end: () => void): void => {
        clearTimeout(timer)
        end()
      }
      readLines(socket, {
        onMessage: (message) => settle(() => answerOf(message, resolve, reject)),
        onEnd: () => settle(() => reject(unavailable('it closed the connection'))),
      })
      socket.write(`${JSON.stringify({ id: 1, ...request })}\n`)
    })
  } finally {
    socket.destroy()
  }
}

/**
 * Gives the live messages of a thread until it ends or `signal` aborts.
 *
 * @throws {KiwiError} HOST_UNAVAILABLE when there is no host, or it goes away while it is watched.
 */
export async function watchHost(
  folder: HostFolder,
  target: { readonly projectPath: string; readonly threadId: string; readonly signal: AbortSignal },
  onLive: (live: JsonObject) => void,
): Promise<void> {
  if (isAborted(target.signal)) return
  const socket = await connect(folder, CONNECT_TIMEOUT_MS)
  // Aborted while it connected: a listener that is added now would never be called.
  if (isAborted(target.signal)) {
    socket.destroy()
    return
  }
  const stop = (): void => void socket.destroy()
  target.signal.addEventListener('abort', stop, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      readLines(socket, {
        onMessage(message) {
          if (message['ok'] === false) answerOf(message, () => undefined, reject)
          else if (message['end'] === true) resolve()
          // The host sends objects only.
          else if (message['live'] !== undefined) onLive(message['live'] as JsonObject)
        },
        onEnd: () => (target.signal.aborted ? resolve() : reject(unavailable('it went away while the thread was watched'))),
      })
      socket.write(`${JSON.stringify({ id: 1, cmd: 'watch', project_path: target.projectPath, thread_id: target.threadId })}\n`)
    })
  } finally {
    target.signal.removeEventListener('abort', stop)
    socket.destroy()
  }
}

/** Asked anew after each await; the compiler takes an earlier answer for granted. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted
}

const CONNECT_TIMEOUT_MS = 5_000

function connect(folder: HostFolder, timeoutMs: number): Promise<Socket> {
  const path = findSocketPath(folder)
  if (path === null) return Promise.reject(unavailable('none has ever run'))
  return new Promise((resolve, reject) => {
    const socket = createConnection(path)
    const timer = setTimeout(() => fail(unavailable(`its socket did not accept within ${timeoutMs} ms`)), timeoutMs)
    const fail = (error: KiwiError): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    socket.once('error', (error) => fail(unavailable(error.message)))
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}

function readLines(socket: Socket, on: { readonly onMessage: (message: JsonObject) => void; readonly onEnd: () => void }): void {
  const split = createLineSplitter(MAX_LINE_BYTES, (line) => on.onMessage(parseObject(line)))
  socket.on('data', (chunk: Buffer) => {
    try {
      split(chunk)
    } catch {
      // A host that does not speak the protocol is as good as none; `onEnd` says so.
      socket.destroy()
    }
  })
  socket.on('error', () => socket.destroy())
  socket.once('close', on.onEnd)
}

function answerOf(message: JsonObject, resolve: (result: JsonObject) => void, reject: (error: KiwiError) => void): void {
  // Both are objects by the protocol.
  if (message['ok'] === true) return resolve((message['result'] ?? {}) as JsonObject)
  const error = (message['error'] ?? {}) as JsonObject
  // The host sends the codes of the same closed union.
  const code = (typeof error['code'] === 'string' ? error['code'] : 'INTERNAL') as KiwiError['code']
  reject(new KiwiError(code, typeof error['message'] === 'string' ? error['message'] : 'The host answered with an error.'))
}

function unavailable(why: string): KiwiError {
  return new KiwiError('HOST_UNAVAILABLE', `No host answers: ${why}.`, {
    retryable: true,
    suggestion: 'Start one with "kiwi host run".',
  })
}
