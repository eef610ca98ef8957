/**
 * The signature line of a file: `kiwi:signed:<UTC time>:<sha256>:<key id>:<signature>` in a comment of the file's language.
 *
 * S1. The hash covers every byte of the file except the signature line and its line end, so re-signing is stable. It also covers the local
 *     files that a module imports, each without its own signature line.
 * S2. The line is matched whole, over printable ASCII: whatever could smuggle code behind it (a lone CR, U+2028, text after `-->`)
 *     makes it malformed, because those bytes would not be hashed.
 * S3. It stands first, or right after a byte-order mark or a shebang line; one anywhere else is malformed.
 * S4. The key signs purpose, type, category, id, time and hash together, so that no part can be taken to another place.
 */
import { createHash } from 'node:crypto'
import type { SigningKeys } from '../contract.ts'
import { KiwiError } from '../errors.ts'
import type { ItemType } from '../items/item.ts'
import { isKeyId, isSignature, verifyEd25519 } from './ed25519.ts'

/** The comment syntax of a signed file. */
export type SignedKind = 'yaml' | 'module' | 'markdown'

/** What a signature is of, besides the bytes: the same file under another name or in another folder is another item. */
export interface SignedSubject {
  readonly type: ItemType | 'config'
  readonly category: string
  readonly id: string
  /** Local files that the file imports, by path relative to its folder. */
  readonly imports?: ReadonlyMap<string, Uint8Array>
}

export type Integrity =
  /** The hash holds and the named key signed it. Whether that key is trusted is another question. */
  | ({ readonly kind: 'signed' } & SignedBy)
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'changed'; readonly expected: string; readonly actual: string; readonly signedAt: string }
  | { readonly kind: 'malformed'; readonly line: number; readonly reason: string }
  /** The hash holds, and no key signed it. */
  | { readonly kind: 'keyless'; readonly signedAt: string; readonly sha256: string }
  /** The hash holds, and the named key did not sign it, or signed it as another item. */
  | ({ readonly kind: 'forged' } & SignedBy)

export interface SignedBy {
  readonly keyId: string
  /** `YYYYMMDDTHHMMSSZ`. */
  readonly signedAt: string
  readonly sha256: string
}

export interface SignatureFields {
  readonly signedAt: string
  readonly sha256: string
  /** base64url of the raw Ed25519 public key, or `none` when only the content was hashed. */
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
const NO_KEY = 'none'
const NO_SIGNATURE = '-'
const PURPOSE = 'kiwi:item:v1\n'
/** No item file has a NUL, so no file is hashed like a list of files. */
const CLOSURE = '\0kiwi:closure:v1\n'

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

/** Whether the bytes are those that the named key signed as this item. It says nothing of whether the key is trusted. */
export function checkIntegrity(bytes: Uint8Array, kind: SignedKind, subject: SignedSubject): Integrity {
  const buffer = asBuffer(bytes)
  const found = readSignature(buffer, kind)
  if (found.kind === 'none') return { kind: 'unsigned' }
  if (found.kind === 'malformed') return found
  const { signedAt, keyId, sha256, signature } = found
  const actual = contentHash([buffer.subarray(0, found.start), buffer.subarray(found.end)], subject.imports)
  if (actual !== sha256) return { kind: 'changed', expected: sha256, actual, signedAt }
  if (keyId === NO_KEY) return { kind: 'keyless', signedAt, sha256 }
  const message = Buffer.concat([Buffer.from(PURPOSE), signedMessage(subject, { signedAt, sha256 })])
  return { kind: verifyEd25519({ keyId, message, signature }) ? 'signed' : 'forged', keyId, signedAt, sha256 }
}

/**
 * The same file with a fresh signature line in its place; the byte-order mark and the style of line ends are kept.
 *
 * @throws {KiwiError} `INVALID_REQUEST` when a signature line stands elsewhere in the file: removing it could lose text that only
 *   looks like one. What `keys` throws.
 */
export async function signBytes(
  bytes: Uint8Array,
  kind: SignedKind,
  options: { readonly nowMs: number; readonly subject: SignedSubject; readonly keys: Pick<SigningKeys, 'sign'> },
): Promise<Buffer> {
  const { subject, keys } = options
  const { head, tail, lineEnd } = withoutSignature(asBuffer(bytes), kind)
  const sha256 = contentHash([head, tail], subject.imports)
  const signedAt = timestamp(options.nowMs)
  const { keyId, signature } = await keys.sign(signedMessage(subject, { signedAt, sha256 }))
  const { open, close } = COMMENT[kind]
  const line = `${open}${MARKER}${signedAt}:${sha256}:${keyId}:${signature}${close}${lineEnd}`
  return Buffer.concat([head, Buffer.from(line), tail])
}

/** The hash that a signature of these bytes would be over. @throws {KiwiError} as `signBytes`. */
export function hashToSign(bytes: Uint8Array, kind: SignedKind, { imports }: Pick<SignedSubject, 'imports'>): string {
  const { head, tail } = withoutSignature(asBuffer(bytes), kind)
  return contentHash([head, tail], imports)
}

/** The same file without its signature line. @throws {KiwiError} as `signBytes`. */
export function unsignedBytes(bytes: Uint8Array, kind: SignedKind): Buffer {
  const { head, tail } = withoutSignature(asBuffer(bytes), kind)
  return Buffer.concat([head, tail])
}

/** What stands before and behind the place of the signature line. */
function withoutSignature(
  buffer: Buffer,
  kind: SignedKind,
): { readonly head: Buffer; readonly tail: Buffer; readonly lineEnd: string } {
  const place = signaturePlace(buffer, kind)
  let end = place
  for (const line of signatureLines(buffer, kind)) {
    if (line.start !== end) throw strayLine(line.line)
    end = line.end
  }
  const lineEnd = lineEndOf(buffer)
  const head = buffer.subarray(0, place)
  const isOpen = head.length > 0 && !startsWithMark(head, head.length) && head.at(-1) !== LINE_FEED
  return { head: isOpen ? Buffer.concat([head, Buffer.from(lineEnd)]) : head, tail: buffer.subarray(end), lineEnd }
}

/** S4, without the purpose, which the key adds. Only a category could hold a line feed, and all around it is of known form. */
function signedMessage({ type, category, id }: SignedSubject, line: Pick<SignedBy, 'signedAt' | 'sha256'>): Buffer {
  return Buffer.from([type, category, id, line.signedAt, line.sha256, ''].join('\n'))
}

/** S1 */
function contentHash(parts: readonly Buffer[], imports: ReadonlyMap<string, Uint8Array> = new Map()): string {
  const own = hashOf(...parts)
  if (imports.size === 0) return own
  const files = [...imports].map(([path, bytes]) => `${path}\n${hashWithoutLine(path, asBuffer(bytes))}\n`)
  return hashOf(Buffer.from([CLOSURE, `${own}\n`, ...files.toSorted()].join('')))
}

/** An imported file may be a tool of its own, and signing that one again changes nothing that runs. */
function hashWithoutLine(path: string, buffer: Buffer): string {
  const kind = signedKindOf(path)
  const line = kind === null ? null : readSignature(buffer, kind)
  return line?.kind === 'found' ? hashOf(buffer.subarray(0, line.start), buffer.subarray(line.end)) : hashOf(buffer)
}

function hashOf(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
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
  const isWhole = keyId === NO_KEY ? signature === NO_SIGNATURE : isKeyId(keyId) && isSignature(signature)
  return isWhole ? { signedAt, sha256, keyId, signature } : null
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
