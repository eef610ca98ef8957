import { closeSync, writeSync } from 'node:fs'
import type { JsonObject } from '../../../src/json.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { openForAppend } from '../../../src/primitives/files/append-file.ts'
import { type ProjectContext, projectRoot } from '../../../src/primitives/files/confined-fs.ts'
import { ConfinedPathError } from '../../../src/primitives/files/relative-path.ts'
import type { Sink } from '../../../src/primitives/http-client/contract.ts'

export const __tool_type__ = 'sink'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'sinks'
export const __description__ =
  'Appends every event of a stream to a file inside the project, one JSON value a line or the raw payload.'
/** Asked for where a caller shapes the destination; one that stands in a signed file is its owner's. */
export const __requires__ = [{ cap: 'fs.write', scope: { path: '{path}' } }] as const
export const PARAMETERS: JsonObject = {
  type: 'object',
  properties: {
    path: { type: 'string', minLength: 1, description: 'Relative to the project folder; missing folders are created.' },
    format: {
      type: 'string',
      enum: ['jsonl', 'raw'],
      default: 'jsonl',
      description: 'jsonl: one payload a line; raw: payloads as they came, nothing between them.',
    },
    flush_every: {
      type: 'integer',
      minimum: 1,
      maximum: 10000,
      default: 10,
      description: 'Most events that wait in memory; a moment without events writes them too.',
    },
  },
  required: ['path'],
  additionalProperties: false,
}

interface FileSinkOptions {
  readonly path: string
  readonly format?: 'jsonl' | 'raw'
  readonly flush_every?: number
}

/** Most characters that wait in memory, whatever `flush_every` says. */
const MAX_PENDING_CHARACTERS = 256 * 1024
/** Someone who follows the file sees an event at most this much later. */
const FLUSH_DELAY_MS = 50
const EMPTY = Buffer.alloc(0)

/**
 * Opens the file for appending and makes the sink. Throws `KiwiError` PATH_OUTSIDE_PROJECT, PERMISSION_DENIED or CONFIG_VALIDATION_ERROR.
 *
 * An event is accepted when `write` returns; one for which it throws was not accepted, so writing it again never doubles it. What a failed append left
 * over goes out first at the next write or at `close`, and `close` rejects if it cannot.
 */
export default async function createFileSink(
  options: FileSinkOptions,
  context: ProjectContext & { readonly signal?: AbortSignal },
): Promise<Sink> {
  const { path, format, flushEvery } = checkOptions(options)
  const file = openInProject(context, path)
  const lineOf = format === 'raw' ? (data: string) => data : toLine
  let pending = ''
  let pendingEvents = 0
  /** Bytes that an append should have written and did not. */
  let backlog = EMPTY
  let timer: NodeJS.Timeout | null = null
  let immediate: NodeJS.Immediate | null = null

  function flush(): void {
    if (pending !== '') {
      const text = pending
      pending = ''
      pendingEvents = 0
      backlog = backlog.length === 0 ? appendText(file, text) : Buffer.concat([backlog, Buffer.from(text)])
    }
    while (backlog.length > 0) {
      const written = writeSync(file, backlog)
      if (written === 0) throw new Error(`Nothing more could be written to ${path}; is the disk full?`)
      backlog = backlog.subarray(written)
    }
  }

  function unschedule(): void {
    if (timer !== null) clearTimeout(timer)
    if (immediate !== null) clearImmediate(immediate)
    timer = null
    immediate = null
  }

  const flushQuietly = (): void => {
    unschedule()
    try {
      flush()
    } catch {
      // The bytes are in the backlog: the next write or the close tries again and reports what is wrong.
    }
  }

  return {
    write(event) {
      if (backlog.length > 0) flush()
      pending += lineOf(event.data)
      pendingEvents += 1
      if (pending.length >= MAX_PENDING_CHARACTERS) flushQuietly()
      // At the end of this turn of the loop, not now: a burst of events then costs one append instead of one per `flush_every`.
      else if (pendingEvents >= flushEvery) immediate ??= setImmediate(flushQuietly)
      else timer ??= setTimeout(flushQuietly, FLUSH_DELAY_MS)
    },
    async close() {
      unschedule()
      try {
        flush()
      } finally {
        closeSync(file)
      }
    },
  }
}

function checkOptions(options: FileSinkOptions): { path: string; format: 'jsonl' | 'raw'; flushEvery: number } {
  const { path, format = 'jsonl', flush_every: flushEvery = 10 } = options
  if (typeof path !== 'string' || path === '') throw wrongOption('path', 'a path relative to the project folder', path)
  if (format !== 'jsonl' && format !== 'raw') throw wrongOption('format', '"jsonl" or "raw"', format)
  if (!Number.isInteger(flushEvery) || flushEvery < 1 || flushEvery > 10_000)
    throw wrongOption('flush_every', 'a whole number from 1 to 10000', flushEvery)
  return { path, format, flushEvery }
}

function wrongOption(name: string, expected: string, got: unknown): KiwiError {
  return new KiwiError(
    'CONFIG_VALIDATION_ERROR',
    `file_sink: expected \`${name}\` to be ${expected}, got ${JSON.stringify(got)}.`,
  )
}

/** One line for one payload: as it is, or re-serialised where JSON holds line ends. What is neither stays as it came. */
function toLine(data: string): string {
  if (!data.includes('\n')) return `${data}\n`
  try {
    return `${JSON.stringify(JSON.parse(data))}\n`
  } catch {
    return `${data}\n`
  }
}

/** Appends a string without copying it first; gives the bytes that were not written. */
function appendText(file: number, text: string): Buffer<ArrayBuffer> {
  let written = 0
  try {
    written = writeSync(file, text)
    if (written === Buffer.byteLength(text)) return EMPTY
  } catch {
    // Nothing was written; the caller appends the bytes again and meets the same error where it can be thrown.
  }
  return Buffer.from(Buffer.from(text).subarray(written))
}

function openInProject(context: ProjectContext, path: string): number {
  try {
    return openForAppend(projectRoot(context), path)
  } catch (error) {
    if (!(error instanceof ConfinedPathError)) throw error
    throw new KiwiError(error.code, `file_sink: ${error.message} Name a file inside the project folder.`, { error })
  }
}
