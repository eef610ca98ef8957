import type { JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { Next, Runner, ThreadState } from '../../threads/engine.ts'
import { isEndReason } from '../../threads/status.ts'

/**
 * The same harness, whose bugs are told by its name: what it throws, and an answer that is none, end the thread as `internal`. A thread
 * whose `init` throws has no state; it ends in its first turn, so that it does not stay behind without one.
 */
export function namedFailures(runner: Runner): Runner {
  const failed = (when: string, error: unknown): KiwiError => failure(runner.name, when, error)
  return {
    ...runner,
    init(start) {
      try {
        return assertState(runner.init(start))
      } catch (error) {
        return { v: 1, turn: 0, paused: false, data: { [INIT_ERROR]: failed('in init', error).message } }
      }
    },
    async runTurn(ctx, state) {
      const broken = state.data[INIT_ERROR]
      if (typeof broken === 'string') throw new KiwiError('INTERNAL', broken, { suggestion: SUGGESTION })
      try {
        return assertTurn(await runner.runTurn(ctx, state))
      } catch (error) {
        throw failed(`in turn ${ctx.turn}`, error)
      }
    },
    receive(state, signal, threadId) {
      try {
        const received = runner.receive(state, signal, threadId)
        assertState(received.state)
        return received
      } catch (error) {
        throw failed(`as it received the signal ${signal.kind}`, error)
      }
    },
  }
}

const INIT_ERROR = 'init_error'
const SUGGESTION = 'Correct the harness, sign it again and retry the thread.'

/** What the engine threw through the harness, such as an abort, is not the harness's. */
function failure(name: string, when: string, error: unknown): KiwiError {
  if (error instanceof KiwiError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new KiwiError('INTERNAL', `The harness ${name} failed ${when}: ${message}`, {
    suggestion: SUGGESTION,
    facts: { harness: name },
    error,
  })
}

/** The answer of foreign code: its type says what it should be. */
function assertTurn(answer: readonly [ThreadState, Next]): readonly [ThreadState, Next] {
  if (!Array.isArray(answer) || answer.length !== 2) throw new TypeError('runTurn must resolve with [state, next].')
  assertState(answer[0])
  assertNext(answer[1])
  return answer
}

function assertState(state: ThreadState): ThreadState {
  if (!isRecord(state) || !isRecord(state.data))
    throw new TypeError('A state must be {v: 1, turn, paused, data} with an object as data.')
  return state
}

function assertNext(next: Next): void {
  const given: unknown = next
  const known: readonly unknown[] = ['turn', 'wait', 'done']
  if (!isRecord(given) || !known.includes(given['do'])) throw new TypeError('next.do must be turn, wait or done.')
  if (next.do === 'done' && !isEndReason(next.endReason))
    throw new TypeError(`next.endReason ${JSON.stringify(next.endReason)} is none.`)
  if (next.do === 'done' && next.successor !== undefined)
    throw new TypeError('next.successor is for the safety harness; a harness of your own goes on in its own thread.')
}

function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
