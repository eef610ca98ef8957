import { hash } from 'node:crypto'
import { KiwiError } from '../../kernel/errors.ts'
import type { Json } from '../../json.ts'
import type { BudgetView, Commit, StepMeta, StepOptions, StepOutcome, TurnContext } from '../engine.ts'
import { childrenOf } from '../chains/children.ts'
import { spawnedInTree } from '../ledger/tree-limits.ts'
import type { LiveBus } from '../live-bus.ts'
import { isPending } from '../signals/signals.ts'
import type { Transaction } from '../store/group-commit.ts'
import { runBounded } from './bounded-run.ts'
import type { Journal } from './journal.ts'
import { reveal } from './live-thread.ts'
import type { LiveThread, StepRecord } from './live-thread.ts'

export interface TurnContextOptions {
  readonly live: LiveThread
  readonly journal: Journal
  readonly bus: LiveBus | null
  /** True when no further step of this turn may begin: the host drains, or the thread is being cancelled. */
  readonly stopping: () => boolean
}

/** The context of one turn, and what the turn recorded for its end. */
export interface OpenTurn {
  readonly context: TurnContext
  readonly recorded: readonly Commit[]
}

type StepResult<T> = { readonly value: T; readonly commit?: Commit }
type StepFunction<T> = (meta: StepMeta) => Promise<StepResult<T>>

const UPSERT_STEP = `INSERT INTO steps (thread_id, turn, name, effect, state, attempt, epoch, value_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (thread_id, turn, name) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, epoch = excluded.epoch, value_json = excluded.value_json`

export function createTurnContext(options: TurnContextOptions): OpenTurn {
  const { live, journal, bus } = options
  const turn = live.turn + 1
  const recorded: Commit[] = []
  const names = new Set<string>()
  const runStep = createStepRunner(options, turn)
  let asked = 0

  const context: TurnContext = {
    threadId: live.id,
    turn,
    epoch: live.epoch,
    start: live.start,
    signal: live.controller.signal,
    step(name, stepOptions, run) {
      if (names.has(name))
        return Promise.reject(
          new KiwiError(
            'INTERNAL',
            `Step ${name} stands twice in turn ${turn} of thread ${live.id}; a step's name is unique in its turn.`,
          ),
        )
      names.add(name)
      return runStep(name, stepOptions, run)
    },
    record: (commit) => void recorded.push(commit),
    history: () => live.history,
    emit: (message) => bus?.publish(live.id, message),
    budget: (): BudgetView => journal.ledger.view(live.id),
    children: () => childrenOf(journal.store, live.id),
    spawnedInTree: () => spawnedInTree(journal.store, live.start.rootThreadId),
    hasUnreadMessage: () => isPending(journal.store, live.id, 'inject'),
    now: () => live.turnStartedMs,
    uuid: () => uuidOf(`${live.id}/${turn}/${(asked += 1)}`),
  }
  return { context, recorded }
}

function createStepRunner(
  options: TurnContextOptions,
  turn: number,
): <T extends Json>(name: string, stepOptions: StepOptions, run: StepFunction<T>) => Promise<StepOutcome<T>> {
  const { live, journal } = options

  return async function step<T extends Json>(
    name: string,
    stepOptions: StepOptions,
    run: StepFunction<T>,
  ): Promise<StepOutcome<T>> {
    const found = live.steps.get(name)
    if (found !== undefined) reveal(live, name)
    // The value was written by this very step, so it has the step's type.
    if (found?.state === 'done') return { kind: 'done', value: JSON.parse(found.valueJson ?? 'null') as T, replayed: true }
    // What it was when it began counts (E2): a tool may be declared otherwise since.
    if (found !== undefined && (found.effect === 'once' || stepOptions.effect === 'once')) return { kind: 'unknown' }
    if (options.stopping() || live.broken !== null) throw stopped(live.id)
    const attempt = (found?.attempt ?? 0) + 1
    const intent = begin({ name, stepOptions, attempt })
    // Only what must not happen twice, or costs money, waits for its intent; for the rest the intent travels with the next commit.
    if (stepOptions.effect === 'once' || stepOptions.reserveNano !== undefined) {
      const refused = await intent
      if (refused !== null) return refused
      if (live.controller.signal.aborted) await fail({ name, stepOptions, attempt, cost: 0, error: stopped(live.id) })
    } else intent?.catch(() => undefined)
    const idempotencyKey = `${live.id}/${turn}/${name}`
    const result = await runBounded(
      live.controller.signal,
      { name: idempotencyKey, timeoutMs: stepOptions.timeoutMs },
      (signal) => run({ idempotencyKey, epoch: live.epoch, attempt, signal }),
    ).catch((error: unknown) => fail({ name, stepOptions, attempt, cost: null, error }))
    return finish({ name, stepOptions, attempt, result })
  }

  function begin(at: {
    readonly name: string
    readonly stepOptions: StepOptions
    readonly attempt: number
  }): Promise<null | Extract<StepOutcome<never>, { kind: 'refused' }>> | null {
    const { reserveNano, effect, before } = at.stepOptions
    if (effect !== 'once' && reserveNano === undefined && before === undefined) return null
    return journal.write(live, (transaction, nowIso) => {
      if (reserveNano !== undefined) {
        const reserve = journal.ledger.reserve({ threadId: live.id, turn, step: at.name }, reserveNano)
        if (reserve.kind === 'refused') return reserve
      }
      putStep(transaction, at.name, { effect, state: 'begun', attempt: at.attempt, valueJson: null })
      if (before !== undefined && at.attempt === 1)
        journal.put(live, journal.prepare(live, before, { step: at.name, transaction }), { transaction, nowIso })
      return null
    })
  }

  async function finish<T extends Json>(at: {
    readonly name: string
    readonly stepOptions: StepOptions
    readonly attempt: number
    readonly result: StepResult<T>
  }): Promise<StepOutcome<T>> {
    const { value, commit } = at.result
    const settles = at.stepOptions.reserveNano !== undefined || commit?.settleNano !== undefined
    await journal.write(live, (transaction, nowIso) => {
      putStep(transaction, at.name, {
        effect: at.stepOptions.effect,
        state: 'done',
        attempt: at.attempt,
        valueJson: JSON.stringify(value),
      })
      if (settles) journal.ledger.settle({ threadId: live.id, turn, step: at.name }, commit?.settleNano ?? null)
      if (commit !== undefined)
        journal.put(live, journal.prepare(live, commit, { step: at.name, transaction }), { transaction, nowIso })
    })
    return { kind: 'done', value, replayed: false }
  }

  /** A step that threw: what it reserved counts as spent (`cost` null), because what it did is not known. */
  async function fail(at: {
    readonly name: string
    readonly stepOptions: StepOptions
    readonly attempt: number
    readonly cost: number | null
    readonly error: unknown
  }): Promise<never> {
    const { effect, reserveNano } = at.stepOptions
    if (live.broken === null && (effect === 'once' || reserveNano !== undefined)) {
      await journal.write(live, (transaction, nowIso) => {
        putStep(transaction, at.name, { effect, state: 'failed', attempt: at.attempt, valueJson: null })
        const spentNano = journal.ledger.settle({ threadId: live.id, turn, step: at.name }, at.cost)
        if (spentNano === null || spentNano === 0) return
        const events = [{ type: 'reservation_settled', payload: { step: at.name, cost_nano: spentNano, reason: 'step_failed' } }]
        journal.put(live, journal.prepare(live, { events, usage: { cost_nano: spentNano } }, { step: at.name, transaction }), {
          transaction,
          nowIso,
        })
      })
    }
    throw at.error
  }

  function putStep(transaction: Transaction, name: string, record: StepRecord): void {
    const before = live.steps.get(name)
    live.steps.set(name, record)
    transaction.onRollback(() => (before === undefined ? live.steps.delete(name) : live.steps.set(name, before)))
    journal.store
      .statement(UPSERT_STEP)
      .run(live.id, turn, name, record.effect, record.state, record.attempt, live.epoch, record.valueJson)
  }
}

function stopped(threadId: string): KiwiError {
  return new KiwiError('ABORTED', `Thread ${threadId} is being stopped, so no further step of this turn begins.`)
}

/** A version 8 UUID (RFC 9562) whose bits are the hash of where it was asked for. */
function uuidOf(place: string): string {
  const hex = hash('sha256', place)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
