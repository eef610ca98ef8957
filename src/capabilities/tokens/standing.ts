import type { TokenLedger } from '../contract.ts'

export type Standing = ReturnType<TokenLedger['standing']>

/**
 * Whether a thread may act. The end of a wait is written together with the first commit of the turn that follows it, at the end of the
 * present tick; so a thread that seems stopped is looked at once more when that is done.
 */
export async function settledStanding(ledger: Pick<TokenLedger, 'standing'>, threadId: string): Promise<Standing> {
  const standing = ledger.standing(threadId)
  if (standing !== 'stopped') return standing
  await new Promise((resolve) => setImmediate(resolve))
  return ledger.standing(threadId)
}
