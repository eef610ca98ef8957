/** The key of one host run: it signs tokens, lives in memory only, and is worth what the install key says of its public half. */
import { createHash } from 'node:crypto'
import { PublicProtocol } from 'paseto'
import {
  ExportPublicKeyFactory,
  GenerateKeyPairFactory,
  ImportPublicKeyFactory,
  type PublicKey,
  type SecretKey,
} from 'paseto/v4/public'
import type { RunKeyRow } from '../contract.ts'
import type { InstallKey } from '../keys/install-key.ts'
import { verifyKeySignature } from '../keys/key-file.ts'

export interface RunKey {
  /** Fingerprint of the public half. */
  readonly keyId: string
  /** base64url of the raw Ed25519 public key. */
  readonly publicKey: string
  readonly createdAtMs: number
  /** Cannot be exported. */
  readonly secretKey: SecretKey
  readonly verifyKey: PublicKey
}

const keys = new PublicProtocol(GenerateKeyPairFactory, ExportPublicKeyFactory, ImportPublicKeyFactory)
const PASERK = 'k4.public.'

export async function createRunKey(now: () => number): Promise<RunKey> {
  const { publicKey: verifyKey, secretKey } = await keys.GenerateKeyPair()
  const publicKey = (await keys.ExportPublicKey(verifyKey)).slice(PASERK.length)
  return { keyId: fingerprintOf(publicKey), publicKey, createdAtMs: now(), secretKey, verifyKey }
}

/** The public half as it is recorded, with the install key's word for it. */
export function certifyRunKey(runKey: Pick<RunKey, 'keyId' | 'publicKey' | 'createdAtMs'>, installKey: InstallKey): RunKeyRow {
  const { keyId, publicKey, createdAtMs } = runKey
  const certificate = installKey.sign('run_key', certificateMessage(runKey))
  return { keyId, publicKey, certifiedBy: installKey.keyId, certificate, createdAtMs }
}

/** Why a recorded run key is not to be believed, or null. */
export function runKeyProblem(row: RunKeyRow, trustedKeyIds: readonly string[]): string | null {
  if (row.keyId !== fingerprintOf(row.publicKey)) return 'its run key is recorded under the id of another key'
  if (!trustedKeyIds.includes(row.certifiedBy)) return 'its run key was certified by an install key that is not trusted here'
  const isCertified = verifyKeySignature({
    keyId: row.certifiedBy,
    purpose: 'run_key',
    message: certificateMessage(row),
    signature: row.certificate,
  })
  return isCertified ? null : 'the certificate of its run key does not hold'
}

/** @throws {Error} for what is no Ed25519 public key. */
export async function importRunKey(publicKey: string): Promise<PublicKey> {
  return await keys.ImportPublicKey(`${PASERK}${publicKey}`)
}

/** Id of a run key, from base64url of its raw public half. */
export function fingerprintOf(publicKey: string): string {
  return createHash('sha256').update(publicKey).digest('base64url').slice(0, 22)
}

function certificateMessage(key: Pick<RunKey, 'keyId' | 'publicKey' | 'createdAtMs'>): Buffer {
  return Buffer.from(`${key.keyId}\n${key.publicKey}\n${key.createdAtMs}`)
}
