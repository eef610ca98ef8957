/**
 * The token of `kiwi serve`: whoever can read its file may use the server, so it lies beside the signing key, under the same rules.
 *
 * Like the key, the file appears whole: written under another name, then linked. Who loses that race uses the winner's token.
 */
import { randomBytes } from 'node:crypto'
import { linkSync, lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyFolder, readPrivateFile, unsafe } from './capabilities/keys/key-folder.ts'
import { type KeyPlace, keyFolderOf } from './capabilities/keys/signing-keys.ts'
import { codeOf } from './primitives/files/system-error.ts'

export interface ServeToken {
  /** Of the file that holds it; absolute. */
  readonly path: string
  /** The token that the file holds now: 43 characters of base64url. @throws {KiwiError} KEY_UNSAFE */
  readonly current: () => string
}

/**
 * The token of this user space; one is made when there is none yet.
 *
 * @throws {KiwiError} KEY_UNSAFE when others could read or replace it, with the command that mends it.
 */
export function openServeToken(place: KeyPlace): ServeToken {
  const path = pathIn(place)
  if (readToken(path) === null) makeToken(path)
  return { path, current: rereading(path) }
}

/** A new token in place of the old one, which holds no longer, for running servers either. @throws {KiwiError} KEY_UNSAFE */
export function rotateServeToken(place: KeyPlace): ServeToken {
  const path = pathIn(place)
  renameSync(writeToken(path), path)
  return { path, current: rereading(path) }
}

function pathIn(place: KeyPlace): string {
  const folder = keyFolderOf(place.userSpace)
  openKeyFolder(folder, place)
  return join(folder, 'serve-token')
}

function readToken(path: string): string | null {
  const text = readPrivateFile(path)?.text
  if (text === undefined) return null
  const token = text.trim()
  if (!/^[\w-]{43}$/u.test(token)) throw unsafe(path, 'holds no token', 'Make a new one:\n  kiwi serve token --rotate')
  return token
}

function makeToken(path: string): void {
  const temporary = writeToken(path)
  try {
    linkSync(temporary, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** 32 random bytes in a file of another name, which is returned. */
function writeToken(path: string): string {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  writeFileSync(temporary, `${randomBytes(32).toString('base64url')}\n`, { flag: 'wx', mode: 0o600, flush: true })
  return temporary
}

/** Reads the file again whenever it is another one, or its rights have changed. */
function rereading(path: string): () => string {
  let known: { readonly stamp: string; readonly token: string } | null = null
  return () => {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    const stamp = stats === undefined ? '' : `${stats.ino}:${stats.ctimeMs}:${stats.mode}`
    if (known?.stamp === stamp) return known.token
    known = null
    const token = readToken(path)
    if (token === null) throw unsafe(path, 'is gone', 'Make a new one:\n  kiwi serve token')
    known = { stamp, token }
    return token
  }
}
