/**
 * The signature line of a file: `kiwi:signed:<UTC time>:<sha256>:<key id>:<signature>` in a comment of the file's language.
 *
 * S1. The hash covers every byte of the file except the signature line and its line end, so re-signing is stable.
 * S2. The line is matched whole, over printable ASCII: whatever could smuggle code behind it (a lone CR, U+2028, text after `-->`)
 *     makes it malformed, because those bytes would not be hashed.
 * S3. It stands first, or right after a byte-order mark or a shebang line; one anywhere else is malformed.
 */
import { createHash } from 'node:crypto'
import { KiwiError } from '../errors.ts'

/** The comment syntax of a signed file. */
export type SignedKind = 'yaml' | 'module' | 'markdown'

export type Integrity =
  /** The hash holds. `keyId` is `none` while only the content is hashed; `signedAt` is `YYYYMMDDTHHMMSSZ`. */
  | { readonly kind: 'signed'; readonly keyId: string; readonly signedAt: string; readonly sha256: string }
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'changed'; readonly expected: string; readonly actual: string; readonly signedAt: string }
  | { readonly kind: 'malformed'; readonly line: number; readonly reason: string }

export interface SignatureFields {
  readonly signedAt: string
  readonly sha256: string
  readonly keyId: string
  /** base64url, or `-` when no key signed. */
  readonly signature: string
}

export type SignatureLine =
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed'; readonly line: number; readonly reason: string }
  | ({ readonly kind: 'found'; readonly line: number; readonly start: number; readonly end: number } & SignatureFields)

const MARKER = 'kiwi:signed:'
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const COMMENT: Readonly<Record<SignedKind, { readonly open: string; readonly close: string; readonly shebang: boolean }>> = {
  yaml: { open: '# ', close: '', shebang: true },
  module: { open: '// ', close: '', shebang: true },
  markdown: { open: '<!-- ', close: ' -->', shebang: false },
}
const FIELDS = /^kiwi:signed:(\d{8}T\d{6}Z):([0-9a-f]{64}):([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]{1,128})$/

/** The comment syntax that a path's extension asks for; null for a file that cannot be signed. */
export function signedKindOf(path: string): SignedKind | null {
  if (/\.(yaml|yml)$/.test(path)) return 'yaml'
  if (/\.(ts|js)$/.test(path)) return 'module'
  return path.endsWith('.md') ? 'markdown' : null
}

/** The signature line as it stands, without checking its hash. `start` and `end` are byte offsets, the line end included. */
export function readSignature(bytes: Uint8Array, kind: SignedKind): SignatureLine {
  const buffer = asBuffer(bytes)
  const [first, second] = signatureLines(buffer, kind)
  if (first === undefined) return { kind: 'none' }
  if (second !== undefined) return { kind: 'malformed', line: second.line, reason: 'a second signature line' }
  if (first.start !== signaturePlace(buffer, kind)) {
    return { kind: 'malformed', line: first.line, reason: 'the signature line is not the first line (or right after a shebang)' }
  }
  const fields = parseLine(first.text, kind)
  if (fields === null)
    return { kind: 'malformed', line: first.line, reason: `not of the form ${MARKER}TIME:SHA256:KEY:SIGNATURE` }
  return { kind: 'found', line: first.line, start: first.start, end: first.end, ...fields }
}

/** Whether the bytes are those that were signed (S1). It says nothing of who signed them. */
export function checkIntegrity(bytes: Uint8Array, kind: SignedKind): Integrity {
  const buffer = asBuffer(bytes)
  const found = readSignature(buffer, kind)
  if (found.kind === 'none') return { kind: 'unsigned' }
  if (found.kind === 'malformed') return found
  const actual = hashWithout(buffer, found.start, found.end)
  const { signedAt, keyId, sha256 } = found
  return actual === sha256 ? { kind: 'signed', keyId, signedAt, sha256 } : { kind: 'changed', expected: sha256, actual, signedAt }
}

/**
 * The same file with a fresh signature line in its place; the byte-order mark and the style of line ends are kept.
 *
 * @throws {KiwiError} `INVALID_REQUEST` when a signature line stands elsewhere in the file: removing it could lose text that only
 *   looks like one.
 */
export function signBytes(bytes: Uint8Array, kind: SignedKind, options: { readonly nowMs: number }): Buffer {
  const buffer = asBuffer(bytes)
  const place = signaturePlace(buffer, kind)
  let end = place
  for (const line of signatureLines(buffer, kind)) {
    if (line.start !== end) throw strayLine(line.line)
    end = line.end
  }
  const lineEnd = lineEndOf(buffer)
  let head = buffer.subarray(0, place)
  if (head.length > 0 && !startsWithMark(head, head.length) && head.at(-1) !== LINE_FEED)
    head = Buffer.concat([head, Buffer.from(lineEnd)])
  const tail = buffer.subarray(end)
  const sha256 = createHash('sha256').update(head).update(tail).digest('hex')
  const { open, close } = COMMENT[kind]
  const line = `${open}${MARKER}${timestamp(options.nowMs)}:${sha256}:none:-${close}${lineEnd}`
  return Buffer.concat([head, Buffer.from(line), tail])
}

interface MarkedLine {
  /** Counts from 1. */
  readonly line: number
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Every line that begins, after blanks, like a comment of `kind` with the marker. */
function signatureLines(buffer: Buffer, kind: SignedKind): readonly MarkedLine[] {
  const lines: MarkedLine[] = []
  const comment = COMMENT[kind].open.trim()
  for (let at = buffer.indexOf(MARKER); at !== -1; at = buffer.indexOf(MARKER, at + MARKER.length)) {
    let start = buffer.lastIndexOf(LINE_FEED, at) + 1
    if (start === 0 && startsWithMark(buffer, buffer.length)) start = BYTE_ORDER_MARK.length
    if (lines.at(-1)?.start === start) continue
    if (buffer.toString('latin1', start, at).trim() !== comment) continue
    const feed = buffer.indexOf(LINE_FEED, at)
    const end = feed === -1 ? buffer.length : feed + 1
    const textEnd = feed === -1 ? end : buffer[feed - 1] === CARRIAGE_RETURN ? feed - 1 : feed
    lines.push({ line: lineNumber(buffer, start), start, end, text: buffer.toString('latin1', start, textEnd) })
  }
  return lines
}

/** Byte offset where the signature line belongs (S3). */
function signaturePlace(buffer: Buffer, kind: SignedKind): number {
  const start = startsWithMark(buffer, buffer.length) ? BYTE_ORDER_MARK.length : 0
  if (!COMMENT[kind].shebang || buffer.toString('latin1', start, start + 2) !== '#!') return start
  const feed = buffer.indexOf(LINE_FEED, start)
  return feed === -1 ? buffer.length : feed + 1
}

function startsWithMark(buffer: Buffer, length: number): boolean {
  return (
    length >= BYTE_ORDER_MARK.length &&
    buffer.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) &&
    buffer.length >= length
  )
}

function parseLine(text: string, kind: SignedKind): SignatureFields | null {
  const { open, close } = COMMENT[kind]
  if (!text.startsWith(open) || !text.endsWith(close)) return null
  const match = FIELDS.exec(text.slice(open.length, text.length - close.length))
  if (match === null) return null
  const [, signedAt = '', sha256 = '', keyId = '', signature = ''] = match
  return { signedAt, sha256, keyId, signature }
}

function hashWithout(buffer: Buffer, start: number, end: number): string {
  return createHash('sha256').update(buffer.subarray(0, start)).update(buffer.subarray(end)).digest('hex')
}

function lineEndOf(buffer: Buffer): string {
  const feed = buffer.indexOf(LINE_FEED)
  return feed > 0 && buffer[feed - 1] === CARRIAGE_RETURN ? '\r\n' : '\n'
}

function lineNumber(buffer: Buffer, offset: number): number {
  let line = 1
  for (let at = buffer.indexOf(LINE_FEED); at !== -1 && at < offset; at = buffer.indexOf(LINE_FEED, at + 1)) line += 1
  return line
}

function timestamp(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
}

function strayLine(line: number): KiwiError {
  return new KiwiError('INVALID_REQUEST', `Signing found a signature line at line ${line}, where it does not belong.`, {
    suggestion: `Remove line ${line} and sign again.`,
    facts: { line },
  })
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
