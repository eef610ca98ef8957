/**
 * Keys of connectors: each external server has a key pair of its own, which signs the tool files that are generated for it.
 *
 * C1. A connector's key vouches for the tools of its own server alone; the trust store says which server that is.
 * C2. A key is trusted once, before its file can be found. What the user stopped trusting is not trusted again here.
 * C3. A server has one key for all projects of a user.
 */
import type { SigningKeys } from '../../kernel/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { findKey, type KeyFile, openKey, removeKey } from './key-file.ts'
import { keyFolderOf, type KeyPlace } from './signing-keys.ts'
import { createTrustStore, isServerName, type TrustedKey } from './trust-store.ts'

export interface ConnectorKey extends Pick<SigningKeys, 'sign'> {
  readonly keyId: string
}

export interface ConnectorKeys {
  /**
   * The key of a server, made and trusted when there is none (C2).
   *
   * @throws {KiwiError} KEY_UNSAFE; ITEM_KEY_UNTRUSTED when the user trusts it no longer; INVALID_REQUEST for what cannot name a server.
   */
  open(server: string): ConnectorKey
  /** Id of the key of a server; null when there is none. Makes nothing. @throws {KiwiError} KEY_UNSAFE; INVALID_REQUEST. */
  find(server: string): string | null
  /** Removes the key of a server, so that nothing it signed runs. False when there was none. @throws {KiwiError} KEY_UNSAFE; INVALID_REQUEST. */
  remove(server: string): boolean
  /** Servers that some trusted key vouches for, of this installation or of others. */
  servers(): readonly string[]
}

const LABEL = 'kiwi connect, this installation'

/** Reads nothing before it is asked. `now` is UTC milliseconds. */
export function createConnectorKeys(place: KeyPlace & { readonly now: () => number }): ConnectorKeys {
  const folder = keyFolderOf(place.userSpace)
  const store = createTrustStore(folder, place)
  const fileOf = (server: string): KeyFile => {
    if (isServerName(server)) return { folder, stem: `connector-${server}`, projectPath: place.projectPath }
    throw new KiwiError('INVALID_REQUEST', `${JSON.stringify(server.slice(0, 80))} cannot name a server.`, {
      suggestion: 'Use lower-case letters, digits, "_", "-" and ".".',
    })
  }
  const distrust = (keyId: string, server: string): void => {
    if (store.keys().some(isOf(keyId, server))) store.update((keys) => keys.filter((key) => !isOf(keyId, server)(key)))
  }
  return {
    open(server) {
      let announced: string | null = null
      const key = openKey(fileOf(server), (keyId) => {
        announced = keyId
        const entry: TrustedKey = {
          key_id: keyId,
          purpose: 'connector',
          server,
          label: LABEL,
          added_at: new Date(place.now()).toISOString(),
        }
        store.update((keys) => [...keys, entry])
      })
      // Another process made the key at the same moment: nobody has the one that was made here.
      if (announced !== null && announced !== key.keyId) distrust(announced, server)
      if (!store.keys().some(isOf(key.keyId, server))) throw untrusted(server, key.keyId)
      return {
        keyId: key.keyId,
        sign: async (message) => ({ keyId: key.keyId, signature: key.sign('item', message) }),
      }
    },
    find: (server) => findKey(fileOf(server))?.keyId ?? null,
    remove(server) {
      const file = fileOf(server)
      const key = findKey(file)
      if (key === null) return false
      // A key without trust can do nothing; trust without its key would stay for ever.
      distrust(key.keyId, server)
      return removeKey(file)
    },
    servers: () =>
      store.keys().flatMap(({ purpose, server }) => (purpose === 'connector' && server !== undefined ? [server] : [])),
  }
}

function isOf(keyId: string, server: string): (key: TrustedKey) => boolean {
  return (key) => key.key_id === keyId && key.purpose === 'connector' && key.server === server
}

function untrusted(server: string, keyId: string): KiwiError {
  const message = `The key that signs the tools of ${server} is not trusted any more, so none were written.`
  return new KiwiError('ITEM_KEY_UNTRUSTED', message, {
    suggestion: `To trust it again: kiwi trust add ${keyId} --connector ${server}`,
    facts: { key_id: keyId, server },
  })
}
