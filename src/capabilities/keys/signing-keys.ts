import { join } from 'node:path'
import type { SigningKeys } from '../../kernel/contract.ts'
import { findInstallKey, type InstallKey, installKeyStamp, openInstallKey, replaceInstallKey } from './install-key.ts'
import { createTrustStore, type TrustedKey, vouchesFor } from './trust-store.ts'

export interface KeyPlace {
  readonly userSpace: string
  /** The keys must lie outside of it. */
  readonly projectPath: string
}

/** The folder for keys of a user space. */
export function keyFolderOf(userSpace: string): string {
  return join(userSpace, 'keys')
}

/** The user's install key as the kernel uses it, and whom the user trusts. Reads nothing before it is asked, and makes a key only to sign. */
export function createSigningKeys(place: KeyPlace): SigningKeys {
  const folder = keyFolderOf(place.userSpace)
  const store = createTrustStore(folder, place)
  const own = createOwnKey(folder, place)
  return {
    async sign(message) {
      const key = own.find() ?? openInstallKey(folder, place)
      return { keyId: key.keyId, signature: key.sign('item', message) }
    },
    trust(keyId, item) {
      if (own.find()?.keyId === keyId) return 'trusted'
      const entries = store.keys().filter((entry) => entry.key_id === keyId)
      if (entries.length === 0) return 'untrusted'
      return entries.some((entry) => vouchesFor(entry, item)) ? 'trusted' : 'other_purpose'
    },
  }
}

export interface Rotation {
  /** Signs from now on. */
  readonly keyId: string
  /** Still accepted. */
  readonly retired: string
  /** Was accepted as retired before, and is no longer. */
  readonly dropped: readonly string[]
}

/**
 * Replaces the install key: a new one signs, the old one stays accepted, and one that was retired before falls away. Killed at any moment,
 * it leaves the old key or the new one in force.
 *
 * @throws {KiwiError} KEY_UNSAFE
 */
export function rotateInstallKey(place: KeyPlace, nowMs: number): Rotation {
  const folder = keyFolderOf(place.userSpace)
  const old = openInstallKey(folder, place)
  const time = new Date(nowMs).toISOString()
  let dropped: readonly string[] = []
  createTrustStore(folder, place).update((keys) => {
    dropped = keys.filter((key) => key.retired === true && key.key_id !== old.keyId).map((key) => key.key_id)
    const entry: TrustedKey = {
      key_id: old.keyId,
      purpose: 'item',
      label: 'this installation, before',
      added_at: time,
      retired: true,
    }
    return [...keys.filter((key) => key.retired !== true), entry]
  })
  const { keyId } = replaceInstallKey(folder, place)
  return { keyId, retired: old.keyId, dropped }
}

function createOwnKey(folder: string, place: KeyPlace): { find(): InstallKey | null } {
  let known: { readonly stamp: string; readonly key: InstallKey } | null = null
  return {
    find() {
      const stamp = installKeyStamp(folder)
      if (stamp === null) return null
      if (known?.stamp === stamp) return known.key
      const key = findInstallKey(folder, place)
      known = key === null ? null : { stamp, key }
      return key
    },
  }
}
