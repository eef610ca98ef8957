import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { sep } from 'node:path'
import { parseDirective } from './directive.ts'
import type { ItemType } from './item.ts'
import { parseKnowledge } from './knowledge.ts'
import { unreadable } from './parsed-file.ts'
import type { ParsedFile } from './parsed-file.ts'
import { MAX_ITEM_BYTES, decodeSource } from './source-text.ts'
import type { Finding } from './source-text.ts'
import { parseToolModule } from './tool-module.ts'
import { parseToolYaml } from './tool-yaml.ts'

/** Whether a file of this name can hold an item of the type. A name that begins with `_` says that the file is a part of others. */
export function isItemFile(type: ItemType, name: string): boolean {
  if (name.startsWith('_')) return false
  if (type !== 'tool') return name.endsWith('.md')
  return /\.(yaml|yml|ts|js)$/.test(name) && !name.endsWith('.d.ts')
}

/** The stem of a file name, which is the id of the item in it. */
export function idOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.'))
}

/** Parses bytes as the item that the file's type and name promise. Never throws. */
export function parseItem(type: ItemType, name: string, bytes: Uint8Array): ParsedFile {
  if (bytes.byteLength > MAX_ITEM_BYTES) return unreadable([tooLarge(bytes.byteLength)])
  const decoded = decodeSource(bytes)
  if (decoded.kind === 'invalid') return unreadable([decoded.finding])
  const id = idOf(name)
  try {
    if (type === 'directive') return parseDirective(decoded.source, id)
    if (type === 'knowledge') return parseKnowledge(decoded.source, id)
    if (/\.ya?ml$/.test(name)) return parseToolYaml(decoded.source, id)
    return parseToolModule(decoded.source, id, name.endsWith('.ts') ? 'ts' : 'js')
  } catch (error) {
    // One file must never stop the others, whatever a parser throws at it.
    const reason = `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`
    return unreadable([{ line: 1, column: 1, reason, fix: 'Simplify the file.' }])
  }
}

export type ItemBytes =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'refused'; readonly finding: Finding }
  | { readonly kind: 'gone' }

/**
 * Reads a file of a space. Links are followed only inside of the space, and what is read is what was checked: the file is opened once,
 * and its type and size are those of the open file.
 */
export function readItemBytes(path: string, isLink: boolean, spaceRoot: string): ItemBytes {
  let descriptor: number
  try {
    const target = isLink ? realpathSync(path) : path
    if (isLink && !target.startsWith(realpathSync(spaceRoot) + sep)) {
      return refused('a link to a file outside of its space is not read', 'Put the file itself here.')
    }
    descriptor = openSync(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    if (code === 'ENOENT') return isLink ? refused('a link to nothing', 'Remove it, or restore the file.') : { kind: 'gone' }
    return refused(`the file cannot be opened (${code})`, 'Make it a regular file that you can read.')
  }
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile()) return refused('not a regular file', 'Put a regular file here.')
    if (stats.size > MAX_ITEM_BYTES) return { kind: 'refused', finding: tooLarge(stats.size) }
    // One byte more than it should have, to notice a file that grows while it is read.
    const buffer = Buffer.allocUnsafe(stats.size + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(descriptor, buffer, length, buffer.length - length, null)
    }
    if (length > stats.size) return refused('the file grew while it was read', 'Try again when it is written.')
    return { kind: 'bytes', bytes: buffer.subarray(0, length) }
  } finally {
    closeSync(descriptor)
  }
}

function tooLarge(bytes: number): Finding {
  const reason = `the file has ${bytes} bytes, the limit is ${MAX_ITEM_BYTES}`
  return { line: 1, column: 1, reason, fix: 'Split it, or keep the data outside of the item.' }
}

function refused(reason: string, fix: string): ItemBytes {
  return { kind: 'refused', finding: { line: 1, column: 1, reason, fix } }
}
