/**
 * One token as text: PASETO v4.public. What is signed besides the claims (the implicit assertion) names the purpose and the run key, so
 * that no other signature of ours, of whatever key, can stand for a token, nor a token for it.
 */
import { PublicProtocol } from 'paseto'
import { type PublicKey, SignFactory, VerifyFactory } from 'paseto/v4/public'
import type { TokenClaims } from '../contract.ts'
import type { RunKey } from './run-key.ts'
import { readClaims, REQUIRED_CLAIMS, toWire } from './token-claims.ts'

export const TOKEN_LIFE_MS: number = 15 * 60_000
/** How far the clock of another process may be ahead. For the beginning of a token only, never for its end. */
const SKEW_SECONDS = 60
const MAX_TOKEN_LENGTH = 1_048_576

const tokens = new PublicProtocol(SignFactory, VerifyFactory)

/** Who speaks to whom: the install key of the host, and one project. */
export interface TokenParties {
  readonly issuer: string
  readonly audience: string
}

/** The key that checks a token, and its id, which the signature covers. */
export interface VerifyKey {
  readonly keyId: string
  readonly key: PublicKey
}

export async function sealToken(claims: TokenClaims, runKey: RunKey, parties: TokenParties): Promise<string> {
  return await tokens.Sign(
    runKey.secretKey,
    { ...toWire(claims), iss: parties.issuer, aud: parties.audience },
    { now: new Date(claims.issuedAtMs), footer: footerOf(runKey.keyId), implicitAssertion: assertionOf(runKey.keyId) },
  )
}

/**
 * The claims of a token whose signature, purpose, issuer, audience and times hold at `nowMs`.
 *
 * @throws {Error} with the reason, never with the token.
 */
export async function openToken(
  token: string,
  by: VerifyKey,
  at: TokenParties & { readonly nowMs: number },
): Promise<TokenClaims> {
  if (token.length > MAX_TOKEN_LENGTH) throw new TypeError('It is too long.')
  const { claims } = await tokens.Verify(by.key, token, {
    now: new Date(at.nowMs),
    clockTolerance: SKEW_SECONDS,
    maxTokenAge: TOKEN_LIFE_MS / 1000,
    issuer: at.issuer,
    audience: at.audience,
    requiredClaims: REQUIRED_CLAIMS,
    footer: footerOf(by.keyId),
    implicitAssertion: assertionOf(by.keyId),
  })
  const read = readClaims(claims)
  if (read.expiresAtMs <= at.nowMs) throw new TypeError('It has expired.')
  if (read.expiresAtMs - read.issuedAtMs > TOKEN_LIFE_MS) throw new TypeError('It was given a longer life than any token has.')
  return read
}

const footerOf = (keyId: string): Uint8Array => Buffer.from(JSON.stringify({ kid: keyId }))

const assertionOf = (keyId: string): Uint8Array => Buffer.from(`kiwi:cap:v1\n${keyId}`)
