import type { ApprovalAnswer, NewApproval } from '../../src/threads/approvals/approval.ts'
import { createThreadsClient } from '../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../src/threads/clock.ts'
import type { Clock } from '../../src/threads/clock.ts'
import type { ApprovalChange } from '../../src/threads/approvals/approval.ts'
import type { Runner } from '../../src/threads/engine.ts'
import type { Store } from '../../src/threads/store/open-store.ts'
import type { ThreadEventRow, ThreadsClient } from '../../src/threads/threads-client.ts'
import { DONE, runner } from './fixture.ts'

/** A time that the test moves. */
export interface SetClock extends Clock {
  nowMs: number
}

export function setClock(nowMs = Date.UTC(2026, 0, 1)): SetClock {
  const clock: SetClock = { nowMs, now: () => clock.nowMs }
  return clock
}

function question(approvalId: string, change: Partial<NewApproval> = {}): NewApproval {
  return {
    approvalId,
    kind: 'tool',
    title: 'Delete build/',
    subject: { tool: 'delete_folder' },
    expiresAtMs: Date.UTC(2100, 0, 1),
    ...change,
  }
}

export function ask(approvalId: string, change: Partial<NewApproval> = {}): ApprovalChange {
  return { do: 'request', approval: question(approvalId, change) }
}

/** Asks `q_<thread id>`, waits for the answer, and is done. */
export function asking(change: Partial<NewApproval> = {}): Runner {
  return runner(
    async (context, state) => {
      if (state.data['answered'] === true) return [state, DONE]
      context.record({ approvals: [ask(`q_${context.threadId}`, change)] })
      return [state, { do: 'wait', reason: 'approval' }]
    },
    { receive: (state, { kind }) => ({ state: kind === 'approval' ? { ...state, data: { answered: true } } : state }) },
  )
}

export function answer(change: Partial<ApprovalAnswer> = {}): ApprovalAnswer {
  return { decision: 'approve_once', reason: 'Looks right.', by: { kind: 'operator', door: 'cli' }, facts: {}, ...change }
}

/** A client on this registry whose threads nobody runs. */
export function clientOn(store: Store, options: { readonly clock?: Clock; readonly woken?: string[] } = {}): ThreadsClient {
  return createThreadsClient({
    projectPath: '/nowhere',
    store,
    ownsStore: false,
    clock: options.clock ?? systemClock,
    wake: async (threadId) => void options.woken?.push(threadId),
    watchLive: async () => undefined,
  })
}

/** Type and payload of the thread's events but `status`. */
export function told(client: ThreadsClient, threadId: string): readonly Pick<ThreadEventRow, 'event_type' | 'payload'>[] {
  return client
    .events(threadId)
    .filter(({ event_type: type }) => type !== 'status')
    .map(({ event_type, payload }) => ({ event_type, payload }))
}
