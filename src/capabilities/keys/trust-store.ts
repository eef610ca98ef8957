/**
 * Which keys the user trusts besides their own, and for what: `trusted.json` in the folder for keys.
 *
 * T1. A key is trusted by its full id. A connector's key vouches for the tools of its own server and for nothing else.
 * T2. The file is written whole and moved into place, and is read again when it changed.
 * T3. Changes are made one after the other, each to what the one before it left.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, lstatSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SignedItem } from '../../kernel/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { isKeyId } from '../../kernel/integrity/ed25519.ts'
import { isRacy } from '../../kernel/items/racy-times.ts'
import { takeExclusiveLock } from '../../primitives/files/exclusive-lock.ts'
import { assertKeyFolder, openKeyFolder, readPrivateFile, unsafe } from './key-folder.ts'

/** As the file has it. */
export interface TrustedKey {
  readonly key_id: string
  readonly purpose: 'item' | 'connector'
  /** Whose tools a connector's key vouches for. */
  readonly server?: string
  readonly label: string
  /** ISO 8601, UTC. */
  readonly added_at: string
  /** The install key before the present one. */
  readonly retired?: true
}

export interface TrustStore {
  /** Reads the file only when it changed. @throws {KiwiError} KEY_UNSAFE; CONFIG_VALIDATION_ERROR naming the entry and field. */
  keys(): readonly TrustedKey[]
  /** Durable when it returns. @throws {KiwiError} as `keys`; KEY_UNSAFE when another process keeps the list from being changed. */
  update(change: (keys: readonly TrustedKey[]) => readonly TrustedKey[]): void
}

const FILE = 'trusted.json'
const LOCK_FILE = 'trusted.lock'
/** A change takes a few milliseconds. */
const LOCK_WAIT_MS = 5_000
const SHOWN = 'keys/trusted.json'
const FIELDS = ['key_id', 'purpose', 'server', 'label', 'added_at', 'retired']
const SERVER = /^[a-z0-9][a-z0-9_.-]{0,63}$/
const MAX_LABEL_CHARS = 200

export function createTrustStore(folder: string, options: { readonly projectPath: string }): TrustStore {
  const path = join(folder, FILE)
  let known: { readonly stamp: string; readonly keys: readonly TrustedKey[] } | null = null
  const keys = (): readonly TrustedKey[] => {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return []
    const stamp = `${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`
    if (known?.stamp === stamp) return known.keys
    assertKeyFolder(folder, options)
    const found = readPrivateFile(path)
    const read = found === null ? [] : parseTrustedKeys(found.text)
    known = isRacy(stats.mtimeMs, stats.ctimeMs) ? null : { stamp, keys: read }
    return read
  }
  return {
    keys,
    update(change) {
      openKeyFolder(folder, options)
      const lock = takeExclusiveLock(join(folder, LOCK_FILE), LOCK_WAIT_MS) // T3
      if (lock === null) throw unsafe(path, 'is being changed by another process', 'Try again when that is done.')
      try {
        const changed = change(keys())
        writeWhole(path, `${JSON.stringify({ keys: changed }, null, 2)}\n`)
        known = null
      } finally {
        lock.release()
      }
    },
  }
}

/** Whether a trusted key may vouch for the item (T1). */
export function vouchesFor({ purpose, server }: TrustedKey, { type, id, toolType }: SignedItem): boolean {
  if (purpose === 'item') return true
  return type === 'tool' && toolType === 'mcp_tool' && server !== undefined && isToolOf(server, id)
}

/** Whether a text can name a connector's server. */
export function isServerName(text: string): boolean {
  return SERVER.test(text)
}

function isToolOf(server: string, id: string): boolean {
  return id.startsWith(`${server}.`) || id.startsWith(`${server}_`)
}

function parseTrustedKeys(text: string): readonly TrustedKey[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw invalid('', error instanceof Error ? error.message : String(error))
  }
  if (!isMap(parsed) || !Array.isArray(parsed['keys'])) throw invalid('keys', 'must be a list')
  const entries: readonly unknown[] = parsed['keys']
  return entries.map((entry, index) => parseEntry(entry, `keys[${index}]`))
}

function parseEntry(entry: unknown, place: string): TrustedKey {
  if (!isMap(entry)) throw invalid(place, 'must be an object')
  const unknown = Object.keys(entry).find((field) => !FIELDS.includes(field))
  if (unknown !== undefined) throw invalid(`${place}.${unknown}`, `is not known; the fields are ${FIELDS.join(', ')}`)
  const { key_id: keyId, purpose, server, label, added_at: addedAt, retired } = entry
  if (typeof keyId !== 'string' || !isKeyId(keyId))
    throw invalid(`${place}.key_id`, 'must be a whole key id, as `kiwi trust show` prints it')
  if (purpose !== 'item' && purpose !== 'connector') throw invalid(`${place}.purpose`, 'must be "item" or "connector"')
  if (typeof label !== 'string' || label.length > MAX_LABEL_CHARS)
    throw invalid(`${place}.label`, `must be text of at most ${MAX_LABEL_CHARS} characters`)
  if (typeof addedAt !== 'string' || Number.isNaN(Date.parse(addedAt))) throw invalid(`${place}.added_at`, 'must be a time')
  if (retired !== undefined && retired !== true) throw invalid(`${place}.retired`, 'must be true or absent')
  const isNamed = typeof server === 'string' && isServerName(server)
  if (purpose === 'connector' ? !isNamed : server !== undefined)
    throw invalid(`${place}.server`, 'must name the server of a connector key, and only of one')
  return {
    key_id: keyId,
    purpose,
    ...(isNamed ? { server } : {}),
    label,
    added_at: addedAt,
    ...(retired === true ? { retired } : {}),
  }
}

/** T2 */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const descriptor = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

function invalid(field: string, what: string): KiwiError {
  const place = field === '' ? '' : ` \`${field}\``
  return new KiwiError('CONFIG_VALIDATION_ERROR', `${SHOWN}:${place} ${what}.`, {
    failedAt: { tool_id: SHOWN, config_path: field === '' ? null : field, validation_errors: [{ field, error: what }] },
    suggestion: 'Correct the file, or remove it and add the keys again with `kiwi trust add KEY`.',
  })
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
