import type { StoredMessage } from '../../../threads/engine.ts'
import type { ToolSpec } from '../../base/conversation.ts'
import { inputBound } from '../limits/budget.ts'
import { messageOf } from '../turn/messages.ts'
import type { Measured } from '../turn/state.ts'

/** The most input tokens that the next request of this conversation can be billed for; see `inputBound`. */
export function requestBound(request: {
  readonly measured: Measured | null
  readonly history: readonly StoredMessage[]
  readonly system: string
  readonly tools: readonly ToolSpec[]
}): number {
  const { measured, history } = request
  let bytes = 0
  let messages = 0
  let answerBytes = 0
  // Backwards, so that a long conversation costs no more than what was added to it.
  for (let index = history.length - 1; index >= 0; index -= 1) {
    const entry = history[index]
    if (entry === undefined || (measured !== null && entry.seq < measured.seq)) break
    if (measured !== null && entry.seq === measured.seq) answerBytes = sizeOf(entry)
    else {
      bytes += sizeOf(entry)
      messages += 1
    }
  }
  if (measured === null) bytes += Buffer.byteLength(request.system) + Buffer.byteLength(JSON.stringify(request.tools))
  return inputBound(measured, { bytes, messages, answerBytes })
}

/** Bytes of a message as it goes to the provider, JSON escapes included. */
function sizeOf(entry: StoredMessage): number {
  const message = messageOf(entry)
  if (message.role !== 'assistant') return Buffer.byteLength(JSON.stringify(message.content))
  return Buffer.byteLength(JSON.stringify(message.raw))
}
