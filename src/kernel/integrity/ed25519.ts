import { createPublicKey, type KeyObject, verify } from 'node:crypto'

const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** Far more keys than anyone trusts; a signature line may name any. */
const MAX_KEYS = 256

// A key object is a pure function of its id and costs more to make than a verification.
const keys = new Map<string, KeyObject>()

/** Whether a text is the one base64url form of a raw Ed25519 public key. */
export function isKeyId(text: string): boolean {
  return isCanonical(text, KEY_BYTES)
}

/** Whether a text is the one base64url form of an Ed25519 signature. */
export function isSignature(text: string): boolean {
  return isCanonical(text, SIGNATURE_BYTES)
}

/** Whether the holder of the key signed exactly these bytes. False, too, for an id or a signature that cannot be one. */
export function verifyEd25519(claim: {
  readonly keyId: string
  readonly message: Uint8Array
  readonly signature: string
}): boolean {
  const { keyId, message, signature } = claim
  if (!isKeyId(keyId) || !isSignature(signature)) return false
  return verify(null, message, publicKeyOf(keyId), Buffer.from(signature, 'base64url'))
}

function publicKeyOf(keyId: string): KeyObject {
  const known = keys.get(keyId)
  if (known !== undefined) return known
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: keyId }, format: 'jwk' })
  if (keys.size >= MAX_KEYS) keys.clear()
  keys.set(keyId, key)
  return key
}

/** Unused bits of the last character must be zero, or one key would have several ids. */
function isCanonical(text: string, byteLength: number): boolean {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === byteLength && bytes.toString('base64url') === text
}
