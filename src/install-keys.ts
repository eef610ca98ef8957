import { findInstallKey } from './capabilities/keys/install-key.ts'
import { keyFolderOf } from './capabilities/keys/signing-keys.ts'
import { createTrustStore } from './capabilities/keys/trust-store.ts'

/**
 * The install key of this user space, and the one that it replaced: what an earlier host run signed stays provable over a rotation. Keys
 * that are trusted for items vouch for no host.
 */
export function installKeyIds(userSpace: string, projectPath: string): readonly string[] {
  const folder = keyFolderOf(userSpace)
  const own = findInstallKey(folder, { projectPath })
  const retired = createTrustStore(folder, { projectPath })
    .keys()
    .filter((key) => key.retired === true && key.purpose === 'item')
  return [...(own === null ? [] : [own.keyId]), ...retired.map(({ key_id: keyId }) => keyId)]
}
