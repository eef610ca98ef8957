import { createHash } from 'node:crypto'
import { parseItem, readItemBytes } from './item-file.ts'
import { unreadable } from './parsed-file.ts'
import { isRacy } from './racy-times.ts'
import type { ParsedFile } from './parsed-file.ts'
import type { CatalogFile } from './space-catalog.ts'

const MAX_CACHED = 20_000

/** Parses of files, kept while their size and times stay the same. */
export interface ParseCache {
  parse(file: CatalogFile): ParsedFile
  /** The parse of bytes that the caller just read. */
  parseBytes(file: CatalogFile, bytes: Buffer): ParsedFile
}

interface CachedParse {
  /** Null when the file changed too shortly ago for its stamp to tell the next change. */
  readonly stamp: string | null
  readonly sha256: string
  readonly parsed: ParsedFile
}

export function createParseCache(): ParseCache {
  const cached = new Map<string, CachedParse>()
  const parseBytes = (file: CatalogFile, bytes: Buffer, stamp: string | null): CachedParse => {
    const { path, name } = file.found
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const known = cached.get(path)
    return { stamp, sha256, parsed: known?.sha256 === sha256 ? known.parsed : parseItem(file.type, name, bytes) }
  }
  return {
    parseBytes: (file, bytes) => parseBytes(file, bytes, null).parsed,
    parse(file) {
      const { path, isLink } = file.found
      const stamp = file.tree.stamp(file.found)
      const known = cached.get(path)
      if (known !== undefined && stamp !== null && known.stamp === stamp) return known.parsed
      const read = readItemBytes(path, isLink, file.spaceRoot)
      if (read.kind === 'gone')
        return unreadable([{ line: 1, column: 1, reason: 'the file is gone', fix: 'Search for the item again.' }])
      if (read.kind === 'refused') return unreadable([read.finding])
      const fresh = parseBytes(file, read.bytes, isRacyStamp(stamp) ? null : stamp)
      const oldest = cached.size >= MAX_CACHED ? cached.keys().next() : null
      if (oldest !== null && oldest.done !== true) cached.delete(oldest.value)
      cached.set(path, fresh)
      return fresh.parsed
    },
  }
}

function isRacyStamp(stamp: string | null): boolean {
  const [, modified = '0', changed = '0'] = stamp?.split(':') ?? []
  return isRacy(Number(modified), Number(changed))
}
