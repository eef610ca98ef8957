import type { JsonObject } from '../../../json.ts'
import type { Commit, NewEvent, TurnContext } from '../../../threads/engine.ts'
import { canonicalJson, hash } from '../limits/loops.ts'
import { stored, summarise, toolResult } from '../turn/messages.ts'
import { checkpointName } from './tool-request.ts'
import type { PreparedCall, RunnableCall } from './tool-request.ts'

/** The message and the event of a result, for calls of this turn and for parked ones of an earlier turn. */
export function answerCommit(
  ctx: TurnContext,
  call: { readonly id: string; readonly tool: string },
  text: string,
  isError: boolean,
): Commit {
  const message = toolResult({ ...call, threadId: ctx.threadId }, text, isError)
  const event: NewEvent = {
    type: 'tool_result',
    payload: { tool: call.tool, success: !isError, summary: summarise(text), call_id: call.id },
    message: 0,
  }
  return { messages: [stored(message)], events: [event] }
}

/** A call begins, where somebody had to agree to it by that approval. */
export function callEvent(call: PreparedCall, approvalId?: string): NewEvent {
  const parameters: JsonObject = call.kind === 'runnable' ? call.parameters : call.call.arguments
  const approved = approvalId === undefined ? {} : { approval_id: approvalId }
  return {
    type: 'tool_call',
    payload: { tool: call.item, args_hash: hash(canonicalJson(parameters)), call_id: call.call.id, ...approved },
  }
}

/** What is written down of a help signal, besides its answer. */
export function helpEvents({ helpSignal }: RunnableCall): readonly NewEvent[] {
  if (helpSignal === null) return []
  const { action, reason } = helpSignal
  return action === 'checkpoint'
    ? [{ type: 'checkpoint', payload: { name: checkpointName(reason), note: reason } }]
    : [{ type: 'status', payload: { help: action, reason } }]
}
