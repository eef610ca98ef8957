import { generateKeyPairSync } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { RunKeyRow } from './capabilities/contract.ts'
import { openInstallKey } from './capabilities/keys/install-key.ts'
import { keyFolderOf } from './capabilities/keys/signing-keys.ts'
import { certifyRunKey, fingerprintOf, runKeyProblem } from './capabilities/tokens/run-key.ts'
import { installKeyIds } from './install-keys.ts'
import { KiwiError } from './kernel/errors.ts'
import { openStore, type Store } from './threads/store/open-store.ts'
import { createTokenLedger, insertRunKey, runKeysOf } from './threads/tokens/token-ledger.ts'

/**
 * Whose registry a file is. A project folder can come from anybody, and a registry in it with threads that seem to be running would be
 * acted on as if the user had spawned them. So whoever makes a registry leaves a key in it that the install key vouches for, and threads
 * of a registry without one are not run.
 */
export interface RegistryOwner {
  /** For `openStore`: leaves the mark in a registry that is made. */
  readonly initialise: (database: DatabaseSync) => void
  /** @throws {KiwiError} EXECUTION_FAILED */
  assertOwn(store: Store): void
}

export function createRegistryOwner(place: { readonly userSpace: string; readonly projectPath: string }): RegistryOwner {
  const { userSpace, projectPath } = place
  return {
    initialise: (database) => insertRunKey(database, mark(place)),
    assertOwn(store) {
      const trusted = installKeyIds(userSpace, projectPath)
      if (runKeysOf(store).some((key) => runKeyProblem(key, trusted) === null)) return
      throw new KiwiError(
        'EXECUTION_FAILED',
        'The thread registry of this project (.ai/threads/registry.db) was not made by this installation of Kiwi, so its threads are not run.',
        {
          suggestion:
            'Look at what it holds with `kiwi ps`, then move the folder .ai/threads away: an empty registry is made in its place.',
        },
      )
    },
  }
}

/**
 * Lets another user space, one that is there for a moment, run threads in a project of this user's. The registry stays the user's: it is made
 * by the user's installation where there is none yet.
 *
 * @throws {KiwiError} EXECUTION_FAILED when the registry is not the user's.
 */
export async function admitGuest(
  path: string,
  place: { readonly userSpace: string; readonly projectPath: string },
  guestSpace: string,
): Promise<void> {
  const owner = createRegistryOwner(place)
  const store = openStore({ path, initialise: owner.initialise })
  try {
    owner.assertOwn(store)
    createTokenLedger(store).addKey(mark({ ...place, userSpace: guestSpace }))
  } finally {
    await store.close()
  }
}

/** A key that nothing is ever signed with: its private half is gone when this returns. */
function mark({ userSpace, projectPath }: { readonly userSpace: string; readonly projectPath: string }): RunKeyRow {
  const { x: publicKey = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const key = { keyId: fingerprintOf(publicKey), publicKey, createdAtMs: Date.now() }
  return certifyRunKey(key, openInstallKey(keyFolderOf(userSpace), { projectPath }))
}
