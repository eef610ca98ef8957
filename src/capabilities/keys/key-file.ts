/**
 * An Ed25519 key pair in a file of the folder for keys.
 *
 * K1. The private half is in one file (0600) of one folder (0700) outside of any project, or it is not used.
 * K2. The file appears whole: it is written and synced under another name, then linked. Who loses that race uses the winner's key.
 * K3. A signature holds for one purpose: the purpose is the first line of what is signed.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, lstatSync, openSync, readdirSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { verifyEd25519 } from '../../kernel/integrity/ed25519.ts'
import { codeOf } from '../../primitives/files/system-error.ts'
import { assertKeyFolder, openKeyFolder, readPrivateFile, unsafe } from './key-folder.ts'

export type KeyPurpose = 'item' | 'run_key'

/** A key whose private half never leaves this process. */
export interface FileKey {
  /** base64url of the raw Ed25519 public key. */
  readonly keyId: string
  /** base64url of the Ed25519 signature over the purpose and the message (K3). */
  sign(purpose: KeyPurpose, message: Uint8Array): string
}

/** Where a key is: `<stem>.pem` in the folder for keys, which lies outside of the project. */
export interface KeyFile {
  readonly folder: string
  readonly stem: string
  readonly projectPath: string
}

/**
 * The key of the file; one is made when there is none yet. `beforeUse` is told the id of a new key before anybody else can find the file.
 *
 * @throws {KiwiError} KEY_UNSAFE (K1), with the command that mends it. What `beforeUse` throws; then no key was made.
 */
export function openKey(file: KeyFile, beforeUse: (keyId: string) => void = () => undefined): FileKey {
  openKeyFolder(file.folder, file)
  return readKey(file) ?? makeKey(file, beforeUse)
}

/** The key if there is one; makes none. @throws {KiwiError} KEY_UNSAFE (K1). */
export function findKey(file: KeyFile): FileKey | null {
  return assertKeyFolder(file.folder, file) ? readKey(file) : null
}

/** Changes whenever the key file does; null when there is none. */
export function keyStamp(file: Pick<KeyFile, 'folder' | 'stem'>): string | null {
  const stats = lstatSync(pathOf(file), { throwIfNoEntry: false })
  return stats === undefined ? null : `${stats.ino}:${stats.ctimeMs}:${stats.mode}`
}

/** A new key in place of the old one. What becomes of the old one's signatures is for the caller to arrange first. */
export function replaceKey(file: KeyFile): FileKey {
  openKeyFolder(file.folder, file)
  const { privateKey, temporary } = writeNewKey(file)
  renameSync(temporary, pathOf(file))
  syncFolder(file.folder)
  return toKey(privateKey)
}

/** Removes the file; what the key signed can be verified as before. False when there was none. @throws {KiwiError} KEY_UNSAFE (K1). */
export function removeKey(file: KeyFile): boolean {
  if (!assertKeyFolder(file.folder, file) || keyStamp(file) === null) return false
  removeIfThere(pathOf(file))
  syncFolder(file.folder)
  return true
}

/** Whether the holder of the key signed the message for this purpose (K3). */
export function verifyKeySignature(claim: {
  readonly keyId: string
  readonly purpose: KeyPurpose
  readonly message: Uint8Array
  readonly signature: string
}): boolean {
  const { keyId, purpose, message, signature } = claim
  return verifyEd25519({ keyId, message: withPurpose(purpose, message), signature })
}

function withPurpose(purpose: KeyPurpose, message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`kiwi:${purpose}:v1\n`), message])
}

function pathOf({ folder, stem }: Pick<KeyFile, 'folder' | 'stem'>): string {
  return join(folder, `${stem}.pem`)
}

const temporaryPrefix = (stem: string): string => `.${stem}.`

function readKey(file: KeyFile): FileKey | null {
  const path = pathOf(file)
  const found = readPrivateFile(path)
  if (found === null) return null
  if (found.stats.nlink > 1) dropOtherNames(file, found.stats.ino)
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(found.text)
  } catch {
    throw unsafe(path, 'holds no private key', 'Restore it from a backup; without one, remove it and sign your items again.')
  }
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw unsafe(path, 'holds a key that is not Ed25519', 'Restore it from a backup.')
  return toKey(privateKey)
}

function makeKey(file: KeyFile, beforeUse: (keyId: string) => void): FileKey {
  const { privateKey, temporary } = writeNewKey(file)
  try {
    beforeUse(keyIdOf(privateKey))
    linkSync(temporary, pathOf(file))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    // K2
    const winner = readKey(file)
    if (winner === null) throw error
    return winner
  } finally {
    removeIfThere(temporary)
  }
  syncFolder(file.folder)
  return toKey(privateKey)
}

function writeNewKey({ folder, stem }: KeyFile): { readonly privateKey: KeyObject; readonly temporary: string } {
  const privateKey = newPrivateKey()
  const temporary = join(folder, `${temporaryPrefix(stem)}${randomBytes(8).toString('hex')}`)
  const descriptor = openSync(temporary, 'wx', 0o600)
  try {
    const text = privateKey.export({ type: 'pkcs8', format: 'pem' })
    if (writeSync(descriptor, text) !== text.length) throw new Error('The disk took only a part of the new key.')
    fsyncSync(descriptor)
  } catch (error) {
    removeIfThere(temporary)
    throw error
  } finally {
    closeSync(descriptor)
  }
  return { privateKey, temporary }
}

/** Never one whose id begins with "-", which a command line would read as an option. */
function newPrivateKey(): KeyObject {
  for (;;) {
    const { privateKey } = generateKeyPairSync('ed25519')
    if (!keyIdOf(privateKey).startsWith('-')) return privateKey
  }
}

function keyIdOf(privateKey: KeyObject): string {
  const { x: keyId } = createPublicKey(privateKey).export({ format: 'jwk' })
  if (keyId === undefined) throw new Error('An Ed25519 key has no public half.')
  return keyId
}

/** A process that was killed between the two steps of K2 leaves its other name behind. */
function dropOtherNames({ folder, stem }: KeyFile, inode: number): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (name.startsWith(temporaryPrefix(stem)) && lstatSync(path, { throwIfNoEntry: false })?.ino === inode) removeIfThere(path)
  }
}

function toKey(privateKey: KeyObject): FileKey {
  return {
    keyId: keyIdOf(privateKey),
    sign: (purpose, message) => sign(null, withPurpose(purpose, message), privateKey).toString('base64url'),
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

/** Not every system can sync a folder; the key is then as durable as the file system makes it. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
