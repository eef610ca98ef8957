/**
 * What the ledger of a tree must hold, worked out anew from what was asked of it: who was given how much, what each thread spent, and
 * what it has reserved. Nothing here is carried from one step to the next, so nothing can drift with the ledger.
 */
export interface Thread {
  readonly id: string
  readonly parent: Thread | null
  /** Null draws on the nearest thread above that was given money. */
  granted: number | null
  spent: number
  /** By step. */
  readonly reserved: Map<string, number>
  ended: boolean
  /** Spent beyond what was reserved for it. */
  overshoot: number
}

export interface Figures {
  /** Spent by the account's own threads, and by ended accounts below it. */
  spent: number
  reserved: number
  /** Kept for the accounts below it. */
  escrow: number
  /** What the account above keeps for this one. */
  held: number
  /** By every thread below, whichever account it draws on. */
  overshoot: number
}

/** The thread whose money pays for this one's calls. */
export function accountOf(thread: Thread | null): Thread | null {
  if (thread === null || thread.granted !== null) return thread
  return accountOf(thread.parent)
}

/** The figures of every account. `threads` in the order in which they were made, so that what is below comes after. */
export function figuresOf(threads: readonly Thread[]): ReadonlyMap<Thread, Figures> {
  const figures = new Map<Thread, Figures>()
  const of = (thread: Thread): Figures => {
    const known = figures.get(thread) ?? { spent: 0, reserved: 0, escrow: 0, held: 0, overshoot: 0 }
    figures.set(thread, known)
    return known
  }
  for (const thread of threads.toReversed()) {
    const account = accountOf(thread)
    if (account === null) continue
    const mine = of(account)
    mine.spent += thread.spent
    mine.overshoot += thread.overshoot
    for (const amount of thread.reserved.values()) mine.reserved += amount
    if (account !== thread) continue
    const open = mine.reserved + mine.escrow
    mine.held = thread.ended ? open : Math.max(thread.granted ?? 0, mine.spent + open)
    const above = accountOf(thread.parent)
    if (above === null) continue
    const theirs = of(above)
    theirs.escrow += mine.held
    theirs.overshoot += mine.overshoot
    if (thread.ended) theirs.spent += mine.spent
  }
  return figures
}

/** What the account of a thread has left to give; null where nothing binds it. */
export function leftFor(
  threads: readonly Thread[],
  thread: Thread | null,
): { readonly id: string; readonly left: number } | null {
  const account = accountOf(thread)
  if (account === null) return null
  const { spent, reserved, escrow } = figuresOf(threads).get(account) ?? { spent: 0, reserved: 0, escrow: 0 }
  const left = account.ended ? 0 : Math.max(0, (account.granted ?? 0) - spent - reserved - escrow)
  return { id: account.id, left }
}
