/**
 * The one key pair of this installation: it signs items, and certifies what other keys do.
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

export type KeyPurpose = 'item' | 'connector' | 'run_key'

export interface InstallKey {
  /** base64url of the raw Ed25519 public key. */
  readonly keyId: string
  /** base64url of the Ed25519 signature over the purpose and the message (K3). */
  sign(purpose: KeyPurpose, message: Uint8Array): string
}

const KEY_FILE = 'install-key.pem'
const TEMPORARY = '.install-key.'

/**
 * The install key of a folder; one is made when there is none yet.
 *
 * @throws {KiwiError} KEY_UNSAFE (K1), with the command that mends it.
 */
export function openInstallKey(folder: string, options: { readonly projectPath: string }): InstallKey {
  openKeyFolder(folder, options)
  return readKey(folder) ?? makeKey(folder)
}

/** The install key if there is one; makes none. @throws {KiwiError} KEY_UNSAFE (K1). */
export function findInstallKey(folder: string, options: { readonly projectPath: string }): InstallKey | null {
  return assertKeyFolder(folder, options) ? readKey(folder) : null
}

/** Changes whenever the key file does; null when there is none. */
export function installKeyStamp(folder: string): string | null {
  const stats = lstatSync(join(folder, KEY_FILE), { throwIfNoEntry: false })
  return stats === undefined ? null : `${stats.ino}:${stats.ctimeMs}:${stats.mode}`
}

/** A new key in place of the old one. What becomes of the old one's signatures is for the caller to arrange first. */
export function replaceInstallKey(folder: string, options: { readonly projectPath: string }): InstallKey {
  openKeyFolder(folder, options)
  const { privateKey, temporary } = writeNewKey(folder)
  renameSync(temporary, join(folder, KEY_FILE))
  syncFolder(folder)
  return toInstallKey(privateKey)
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

function readKey(folder: string): InstallKey | null {
  const path = join(folder, KEY_FILE)
  const found = readPrivateFile(path)
  if (found === null) return null
  if (found.stats.nlink > 1) dropOtherNames(folder, found.stats.ino)
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(found.text)
  } catch {
    throw unsafe(path, 'holds no private key', 'Restore it from a backup; without one, remove it and sign your items again.')
  }
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw unsafe(path, 'holds a key that is not Ed25519', 'Restore it from a backup.')
  return toInstallKey(privateKey)
}

function makeKey(folder: string): InstallKey {
  const { privateKey, temporary } = writeNewKey(folder)
  try {
    linkSync(temporary, join(folder, KEY_FILE))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    // K2
    const winner = readKey(folder)
    if (winner === null) throw error
    return winner
  } finally {
    removeIfThere(temporary)
  }
  syncFolder(folder)
  return toInstallKey(privateKey)
}

function writeNewKey(folder: string): { readonly privateKey: KeyObject; readonly temporary: string } {
  const privateKey = newPrivateKey()
  const temporary = join(folder, `${TEMPORARY}${randomBytes(8).toString('hex')}`)
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
function dropOtherNames(folder: string, inode: number): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (name.startsWith(TEMPORARY) && lstatSync(path, { throwIfNoEntry: false })?.ino === inode) removeIfThere(path)
  }
}

function toInstallKey(privateKey: KeyObject): InstallKey {
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
