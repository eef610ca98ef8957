import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { SigningKeys } from '../../src/kernel/contract.ts'

export interface TestKeys extends SigningKeys {
  readonly keyId: string
}

/** A fresh key pair in memory that trusts itself and whatever else `trust` says. */
export function createTestKeys(trust: SigningKeys['trust'] = () => 'untrusted'): TestKeys {
  const { privateKey } = generateKeyPairSync('ed25519')
  const keyId = createPublicKey(privateKey).export({ format: 'jwk' }).x ?? ''
  return {
    keyId,
    sign: async (message) => ({
      keyId,
      signature: sign(null, Buffer.concat([Buffer.from('kiwi:item:v1\n'), message]), privateKey).toString('base64url'),
    }),
    trust: (other, item) => (other === keyId ? 'trusted' : trust(other, item)),
  }
}
