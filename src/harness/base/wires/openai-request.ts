import type { Json, JsonObject } from '../../../json.ts'
import { groupExchanges } from './exchanges.ts'
import type { AssistantMessage } from './exchanges.ts'
import { acceptableId, assertToolNames } from './tool-names.ts'
import { asObject } from './untrusted-json.ts'
import type { ModelRequest } from './wire.ts'

/** Body fields of a Chat Completions request. Prompt caching is automatic there, so nothing is marked. */
export function buildOpenaiParameters(request: ModelRequest): JsonObject {
  assertToolNames(request.tools)
  const messages: Json[] = request.system === '' ? [] : [{ role: 'system', content: request.system }]
  for (const { assistant, answers, texts } of groupExchanges(request.messages, isEmpty)) {
    if (assistant !== null) messages.push(assistantMessage(assistant))
    const replayed = assistant?.wire === 'openai_chat'
    for (const { call, content } of answers) {
      messages.push({ role: 'tool', tool_call_id: replayed ? call.id : acceptableId(call.id), content })
    }
    // One message for consecutive texts: some chat templates refuse two user messages in a row.
    if (texts.length > 0) messages.push({ role: 'user', content: texts.length === 1 ? (texts[0] ?? '') : texts.join('\n\n') })
  }
  return {
    model: request.model,
    messages,
    ...(request.tools.length > 0 ? { tools: request.tools.map(functionTool) } : {}),
    max_completion_tokens: request.maxOutputTokens,
    stream_options: { include_usage: true },
  }
}

function functionTool({ name, description, input_schema }: ModelRequest['tools'][number]): JsonObject {
  return { type: 'function', function: { name, description, parameters: input_schema } }
}

function isEmpty(assistant: AssistantMessage): boolean {
  return !assistant.blocks.some((block) => block.type === 'tool_call' || (block.type === 'text' && block.text !== ''))
}

/** `raw` goes back as it came; what another wire produced is rewritten from its blocks, without reasoning. */
function assistantMessage(assistant: AssistantMessage): JsonObject {
  const raw = assistant.wire === 'openai_chat' ? asObject(assistant.raw) : null
  if (raw !== null) return raw
  const calls = assistant.blocks.flatMap((block) => (block.type === 'tool_call' ? [block.call] : []))
  const text = assistant.blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('')
  if (calls.length === 0) return { role: 'assistant', content: text }
  const toolCalls = calls.map(({ id, name, arguments: input }) => ({
    id: acceptableId(id),
    type: 'function',
    function: { name: acceptableId(name), arguments: JSON.stringify(input) },
  }))
  return { role: 'assistant', content: text === '' ? null : text, tool_calls: toolCalls }
}
