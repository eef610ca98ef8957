/**
 * Whole results that were shortened, kept for a while so that a model can read on.
 *
 *   R1. A cursor cannot be guessed, and works from any connection: a client of the stateless era has a new one for each request.
 *   R2. What is kept is bounded in number, in bytes and in time; the oldest goes first.
 *   R3. Reading changes nothing: the same cursor gives the same page again.
 */
import { randomBytes } from 'node:crypto'
import { KiwiError } from '../kernel/errors.ts'
import { MAX_RESULT_BYTES } from './bounded-result.ts'

export interface ResultPagesOptions {
  readonly maxResults?: number
  readonly maxBytes?: number
  readonly lifetimeMs?: number
  readonly pageBytes?: number
}

/** A part of a result's JSON text. Offsets count characters as JavaScript does; a part never cuts one in half. */
export interface ResultPage {
  readonly success: true
  readonly offset: number
  readonly total_characters: number
  /** Null on the last page. */
  readonly next_cursor: string | null
  readonly text: string
}

export interface ResultPages {
  /** Keeps the text of a result of `tool` and gives the cursor of its first page; null for one that is too large to keep. */
  keep(tool: string, text: string): string | null
  /** @throws KiwiError INVALID_REQUEST for a cursor that has expired, is of another tool, or never was. */
  read(tool: string, cursor: string): ResultPage
  close(): void
}

const MINUTE_MS = 60_000
const DEFAULTS = { maxResults: 64, maxBytes: 32 * 2 ** 20, lifetimeMs: 10 * MINUTE_MS, pageBytes: MAX_RESULT_BYTES - 512 }
/** Of all that may be kept, so that one result does not push out all others. */
const MAX_SHARE = 1 / 4
const BYTES_PER_CHARACTER = 2
/** Ids of results that are gone, only to tell an expired cursor from a wrong one. */
const MAX_REMEMBERED = 256
const CURSOR = /^([\w-]{22})\.(\d{1,10})$/

interface Kept {
  readonly tool: string
  readonly text: string
  readonly expiresAt: number
}

export function createResultPages(options: ResultPagesOptions = {}): ResultPages {
  const { maxResults, maxBytes, lifetimeMs, pageBytes } = { ...DEFAULTS, ...options }
  // In the order of their making, which is also that of their expiry.
  const kept = new Map<string, Kept>()
  const gone = new Set<string>()
  let bytes = 0
  let timer: NodeJS.Timeout | null = null

  const drop = (id: string, { text }: Kept): void => {
    kept.delete(id)
    bytes -= text.length * BYTES_PER_CHARACTER
    gone.add(id)
    for (const oldest of gone) {
      if (gone.size <= MAX_REMEMBERED) break
      gone.delete(oldest)
    }
  }
  const dropExpired = (): void => {
    for (const [id, entry] of kept) {
      if (entry.expiresAt > performance.now()) break
      drop(id, entry)
    }
  }
  /** Nobody may come again, and what is kept must go even then. */
  const sweepLater = (): void => {
    timer ??= setTimeout(() => {
      timer = null
      dropExpired()
      if (kept.size > 0) sweepLater()
    }, lifetimeMs).unref()
  }

  return {
    keep(tool, text) {
      const size = text.length * BYTES_PER_CHARACTER
      if (size > maxBytes * MAX_SHARE) return null
      dropExpired()
      for (const [id, entry] of kept) {
        if (kept.size < maxResults && bytes + size <= maxBytes) break
        drop(id, entry)
      }
      const id = randomBytes(16).toString('base64url')
      kept.set(id, { tool, text, expiresAt: performance.now() + lifetimeMs })
      bytes += size
      sweepLater()
      return `${id}.0`
    },
    read(tool, cursor) {
      dropExpired()
      const [, id = '', digits = ''] = CURSOR.exec(cursor) ?? []
      const entry = kept.get(id)
      const offset = Number(digits)
      if (entry === undefined) throw gone.has(id) ? expired(lifetimeMs) : unknown('There is no result of this cursor.')
      if (entry.tool !== tool) throw unknown(`This cursor is of a result of \`${entry.tool}\`, not of \`${tool}\`.`)
      if (offset >= entry.text.length) throw unknown('This cursor is of no page of its result.')
      const end = pageEnd(entry.text, offset, pageBytes)
      return {
        success: true,
        offset,
        total_characters: entry.text.length,
        next_cursor: end < entry.text.length ? `${id}.${end}` : null,
        text: entry.text.slice(offset, end),
      }
    },
    close() {
      if (timer !== null) clearTimeout(timer)
      kept.clear()
      bytes = 0
    },
  }
}

/** Where a page from `start` ends: its text, written as a JSON string once more, is at most `maxBytes` long. At least one character. */
function pageEnd(text: string, start: number, maxBytes: number): number {
  let fits = Math.min(start + 1, text.length)
  let tooFar = Math.min(start + maxBytes, text.length) + 1
  while (tooFar - fits > 1) {
    const middle = Math.floor((fits + tooFar) / 2)
    if (Buffer.byteLength(JSON.stringify(text.slice(start, middle))) <= maxBytes) fits = middle
    else tooFar = middle
  }
  const next = text.charCodeAt(fits)
  if (!(next >= 0xdc00 && next <= 0xdfff)) return fits
  return fits - 1 > start ? fits - 1 : fits + 1
}

function expired(lifetimeMs: number): KiwiError {
  return new KiwiError('INVALID_REQUEST', 'The result of this cursor is no longer kept.', {
    suggestion: `Results are kept for ${Math.round(lifetimeMs / MINUTE_MS)} minutes, fewer when there are many. Make the call again.`,
  })
}

function unknown(message: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', message, {
    suggestion: 'Give next_cursor of a shortened result, or of a page of it, unchanged and to the same tool.',
  })
}
