import type { ToolCall, TurnBlock } from '../../base/conversation.ts'
import { canonicalJson, hash } from '../limits/loops.ts'
import { contextOf, warnOfContext } from '../limits/watch-context.ts'
import { textOf } from '../model/model-charge.ts'
import { answerCommit } from '../tools/call-events.ts'
import type { AnswerInput } from '../turn/answer-input.ts'
import { note } from '../turn/messages.ts'
import type { Scene, TurnEnd } from '../turn/scene.ts'
import type { SafetyData } from '../turn/state.ts'
import { endWith, turnEnd } from '../turn/turn-draft.ts'
import { successorOf } from './successor.ts'

const ASK_TIMEOUT_MS = 60_000

const REQUEST = [
  'The context of this thread is nearly full, so another thread goes on with the work. It gets the same directive and the same request, and',
  'of what you know only what you write now; it sees none of this conversation. Answer with one text, without calling a tool, that says:',
  'what is done; what was found, with the facts and numbers themselves; what was decided and why; what people asked for on the way; what is',
  'left to do, in order; and the names of the files and threads that matter. Be complete and short.',
].join(' ')
const NO_TOOLS =
  'This call was not run: the work is being handed on. Answer with the summary for the next thread, as a text, and call nothing.'
const CUT = '\n\n[The summary was cut here: it reached the output limit of one call.]'

/** Whether the turn that begins hands the work on. */
export function isHandingOn({ handoff }: SafetyData): boolean {
  return handoff === 'due' || handoff === 'asked' || handoff === 'again'
}

/** Asks for the summary, once; what people have said until now stands before it. */
export async function askForSummary({ ctx, prepared, data }: Scene): Promise<SafetyData> {
  if (data.handoff !== 'due') return data
  const context = contextOf(prepared, data)
  const use = context.kind === 'free' ? {} : { ...context.use }
  await ctx.step('handoff', { effect: 'pure', timeoutMs: ASK_TIMEOUT_MS }, async () => ({
    value: null,
    commit: { messages: [note(REQUEST)], events: [{ type: 'handoff', payload: { action: 'asked', ...use } }] },
  }))
  return { ...data, handoff: 'asked' }
}

/**
 * What the answer to that comes to: the thread ends and its successor begins with the text, or it goes on under the plain rules. A model that
 * calls tools instead is told once more.
 */
export async function concludeHandoff(
  input: AnswerInput,
  data: SafetyData,
  answer: { readonly blocks: readonly TurnBlock[]; readonly calls: readonly ToolCall[] },
): Promise<TurnEnd> {
  const { services, ctx, prepared } = input
  const { stop, incomplete } = input.answer
  const { calls } = answer
  if (calls.length === 0 && stop === 'context_exceeded') {
    ctx.record({ events: [turnEnd(data)] })
    return endWith(ctx, data, 'context_exceeded', { message: 'The provider says that the context is full.' })
  }
  await refuseAll(input, calls)
  const broken = calls.length > 0 || stop === 'refusal' || incomplete?.code === 'STREAM_INCOMPLETE'
  const text = broken ? '' : textOf(answer).trim()
  if (text !== '') {
    const summary = stop === 'max_tokens' || incomplete !== null ? `${text}${CUT}` : text
    return handOn({ services, ctx, prepared, data }, summary)
  }
  if (calls.length > 0 && data.handoff === 'asked') {
    ctx.record({ events: [turnEnd(data)] })
    return { data: { ...data, handoff: 'again' }, next: { do: 'turn' } }
  }
  const reason = calls.length > 0 ? 'The model called tools instead.' : 'The model gave no summary.'
  return giveUp({ services, ctx, prepared, data }, reason)
}

/** The work stays where it is, and a full context is its end. */
export function giveUp({ ctx, prepared, data }: Scene, reason: string): TurnEnd {
  ctx.record({ events: [turnEnd(data), { type: 'handoff', payload: { action: 'given_up', reason } }] })
  const off: SafetyData = { ...data, handoff: 'off', contextWarned: false }
  return { data: warnOfContext(ctx, prepared, off), next: { do: 'turn' } }
}

/** A message that comes from now on goes to the successor: the engine hands it on with the rest. */
function handOn(scene: Scene, summary: string): TurnEnd {
  const { ctx, data } = scene
  const successor = successorOf(scene, summary)
  const { threadId } = successor
  ctx.record({
    events: [
      turnEnd(data),
      { type: 'handoff', payload: { action: 'done', handed_to: threadId, handoffs: data.handoffs + 1 } },
      { type: 'completed', payload: { turn_count: data.spent.turns } },
    ],
  })
  const result = { text: summary, handed_to: threadId }
  return { data, next: { do: 'done', status: 'completed', endReason: 'done', result, successor } }
}

/** Each gets the one answer that it must have; none runs and none counts. */
async function refuseAll({ requests, ctx }: AnswerInput, calls: readonly ToolCall[]): Promise<void> {
  for (const call of calls) {
    const { item } = await requests.prepare(call)
    const called = { tool: item, args_hash: hash(canonicalJson(call.arguments)), call_id: call.id }
    const { messages = [], events = [] } = answerCommit(ctx, { id: call.id, tool: item }, NO_TOOLS, true)
    ctx.record({ messages, events: [{ type: 'tool_call', payload: called }, ...events] })
  }
}
