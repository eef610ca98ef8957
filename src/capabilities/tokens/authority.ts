/**
 * The host's power over the tokens of one project.
 *
 *   A1. A token is signed by the key of this host run alone, and only such a one is accepted: the end of the process revokes all.
 *   A2. A thread's grants are computed once, when it is minted, within its parent's. A renewal carries the same.
 *   A3. A signature is checked once for each token text; its end at every use, by a clock that never runs backwards.
 *   A4. Only a thread that may act at this moment gets a new token.
 *   A5. No error carries a token.
 *   A6. A token that still holds is used when its renewal cannot be written down.
 *   A7. What somebody approved is in a token of its own, which nothing is minted or renewed from.
 */
import { createHash, randomUUID } from 'node:crypto'
import { KiwiError } from '../../kernel/errors.ts'
import type { Grants, TokenAuthority, TokenClaims, TokenLedger, TokenRow, Vocabulary } from '../contract.ts'
import type { InstallKey } from '../keys/install-key.ts'
import { coversGrants, meetGrants } from '../permissions/meet-grants.ts'
import { approvalJti, withApproval, withoutApproval } from './approval-token.ts'
import { issuerOf, proveToken } from './prove-token.ts'
import { certifyRunKey, type RunKey } from './run-key.ts'
import { settledStanding, type Standing } from './standing.ts'
import { createSteadyClock } from './steady-clock.ts'
import { openToken, sealToken, TOKEN_LIFE_MS } from './token-format.ts'

export interface TokenAuthorityOptions {
  readonly ledger: TokenLedger
  /** One for the whole host process, by `createRunKey`. */
  readonly runKey: RunKey
  readonly installKey: InstallKey
  /** The project, by `audienceOf`. */
  readonly audience: string
  readonly vocabulary: () => Promise<Vocabulary>
  /** UTC milliseconds. */
  readonly now: () => number
  /** Milliseconds that no setting of the clock changes. Default `performance.now`. */
  readonly monotonicMs?: () => number
  /** Install keys whose earlier runs may be renewed from, besides the present one: those that were rotated out. */
  readonly trustedKeyIds?: () => readonly string[]
}

/** Renewed when less than this share of its life is left. */
const RENEW_SHARE = 1 / 3
/** Some tokens for each of more threads than a host runs at once. */
const MAX_REMEMBERED = 16_384

/** Names a project in its tokens without telling where it lies. `projectPath` absolute. */
export function audienceOf(projectPath: string): string {
  return `kiwi:project:${createHash('sha256').update(projectPath).digest('base64url')}`
}

export function createTokenAuthority(options: TokenAuthorityOptions): TokenAuthority {
  const { ledger } = options
  const desk = createDesk(options)
  const renewals = new Map<string, Promise<string>>()
  const mintApproval = createApprovalMint(desk, ledger)

  async function renew(threadId: string, row: TokenRow): Promise<string> {
    const standing = await settledStanding(ledger, threadId)
    // A4
    if (standing !== 'live') throw notLive(threadId, standing)
    const { grants, parentJti, directiveId } = await desk.prove(row)
    const { token } = await desk.issue({ threadId, directiveId, parentJti, grants })
    return token
  }

  const authority: TokenAuthority = {
    async mint({ threadId, directiveId, parentThreadId, declared }) {
      const standing = await settledStanding(ledger, threadId)
      if (standing !== 'live') throw notLive(threadId, standing)
      const vocabulary = await options.vocabulary()
      const parent = parentThreadId === null ? null : await desk.latest(parentThreadId)
      // A7
      const wanted = withoutApproval(declared)
      let grants = parent === null ? wanted : meetGrants(parent.grants, wanted, vocabulary)
      // A2: a second minting (the first was not journaled) keeps within the first.
      if (ledger.latest(threadId) !== undefined) {
        const first = await desk.latest(threadId)
        if (!coversGrants(first.grants, grants, vocabulary)) grants = meetGrants(first.grants, grants, vocabulary)
      }
      const { claims } = await desk.issue({ threadId, directiveId, parentJti: parent?.jti ?? null, grants })
      return claims
    },
    async current(threadId) {
      const row = ledger.latest(threadId)
      if (row === undefined) throw neverMinted(threadId)
      const holdsForMs = row.keyId === options.runKey.keyId ? row.expiresAtMs - desk.now() : 0
      const present = async (): Promise<string | null> => ((await desk.open(row.token)).threadId === threadId ? row.token : null)
      if (holdsForMs > TOKEN_LIFE_MS * RENEW_SHARE) {
        const token = await present()
        if (token !== null) return token
      }
      const renewal = renewals.get(threadId) ?? renew(threadId, row).finally(() => renewals.delete(threadId))
      renewals.set(threadId, renewal)
      try {
        return await renewal
      } catch (error) {
        // A6: a refusal counts; a full disk or a busy registry may be over before the token is.
        const token = error instanceof KiwiError || row.expiresAtMs <= desk.now() || holdsForMs <= 0 ? null : await present()
        if (token === null) throw error
        return token
      }
    },
    mintApproval: async (request) => mintApproval(request, await authority.current(request.threadId)),
    verify: (token) => desk.open(token),
  }
  return authority
}

/** A7: within the thread's present token, and what somebody approved. One token serves all calls while it lasts, so that the ledger stays small. */
function createApprovalMint(
  desk: Desk,
  ledger: TokenLedger,
): (request: Parameters<TokenAuthority['mintApproval']>[0], present: string) => Promise<string> {
  const made = new Map<string, { readonly token: string; readonly parentJti: string; readonly endMs: number }>()
  return async ({ threadId, approvalId, toolId, expiresAtMs }, present) => {
    const standing = await settledStanding(ledger, threadId)
    if (standing !== 'live') throw notLive(threadId, standing)
    const { jti: parentJti, directiveId, grants } = await desk.open(present)
    const nowMs = desk.now()
    if (expiresAtMs <= nowMs) throw approvalOver(threadId, approvalId)
    const key = JSON.stringify([threadId, approvalId, toolId])
    const known = made.get(key)
    const soon = Math.min(expiresAtMs, nowMs + TOKEN_LIFE_MS * RENEW_SHARE)
    if (known?.parentJti === parentJti && known.endMs >= soon) return known.token
    const jti = approvalJti(approvalId, randomUUID())
    const wanted = { threadId, directiveId, parentJti, jti, expiresAtMs, grants: withApproval(grants, toolId) }
    const { token, claims } = await desk.issue(wanted)
    if (made.size >= MAX_REMEMBERED) made.clear()
    made.set(key, { token, parentJti, endMs: claims.expiresAtMs })
    return token
  }
}

interface Desk {
  readonly now: () => number
  open(token: string): Promise<TokenClaims>
  issue(wanted: {
    readonly threadId: string
    readonly directiveId: string
    readonly parentJti: string | null
    readonly grants: Grants
    readonly jti?: string
    /** An earlier end than that of the life of a token. */
    readonly expiresAtMs?: number
  }): Promise<{ readonly token: string; readonly claims: TokenClaims }>
  /** Claims of a recorded token of this or an earlier host run, expired ones too. */
  prove(row: TokenRow): Promise<TokenClaims>
  /** The same for the newest of a thread. */
  latest(threadId: string): Promise<TokenClaims>
}

function createDesk(options: TokenAuthorityOptions): Desk {
  const { ledger, runKey, installKey, audience } = options
  const now = createSteadyClock({ now: options.now, monotonicMs: options.monotonicMs ?? (() => performance.now()) })
  const parties = { issuer: issuerOf(installKey.keyId), audience }
  const by = { keyId: runKey.keyId, key: runKey.verifyKey }
  const opened = new Map<string, TokenClaims>()
  let isRecorded = false

  function remember(token: string, claims: TokenClaims): void {
    const oldest = opened.size < MAX_REMEMBERED ? undefined : opened.keys().next().value
    if (oldest !== undefined) opened.delete(oldest)
    opened.set(token, claims)
  }

  async function prove(row: TokenRow): Promise<TokenClaims> {
    const trustedKeyIds = [installKey.keyId, ...(options.trustedKeyIds?.() ?? [])]
    const proof = await proveToken(row, { ledger, trustedKeyIds, audience })
    if (proof.kind === 'proven') return proof.claims
    throw unproven(row.threadId, proof.reason)
  }

  return {
    now,
    async open(token) {
      const known = opened.get(token)
      if (known !== undefined) {
        // A3
        if (known.expiresAtMs <= now()) throw refused('it has expired')
        return known
      }
      try {
        const claims = await openToken(token, by, { ...parties, nowMs: now() })
        remember(token, claims)
        return claims
      } catch (error) {
        // A5: the reasons of the format and of the library name claims, never values.
        throw refused(error instanceof Error ? error.message.replace(/\.$/, '') : 'it cannot be read')
      }
    },
    async issue(wanted) {
      const issuedAtMs = now()
      const expiresAtMs = Math.min(wanted.expiresAtMs ?? Infinity, issuedAtMs + TOKEN_LIFE_MS)
      const claims = { ...wanted, jti: wanted.jti ?? randomUUID(), issuedAtMs, expiresAtMs }
      const token = await sealToken(claims, runKey, parties)
      if (!isRecorded) ledger.addKey(certifyRunKey(runKey, installKey))
      isRecorded = true
      const { grants: _inTheToken, directiveId: _too, ...row } = claims
      ledger.add({ ...row, keyId: runKey.keyId, token })
      remember(token, claims)
      return { token, claims }
    },
    prove,
    async latest(threadId) {
      const row = ledger.latest(threadId)
      if (row === undefined) throw neverMinted(threadId)
      if (row.threadId !== threadId) throw unproven(threadId, 'it was minted for another thread')
      return await prove(row)
    },
  }
}

const EXPLAIN = 'Nothing was done.'

function refused(reason: string): KiwiError {
  return new KiwiError('TOKEN_INVALID', `The capability token of a call does not hold: ${reason}. ${EXPLAIN}`, {
    suggestion: 'kiwi token verify THREAD_ID shows the tokens of a thread and what they prove.',
  })
}

function unproven(threadId: string, reason: string): KiwiError {
  return new KiwiError('TOKEN_INVALID', `The capability token of thread ${threadId} cannot be proven: ${reason}. ${EXPLAIN}`, {
    facts: { thread_id: threadId },
    suggestion: `kiwi token verify ${threadId} shows the whole chain. A thread whose token is not proven has to be spawned again.`,
  })
}

function neverMinted(threadId: string): KiwiError {
  return new KiwiError('TOKEN_INVALID', `Thread ${threadId} has no capability token: none was minted for it. ${EXPLAIN}`, {
    facts: { thread_id: threadId },
    suggestion: 'A thread gets its token when its directive is loaded. Spawn it again.',
  })
}

function approvalOver(threadId: string, approvalId: string): KiwiError {
  return new KiwiError(
    'TOKEN_INVALID',
    `Approval ${approvalId} of thread ${threadId} holds no longer: its time is over. ${EXPLAIN}`,
    {
      facts: { thread_id: threadId, approval_id: approvalId },
      suggestion: 'Make the call again; somebody is asked again.',
    },
  )
}

function notLive(threadId: string, standing: Exclude<Standing, 'live'>): KiwiError {
  return new KiwiError('TOKEN_INVALID', `Thread ${threadId} gets no capability token: ${NOT_LIVE[standing]}. ${EXPLAIN}`, {
    facts: { thread_id: threadId, standing },
    suggestion: standing === 'stopped' ? `Let it go on with "kiwi resume ${threadId}".` : 'Spawn a new thread.',
  })
}

/** Why a thread may not act, in words that follow its name. */
export const NOT_LIVE: Readonly<Record<Exclude<Standing, 'live'>, string>> = {
  unknown: 'the registry does not know it',
  cancelled: 'it was cancelled',
  ended: 'it has ended',
  stopped: 'it is paused or waiting',
}
