import { KiwiError } from '../../kernel/errors.ts'
import type { BudgetView } from '../engine.ts'
import { integer, integerOrNull, text, textOrNull } from '../store/columns.ts'
import type { Row } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'

/**
 * Money of a tree of threads, in integer nano-dollars. Every function but `view` must run inside a transaction of the store.
 *
 *   L1. For each account: spent + reserved + escrow ≤ granted. Only `settle` with more than was reserved can break it, and says so truthfully;
 *       the excess is taken from every account above at once, so that free money there pays for it before anybody else draws on it.
 *   L2. A capped thread draws on its own account, whose grant is escrowed from its nearest capped ancestor; an uncapped one draws on that
 *       ancestor's account; without a capped ancestor nothing binds it.
 *   L3. What an ended account did not spend returns to the account it came from, at once and again when something below it settles later.
 *   L4. A closed account grants nothing.
 */
export interface Ledger {
  /** Opens the account of a new thread. @throws {KiwiError} BUDGET_EXCEEDED when the grant does not fit. */
  open(thread: { readonly threadId: string; readonly parentThreadId: string | null; readonly grantedNano: number | null }): void
  reserve(key: StepKey, amountNano: number): Reserve
  /** `actualNano` null settles what was reserved in full. Gives what was spent, or null where nothing was reserved. */
  settle(key: StepKey, actualNano: number | null): number | null
  /** After a crash, or at the end: every open reservation of the thread is settled in full. */
  settleAll(threadId: string): readonly { readonly turn: number; readonly step: string; readonly amountNano: number }[]
  /** Adds to the grant of an unfinished thread, out of its nearest capped ancestor. @throws {KiwiError} BUDGET_EXCEEDED, INVALID_REQUEST. */
  grant(threadId: string, amountNano: number): void
  /** Settles what is open and returns what is left. */
  close(threadId: string): void
  /**
   * Closes the account of a thread and opens that of its successor, in the same place and with what was left: never refused, because nothing
   * is asked for that was not held already, even where the account above has ended. Gives the successor's grant; null draws on the account above.
   */
  handOn(threadId: string, successorId: string): number | null
  view(threadId: string): BudgetView
}

export interface StepKey {
  readonly threadId: string
  readonly turn: number
  readonly step: string
}

export type Reserve =
  | { readonly kind: 'reserved' }
  | { readonly kind: 'refused'; readonly bindingThreadId: string; readonly availableNano: number }

interface Account {
  readonly threadId: string
  readonly grantedNano: number | null
  readonly accountThreadId: string | null
  readonly parentAccountId: string | null
  readonly spentNano: number
  readonly reservedNano: number
  readonly escrowNano: number
  readonly ownSpentNano: number
  readonly heldNano: number
  readonly passedNano: number
  readonly closed: boolean
}

const SELECT_ACCOUNT = 'SELECT * FROM ledger WHERE thread_id = ?'
const ADD_TO_ACCOUNT =
  'UPDATE ledger SET spent_nano = spent_nano + ?, reserved_nano = reserved_nano + ?, escrow_nano = escrow_nano + ? WHERE thread_id = ?'
const ADD_OWN_SPENT = 'UPDATE ledger SET own_spent_nano = own_spent_nano + ? WHERE thread_id = ?'
const INSERT_RESERVATION =
  'INSERT INTO reservations (thread_id, turn, step, account_thread_id, amount_nano) VALUES (?, ?, ?, ?, ?)'
const SELECT_RESERVATION = 'SELECT account_thread_id, amount_nano FROM reservations WHERE thread_id = ? AND turn = ? AND step = ?'
const DELETE_RESERVATION = 'DELETE FROM reservations WHERE thread_id = ? AND turn = ? AND step = ?'

/** Money as every column holds it. @throws {KiwiError} INVALID_REQUEST for anything but a safe, non-negative integer. */
function assertNano(amountNano: number, what: string): void {
  if (Number.isSafeInteger(amountNano) && amountNano >= 0) return
  throw new KiwiError(
    'INVALID_REQUEST',
    `Expected ${what} to be a whole, non-negative number of nano-dollars, got ${String(amountNano)}.`,
  )
}

export function createLedger(store: Store): Ledger {
  return new AccountBook(store)
}

class AccountBook implements Ledger {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  open(thread: { readonly threadId: string; readonly parentThreadId: string | null; readonly grantedNano: number | null }): void {
    const above = thread.parentThreadId === null ? null : readAccount(this.#store, thread.parentThreadId).accountThreadId
    if (thread.grantedNano !== null) {
      assertNano(thread.grantedNano, 'the granted budget')
      if (above !== null) this.#escrow(readAccount(this.#store, above), thread.grantedNano, thread.threadId)
    }
    this.#insert(thread.threadId, thread.grantedNano, above)
  }

  #insert(threadId: string, grantedNano: number | null, above: string | null): void {
    const capped = grantedNano !== null
    this.#store
      .statement(
        'INSERT INTO ledger (thread_id, granted_nano, account_thread_id, parent_account_id, held_nano) VALUES (?, ?, ?, ?, ?)',
      )
      .run(threadId, grantedNano, capped ? threadId : above, capped ? above : null, grantedNano ?? 0)
  }

  #escrow(account: Account, amountNano: number, forThread: string): void {
    const availableNano = available(account)
    if (availableNano < amountNano) throw exceeded(account.threadId, { forThread, amountNano, availableNano })
    this.#addTo(account.threadId, { escrow: amountNano })
  }

  #addTo(threadId: string, change: { readonly spent?: number; readonly reserved?: number; readonly escrow?: number }): void {
    this.#store.statement(ADD_TO_ACCOUNT).run(change.spent ?? 0, change.reserved ?? 0, change.escrow ?? 0, threadId)
  }

  reserve(key: StepKey, amountNano: number): Reserve {
    assertNano(amountNano, `the reservation of step ${key.step}`)
    const own = readAccount(this.#store, key.threadId)
    const accountId = own.accountThreadId
    if (accountId !== null) {
      const availableNano = available(accountId === key.threadId ? own : readAccount(this.#store, accountId))
      if (availableNano < amountNano) return { kind: 'refused', bindingThreadId: accountId, availableNano }
      this.#addTo(accountId, { reserved: amountNano })
    }
    this.#store.statement(INSERT_RESERVATION).run(key.threadId, key.turn, key.step, accountId, amountNano)
    return { kind: 'reserved' }
  }

  settle(key: StepKey, actualNano: number | null): number | null {
    if (actualNano !== null) assertNano(actualNano, `the settlement of step ${key.step}`)
    const row = this.#store.statement(SELECT_RESERVATION).get(key.threadId, key.turn, key.step)
    if (row === undefined) return actualNano === null || actualNano === 0 ? null : this.#charge(key.threadId, actualNano)
    const reservedNano = integer(row, 'amount_nano')
    const spentNano = actualNano ?? reservedNano
    const accountId = textOrNull(row, 'account_thread_id')
    this.#store.statement(DELETE_RESERVATION).run(key.threadId, key.turn, key.step)
    this.#store.statement(ADD_OWN_SPENT).run(spentNano, key.threadId)
    if (accountId !== null) {
      this.#addTo(accountId, { spent: spentNano, reserved: -reservedNano })
      this.#passUp(accountId)
    }
    return spentNano
  }

  /** Money that was spent without a reservation (advisory): recorded truthfully all the same. */
  #charge(threadId: string, spentNano: number): number {
    const accountId = readAccount(this.#store, threadId).accountThreadId
    this.#store.statement(ADD_OWN_SPENT).run(spentNano, threadId)
    if (accountId !== null) {
      this.#addTo(accountId, { spent: spentNano })
      this.#passUp(accountId)
    }
    return spentNano
  }

  /** Keeps what the account above was charged, and what it holds, in step with this account (L1, L3), and so on up to the root. */
  #passUp(accountId: string): void {
    const account = readAccount(this.#store, accountId)
    const passedNano = account.closed ? account.spentNano : 0
    const heldNano = heldBy(account)
    if (passedNano === account.passedNano && heldNano === account.heldNano) return
    this.#store
      .statement('UPDATE ledger SET held_nano = ?, passed_nano = ? WHERE thread_id = ?')
      .run(heldNano, passedNano, accountId)
    if (account.parentAccountId === null) return
    this.#addTo(account.parentAccountId, { spent: passedNano - account.passedNano, escrow: heldNano - account.heldNano })
    this.#passUp(account.parentAccountId)
  }

  settleAll(threadId: string): { turn: number; step: string; amountNano: number }[] {
    const rows = this.#store.statement('SELECT turn, step, amount_nano FROM reservations WHERE thread_id = ?').all(threadId)
    return rows.map((row) => {
      const open = { turn: integer(row, 'turn'), step: text(row, 'step'), amountNano: integer(row, 'amount_nano') }
      this.settle({ threadId, turn: open.turn, step: open.step }, null)
      return open
    })
  }

  grant(threadId: string, amountNano: number): void {
    assertNano(amountNano, 'the added budget')
    const account = readAccount(this.#store, threadId)
    if (account.grantedNano === null) {
      if (account.accountThreadId === null) return
      throw new KiwiError(
        'INVALID_REQUEST',
        `Thread ${threadId} has no budget of its own; it draws on the budget of ${account.accountThreadId}.`,
        {
          suggestion: `Add the money to ${account.accountThreadId}.`,
        },
      )
    }
    const grantedNano = account.grantedNano + amountNano
    assertNano(grantedNano, 'the whole budget')
    if (account.closed) throw new KiwiError('INVALID_REQUEST', `Thread ${threadId} has ended, so its budget cannot be raised.`)
    // What was spent too much is held already.
    const heldNano = heldBy({ ...account, grantedNano })
    if (account.parentAccountId !== null)
      this.#escrow(readAccount(this.#store, account.parentAccountId), heldNano - account.heldNano, threadId)
    this.#store
      .statement('UPDATE ledger SET granted_nano = ?, held_nano = ? WHERE thread_id = ?')
      .run(grantedNano, heldNano, threadId)
  }

  close(threadId: string): void {
    this.settleAll(threadId)
    this.#store.statement('UPDATE ledger SET closed = 1 WHERE thread_id = ?').run(threadId)
    if (readAccount(this.#store, threadId).grantedNano !== null) this.#passUp(threadId)
  }

  handOn(threadId: string, successorId: string): number | null {
    this.settleAll(threadId)
    const account = readAccount(this.#store, threadId)
    const leftNano = account.grantedNano === null ? null : available(account)
    this.close(threadId)
    if (leftNano === null) this.#insert(successorId, null, account.accountThreadId)
    else {
      this.#insert(successorId, leftNano, account.parentAccountId)
      if (account.parentAccountId !== null) {
        this.#addTo(account.parentAccountId, { escrow: leftNano })
        this.#passUp(account.parentAccountId)
      }
    }
    return leftNano
  }

  view(threadId: string): BudgetView {
    return viewOf(this.#store, threadId)
  }
}

function readAccount(store: Store, threadId: string): Account {
  const row: Row | undefined = store.statement(SELECT_ACCOUNT).get(threadId)
  if (row === undefined)
    throw new KiwiError('THREAD_NOT_FOUND', `Thread ${threadId} has no account in the ledger.`, {
      facts: { thread_id: threadId },
    })
  return {
    threadId,
    grantedNano: integerOrNull(row, 'granted_nano'),
    accountThreadId: textOrNull(row, 'account_thread_id'),
    parentAccountId: textOrNull(row, 'parent_account_id'),
    spentNano: integer(row, 'spent_nano'),
    reservedNano: integer(row, 'reserved_nano'),
    escrowNano: integer(row, 'escrow_nano'),
    ownSpentNano: integer(row, 'own_spent_nano'),
    heldNano: integer(row, 'held_nano'),
    passedNano: integer(row, 'passed_nano'),
    closed: integer(row, 'closed') === 1,
  }
}

/**
 * What the account above keeps for this one: its grant, or what it has used where that is more. An ended one needs only what is still open
 * below it.
 */
function heldBy(account: Account): number {
  const openNano = account.reservedNano + account.escrowNano
  return account.closed ? openNano : Math.max(account.grantedNano ?? 0, account.spentNano + openNano)
}

/** Never negative: after an overspend nothing is left, and nothing is owed. */
function available(account: Account): number {
  if (account.closed || account.grantedNano === null) return 0
  return Math.max(0, account.grantedNano - account.spentNano - account.reservedNano - account.escrowNano)
}

function viewOf(store: Store, threadId: string): BudgetView {
  const own = readAccount(store, threadId)
  if (own.grantedNano !== null) {
    const { grantedNano, spentNano, reservedNano, escrowNano } = own
    return { grantedNano, spentNano, reservedNano, escrowNano, availableNano: available(own) }
  }
  const row = store
    .statement('SELECT COALESCE(SUM(amount_nano), 0) AS reserved FROM reservations WHERE thread_id = ?')
    .get(threadId)
  return {
    grantedNano: null,
    spentNano: own.ownSpentNano,
    reservedNano: row === undefined ? 0 : integer(row, 'reserved'),
    escrowNano: 0,
    availableNano: own.accountThreadId === null ? null : available(readAccount(store, own.accountThreadId)),
  }
}

function exceeded(
  bindingThreadId: string,
  facts: { readonly forThread: string; readonly amountNano: number; readonly availableNano: number },
): KiwiError {
  return new KiwiError(
    'BUDGET_EXCEEDED',
    `Thread ${facts.forThread} asks for ${dollars(facts.amountNano)}; thread ${bindingThreadId} has ${dollars(facts.availableNano)} left to give.`,
    {
      facts: {
        thread_id: facts.forThread,
        binding_thread_id: bindingThreadId,
        requested_nano: facts.amountNano,
        available_nano: facts.availableNano,
      },
      suggestion: 'Ask for less, or add money to the thread that binds.',
    },
  )
}

function dollars(nano: number): string {
  return `$${(nano / 1e9).toFixed(9).replace(/0{1,7}$/, '')}`
}
