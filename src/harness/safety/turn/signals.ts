import type { Json, JsonObject } from '../../../json.ts'
import type { Commit, NewEvent, Receive, Signal, ThreadState } from '../../../threads/engine.ts'
import type { Message } from '../../base/conversation.ts'
import type { Answer } from '../interruptions/contract.ts'
import { stored } from './messages.ts'
import { nanoFromUsd } from '../model/prices.ts'
import type { Added } from './state.ts'
import { dataOf, stopClock, withData } from './state.ts'

/**
 * What a signal does to a thread of this harness. Pure: inject, pause and resume take effect at the next turn boundary, where the
 * engine applies them in the order they were sent. What others wait for (`child_done`, timers) is looked up when the turn runs.
 */
export const receive: Receive = (state, signal) => {
  switch (signal.kind) {
    case 'inject':
      return withCommit(state, saidBy(signal))
    case 'pause':
      return withCommit(withData({ ...state, paused: true }, { clock: stopClock(dataOf(state).clock) }), saidBy(signal))
    case 'resume':
    case 'budget':
      return resumed(state, signal)
    case 'approval':
      return answered(state, signal)
    case 'sink':
      return { state: withData(state, { sinks: [...dataOf(state).sinks, objectOf(signal.body['destination'])] }) }
    case 'cancel':
      return { state: withData(state, { cancelled: true }) }
    case 'child_done':
    case 'child_waiting':
    case 'timer':
      return { state }
  }
}

/** What somebody says to the model with a signal, as a message and its event; null for a signal that says nothing. */
export function saidBy({ kind, body }: Signal): Commit | null {
  const message = textOf(body['message'])
  if (kind === 'inject') return injected(textOf(body['content']) ?? message, body['role'])
  if (kind === 'pause') return injected(message, 'user')
  return kind === 'resume' || kind === 'budget' ? injected(textOf(body['inject_message']) ?? message, 'user') : null
}

function resumed(state: ThreadState, signal: Signal): ReturnType<Receive> {
  const data = dataOf(state)
  const next = withData(state, {
    added: addedBy(data.added, signal.body),
    warned: grew(signal.body) ? [] : data.warned,
    fruitless: 0,
  })
  const paused = signal.kind === 'resume' ? false : state.paused
  const withdrawn = withdrawnBy(state, signal)
  const message = saidBy(signal)
  const unanswered = unansweredBy(state, signal)
  const approvals = [...(withdrawn === null ? [] : [withdrawn]), ...unanswered.map(({ approvalId }) => approvalId)]
  if (approvals.length === 0) return withCommit({ ...next, paused }, message)
  const answers = { ...data.answers, ...Object.fromEntries(unanswered.map((answer) => [answer.approvalId, answer])) }
  return {
    state: { ...withData(next, { answers, ...(withdrawn === null ? {} : { pending: null }) }), paused },
    commit: { ...message, approvals: approvals.map((approvalId) => ({ do: 'close', approvalId, as: 'cancelled' })) },
  }
}

/** Calls that wait for an answer: who lets the thread go on without one has not agreed to them. */
function unansweredBy(state: ThreadState, signal: Signal): readonly Answer[] {
  if (signal.kind !== 'resume' || state.paused) return []
  const { parked, answers } = dataOf(state)
  return parked.flatMap((call): readonly Answer[] =>
    'approvalId' in call && !Object.hasOwn(answers, call.approvalId)
      ? [{ approvalId: call.approvalId, decision: 'deny', reason: 'The thread was resumed without an answer.', facts: {} }]
      : [],
  )
}

/**
 * The question that has lost its object: who resumes a thread, or raises the limit that it lacks, has answered without it. One that was
 * answered before stays, and its answer with it.
 */
function withdrawnBy(state: ThreadState, signal: Signal): string | null {
  const { pending, answers } = dataOf(state)
  // A resume that ends a pause leaves the wait below it as it is.
  if (pending?.kind !== 'question' || (signal.kind === 'resume' && state.paused)) return null
  if (Object.hasOwn(answers, pending.approvalId)) return null
  return signal.kind === 'resume' || pending.question.kind === 'budget' ? pending.approvalId : null
}

/** The answer is kept until the turn that waits for it; what it adds to the limits counts from now on. */
function answered(state: ThreadState, { body }: Signal): ReturnType<Receive> {
  const data = dataOf(state)
  const { approval_id: approvalId, decision, reason, kind: _kind, by: _by, ...facts } = body
  if (typeof approvalId !== 'string') return { state }
  const approved = decision === 'approve_once' || decision === 'approve_thread'
  const answer = { approvalId, decision: approved ? decision : 'deny', reason: textOf(reason) ?? '', facts } as const
  return {
    state: withData(state, {
      answers: { ...data.answers, [approvalId]: answer },
      ...(approved ? { added: addedBy(data.added, body), warned: grew(body) ? [] : data.warned } : {}),
    }),
  }
}

function withCommit(state: ThreadState, commit: Commit | null): ReturnType<Receive> {
  return commit === null ? { state } : { state, commit }
}

/** An injected message and its event; a `system` one is marked for the model as coming from the operator's side, not the user's. */
function injected(content: string | null, role: Json | undefined): Commit | null {
  if (content === null) return null
  const system = role === 'system'
  const message: Message = system ? { role: 'system_note', content } : { role: 'user', content }
  const event: NewEvent = {
    type: 'injected_message',
    payload: { role: system ? 'system' : 'user' },
    message: 0,
    transcript: { content },
  }
  return { messages: [stored(message)], events: [event] }
}

function addedBy(added: Added, body: JsonObject): Added {
  return {
    turns: added.turns + amount(body['add_turns']),
    tokens: added.tokens + amount(body['add_tokens']),
    toolCalls: added.toolCalls + amount(body['add_tool_calls']),
    seconds: added.seconds + amount(body['add_seconds']),
    nano: added.nano + (amount(body['add_usd_nano']) || nanoFromUsd(amount(body['add_usd']))),
  }
}

function grew(body: JsonObject): boolean {
  return ['add_turns', 'add_tokens', 'add_tool_calls', 'add_seconds', 'add_usd', 'add_usd_nano'].some(
    (name) => amount(body[name]) > 0,
  )
}

/** A limit is only ever raised: what is not a positive finite number adds nothing, so a bad signal cannot wedge the thread. */
function amount(value: Json | undefined): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0
}

function objectOf(value: Json | undefined): JsonObject {
  // Neither null nor an array: what is left of Json is an object.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
