import type { Message, ToolCall } from '../conversation.ts'

export type AssistantMessage = Extract<Message, { role: 'assistant' }>

/** The one answer that a call gets. */
export interface Answer {
  readonly call: ToolCall
  readonly content: string
  readonly isError: boolean
}

/** An assistant message (none at the beginning) with everything the other side said until the next one. */
export interface Exchange {
  readonly assistant: AssistantMessage | null
  /** One for each call of the assistant message, in call order. */
  readonly answers: readonly Answer[]
  /** User messages and marked system notes, in order. */
  readonly texts: readonly string[]
}

const UNKNOWN_OUTCOME =
  'No result of this call was recorded: its outcome is unknown. Check whether it took effect before you repeat it.'

/**
 * Groups a conversation the way both providers want it: every call is answered exactly once, in call order, before any other text;
 * a call without a result gets an error that says so. Results of no call, second results of one call, and assistant messages
 * that `isEmpty` are left out: a provider refuses the whole request for any of them.
 */
export function groupExchanges(
  messages: readonly Message[],
  isEmpty: (assistant: AssistantMessage) => boolean,
): readonly Exchange[] {
  const exchanges: Exchange[] = []
  let assistant: AssistantMessage | null = null
  let results = new Map<string, Message & { role: 'tool_result' }>()
  let texts: string[] = []
  const flush = (): void => {
    if (assistant !== null || texts.length > 0) exchanges.push({ assistant, answers: answersOf(assistant, results), texts })
  }
  for (const message of messages) {
    switch (message.role) {
      case 'assistant':
        if (isEmpty(message)) break
        flush()
        assistant = message
        results = new Map()
        texts = []
        break
      case 'tool_result':
        if (!results.has(message.call_id)) results.set(message.call_id, message)
        break
      case 'user':
        if (message.content !== '') texts.push(message.content)
        break
      case 'system_note':
        texts.push(`<system_note>\n${message.content}\n</system_note>`)
        break
    }
  }
  flush()
  return exchanges
}

function answersOf(
  assistant: AssistantMessage | null,
  results: ReadonlyMap<string, { content: string; is_error: boolean }>,
): readonly Answer[] {
  const answers: Answer[] = []
  for (const block of assistant?.blocks ?? []) {
    if (block.type !== 'tool_call') continue
    const result = results.get(block.call.id)
    answers.push({ call: block.call, content: result?.content ?? UNKNOWN_OUTCOME, isError: result?.is_error ?? true })
  }
  return answers
}
