import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  readlinkSync,
  realpathSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { KiwiError } from '../../kernel/errors.ts'

/** An open transcript or side file: regular, not a link, with one name, 0600, in a real folder below the threads folder. */
export interface OpenFile {
  readonly fd: number
  readonly size: number
}

/**
 * Opens `<folder>/<threadId>/<name>` for reading and appending, making folder and file as needed. `folder` must be a real path.
 *
 * @throws {KiwiError} EXECUTION_FAILED when a link, a pipe, a device or a file with a second name stands there.
 */
export function openInThreadFolder(folder: string, threadId: string, name: string): OpenFile {
  const path = join(folder, threadId, name)
  const fd = openOrMake(path, threadId, name)
  try {
    const found = fstatSync(fd)
    if (!found.isFile()) throw refused(threadId, name, 'it is not a regular file')
    if (found.nlink !== 1) throw refused(threadId, name, 'it has a second name (hard link)')
    if (!isAt(fd, path)) throw refused(threadId, name, 'its folder is a link')
    return { fd, size: found.size }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Opened first, then checked what was opened: a folder that is swapped for a link in between is seen, too. */
function isAt(fd: number, path: string): boolean {
  return process.platform !== 'linux' || readlinkSync(`/proc/self/fd/${fd}`) === path
}

/** A linked folder is refused before anything is made in what it points to. */
function openOrMake(path: string, threadId: string, name: string): number {
  const found = lstatSync(dirname(path), { throwIfNoEntry: false })
  if (found === undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  else if (!found.isDirectory()) throw refused(threadId, name, 'its folder is a link')
  return openPlain(path, threadId, name)
}

function openPlain(path: string, threadId: string, name: string): number {
  try {
    // O_NONBLOCK: a pipe that stands here answers at once instead of waiting for a reader.
    return openSync(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      0o600,
    )
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ELOOP') throw refused(threadId, name, 'it is a link')
    if (code === 'ENXIO' || code === 'EISDIR') throw refused(threadId, name, 'it is not a regular file')
    throw error
  }
}

function refused(threadId: string, name: string, why: string): KiwiError {
  return new KiwiError('EXECUTION_FAILED', `Thread ${threadId} does not write its ${name}: ${why}.`, {
    facts: { thread_id: threadId },
    suggestion: `Remove .ai/threads/${threadId}/${name}; it is written again from the registry.`,
  })
}

/**
 * Appends all of `text`, or nothing: a short write (full disk) is cut off again.
 *
 * @throws the write's own error, or ENOSPC for a write that stopped short.
 */
export function appendWhole(file: OpenFile, text: string): OpenFile {
  const bytes = Buffer.from(text)
  const written = writeSync(file.fd, bytes)
  if (written === bytes.length) return { fd: file.fd, size: file.size + written }
  ftruncateSync(file.fd, file.size)
  throw Object.assign(new Error(`Only ${written} of ${bytes.length} bytes could be written.`), { code: 'ENOSPC' })
}

export interface Tail {
  /** Of the last whole line; 0 when there is none. */
  readonly lastSeq: number
  /** Where that line ends. What follows is torn. */
  readonly goodSize: number
}

const FIRST_WINDOW = 16_384

/** Finds the last whole line that is a record, reading backwards in growing windows. */
export function readTail(file: OpenFile): Tail {
  for (let window = Math.min(FIRST_WINDOW, file.size); ; window = Math.min(window * 4, file.size)) {
    const found = lastRecord(readRange(file.fd, file.size - window, window))
    if (found !== null) return { lastSeq: found.seq, goodSize: file.size - window + found.end }
    if (window === file.size) return { lastSeq: 0, goodSize: 0 }
  }
}

function readRange(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const count = readSync(fd, bytes, filled, length - filled, position + filled)
    if (count === 0) break
    filled += count
  }
  return bytes.subarray(0, filled)
}

/** A line counts only when a newline stands before it (or the file begins there), which the caller's growing window ensures. */
function lastRecord(bytes: Buffer): { readonly seq: number; readonly end: number } | null {
  let end = bytes.lastIndexOf(10)
  while (end !== -1) {
    const start = end === 0 ? 0 : bytes.lastIndexOf(10, end - 1) + 1
    const seq = seqOf(bytes.toString('utf8', start, end))
    if (seq !== null) return { seq, end: end + 1 }
    end = start - 1
  }
  return null
}

/** The seq of one transcript line; null for anything that is not a whole record. */
function seqOf(line: string): number | null {
  try {
    const record: unknown = JSON.parse(line)
    if (typeof record !== 'object' || record === null || !('seq' in record)) return null
    return Number.isSafeInteger(record.seq) ? Number(record.seq) : null
  } catch {
    // Not JSON is an answer here: the line is torn or foreign.
    return null
  }
}

/** Moves what follows `goodSize` into the side file beside it. */
export function cutTornTail(file: OpenFile, goodSize: number, side: () => OpenFile): OpenFile {
  const torn = readRange(file.fd, goodSize, file.size - goodSize)
  const sideFile = side()
  try {
    appendWhole(sideFile, `${torn.toString('utf8')}\n`)
  } finally {
    closeSync(sideFile.fd)
  }
  ftruncateSync(file.fd, goodSize)
  return { fd: file.fd, size: goodSize }
}

/** Makes the folder that holds one folder per thread, 0700, and gives its real path. */
export function ensureThreadsFolder(folder: string): string {
  mkdirSync(dirname(folder), { recursive: true })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return realpathSync(folder)
}
