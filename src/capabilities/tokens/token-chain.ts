import type { Grants, TokenClaims, TokenLedger, TokenRow, Vocabulary } from '../contract.ts'
import { coversGrants } from '../permissions/meet-grants.ts'
import { holdsApproval, isApprovalJti, withoutApproval } from './approval-token.ts'
import { proveToken } from './prove-token.ts'

export interface TokenChainOptions {
  /** Public install keys whose word counts: this installation's, and those that were rotated out. */
  readonly trustedKeyIds: readonly string[]
  /** The project, by `audienceOf`. */
  readonly audience: string
  readonly vocabulary: Vocabulary
}

/** One token of a chain. What is not proven has no claims: only its row tells of it. */
export interface TokenLink {
  readonly thread_id: string
  readonly directive: string | null
  readonly jti: string
  readonly parent_jti: string | null
  readonly issued_at: string
  readonly expires_at: string
  /** Run key that signed the token, and install key that certified it; null while the signature is not proven. */
  readonly run_key: string
  readonly install_key: string | null
  readonly grants: Grants | null
  /** Null for the token of a thread that the operator spawned, which has no parent. */
  readonly within_parent: boolean | null
  /** It is for what somebody approved, which it grants besides what its parent does. */
  readonly approval: boolean
  /** What does not hold; null for a good link. */
  readonly problem: string | null
}

export interface TokenChain {
  readonly proven: boolean
  /** First problem of the chain in words, or null. */
  readonly reason: string | null
  /** From the token that was asked for up to the root. */
  readonly links: readonly TokenLink[]
}

/** More than any tree of threads is deep. */
const MAX_LINKS = 256

/**
 * Every token from one thread's newest (or the one with this jti) up to the operator: that each was signed by a host run of a trusted
 * installation for this project, and grants nothing that its parent's does not. Offline: it reads the ledger and nothing else. An id
 * that no token has gives a chain without links, which proves nothing.
 */
export async function verifyTokenChain(
  ledger: TokenLedger,
  threadIdOrJti: string,
  options: TokenChainOptions,
): Promise<TokenChain> {
  const first = ledger.get(threadIdOrJti) ?? ledger.latest(threadIdOrJti)
  if (first === undefined) return { proven: false, reason: 'no token has this id', links: [] }
  const links: TokenLink[] = []
  let row: TokenRow | undefined = first
  while (row !== undefined) {
    const parentRow: TokenRow | undefined = row.parentJti === null ? undefined : ledger.get(row.parentJti)
    links.push(await verifyLink(row, parentRow, { ledger, ...options }))
    if (links.length >= MAX_LINKS) break
    row = parentRow
  }
  const bad = links.find(({ problem }) => problem !== null)
  if (bad === undefined && links.length < MAX_LINKS) return { proven: true, reason: null, links }
  const reason =
    bad === undefined
      ? `the chain has ${MAX_LINKS} tokens or more`
      : `token ${bad.jti} of thread ${bad.thread_id}: ${bad.problem}`
  return { proven: false, reason, links }
}

async function verifyLink(
  row: TokenRow,
  parentRow: TokenRow | undefined,
  options: TokenChainOptions & { readonly ledger: TokenLedger },
): Promise<TokenLink> {
  const proof = await proveToken(row, options)
  const claims = proof.kind === 'proven' ? proof.claims : null
  const parent = claims === null || parentRow === undefined ? null : await proveToken(parentRow, options)
  const isApproval = isApprovalJti(row.jti)
  // What was approved comes on top of what the thread has.
  const inherited = claims !== null && isApproval ? withoutApproval(claims.grants) : claims?.grants
  const isWithin =
    row.parentJti === null
      ? null
      : inherited !== undefined && parent?.kind === 'proven' && coversGrants(parent.claims.grants, inherited, options.vocabulary)
  const misplaced = claims === null ? null : misplacedApproval(claims, parentRow)
  return {
    thread_id: row.threadId,
    directive: claims?.directiveId ?? null,
    jti: row.jti,
    parent_jti: row.parentJti,
    issued_at: isoTime(row.issuedAtMs),
    expires_at: isoTime(row.expiresAtMs),
    run_key: row.keyId,
    install_key: proof.kind === 'proven' ? proof.runKey.certifiedBy : null,
    grants: claims?.grants ?? null,
    within_parent: isWithin,
    approval: isApproval,
    problem: proof.kind === 'refuted' ? proof.reason : isWithin === false ? whyNotWithin(parentRow, parent?.kind) : misplaced,
  }
}

/** An approval is for the thread that asked, beside the tokens that others are minted from. */
function misplacedApproval({ jti, threadId, grants }: TokenClaims, parentRow: TokenRow | undefined): string | null {
  if (!isApprovalJti(jti)) return holdsApproval(grants) ? 'it holds an approval, and is not the token of one' : null
  if (parentRow?.threadId !== threadId) return 'it is the token of an approval, and its parent token is that of another thread'
  return isApprovalJti(parentRow.jti) ? 'its parent token is itself that of an approval' : null
}

function whyNotWithin(parentRow: TokenRow | undefined, parent: 'proven' | 'refuted' | undefined): string {
  if (parentRow === undefined) return 'its parent token is not in the registry'
  return parent === 'proven' ? 'it grants more than its parent token' : 'its parent token is not proven'
}

function isoTime(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.valueOf()) ? String(ms) : date.toISOString()
}
