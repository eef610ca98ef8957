import type { RunKeyRow, TokenClaims, TokenLedger, TokenRow } from '../contract.ts'
import { importRunKey, runKeyProblem } from './run-key.ts'
import { openToken } from './token-format.ts'

export interface ProofOptions {
  readonly ledger: Pick<TokenLedger, 'key'>
  /** Install keys whose word counts. */
  readonly trustedKeyIds: readonly string[]
  /** The project, as `audienceOf` names it. */
  readonly audience: string
}

export type TokenProof =
  | { readonly kind: 'proven'; readonly claims: TokenClaims; readonly runKey: RunKeyRow }
  | { readonly kind: 'refuted'; readonly reason: string }

/**
 * Whether a recorded token is what a host of this installation signed, at whatever time: the certificate of its run key, its own
 * signature, and that the row tells the same as the token. Says nothing about whether it is still good.
 */
export async function proveToken(row: TokenRow, { ledger, trustedKeyIds, audience }: ProofOptions): Promise<TokenProof> {
  const runKey = ledger.key(row.keyId)
  if (runKey === undefined) return refuted('its run key is not in the registry')
  const problem = runKeyProblem(runKey, trustedKeyIds)
  if (problem !== null) return refuted(problem)
  try {
    const by = { keyId: runKey.keyId, key: await importRunKey(runKey.publicKey) }
    // At its own beginning: a token that has expired since was a good one then.
    const at = { issuer: issuerOf(runKey.certifiedBy), audience, nowMs: row.issuedAtMs }
    const claims = await openToken(row.token, by, at)
    return tellTheSame(row, claims) ? { kind: 'proven', claims, runKey } : refuted('its row tells other things than the token')
  } catch (error) {
    return refuted(error instanceof Error ? error.message.replace(/\.$/, '') : 'it cannot be read')
  }
}

/** Issuer of every token of one installation. */
export function issuerOf(installKeyId: string): string {
  return `kiwi:${installKeyId}`
}

function tellTheSame(row: TokenRow, claims: TokenClaims): boolean {
  return (
    row.jti === claims.jti &&
    row.parentJti === claims.parentJti &&
    row.threadId === claims.threadId &&
    row.issuedAtMs === claims.issuedAtMs &&
    row.expiresAtMs === claims.expiresAtMs
  )
}

const refuted = (reason: string): TokenProof => ({ kind: 'refuted', reason })
