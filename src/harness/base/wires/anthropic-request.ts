import type { Json, JsonObject } from '../../../json.ts'
import type { TurnBlock } from '../conversation.ts'
import { groupExchanges } from './exchanges.ts'
import type { AssistantMessage, Exchange } from './exchanges.ts'
import { acceptableId, assertToolNames } from './tool-names.ts'
import { asArray } from './untrusted-json.ts'
import type { ModelRequest } from './wire.ts'

const CACHE_MARK: JsonObject = { type: 'ephemeral' }

/**
 * Body fields of an Anthropic Messages request.
 *
 * Cache marks (at most three of the four allowed): the end of what never changes (tools and system), the end of the previous
 * request, and the end of this one. The middle one matters because the provider looks back only 20 blocks from a mark, and one
 * turn with many parallel calls is longer than that.
 */
export function buildAnthropicParameters(request: ModelRequest): JsonObject {
  assertToolNames(request.tools)
  const tools: Json[] = request.tools.map(({ name, description, input_schema }) => ({ name, description, input_schema }))
  const parameters: Record<string, Json> = {
    model: request.model,
    max_tokens: request.maxOutputTokens,
    messages: buildMessages(request),
  }
  if (request.system !== '') parameters['system'] = [marked({ type: 'text', text: request.system })]
  else if (tools.length > 0) tools[tools.length - 1] = marked({ ...lastObject(tools) })
  if (tools.length > 0) parameters['tools'] = tools
  return parameters
}

function buildMessages({ messages }: ModelRequest): Json {
  const contents = new Map<AssistantMessage, readonly Json[]>()
  const contentOf = (assistant: AssistantMessage): readonly Json[] => {
    const known = contents.get(assistant)
    if (known !== undefined) return known
    const content = assistantContent(assistant)
    contents.set(assistant, content)
    return content
  }
  const built: Json[] = []
  const userContents: Json[][] = []
  for (const exchange of groupExchanges(messages, (assistant) => contentOf(assistant).length === 0)) {
    if (exchange.assistant !== null) built.push({ role: 'assistant', content: contentOf(exchange.assistant) })
    const content = userContent(exchange)
    if (content.length === 0) continue
    userContents.push(content)
    built.push({ role: 'user', content })
  }
  for (const content of userContents.slice(-2)) markLast(content)
  return built
}

function userContent({ assistant, answers, texts }: Exchange): Json[] {
  const content: Json[] = []
  const replayed = assistant?.wire === 'anthropic_messages'
  for (const { call, content: result, isError } of answers) {
    const block = { type: 'tool_result', tool_use_id: replayed ? call.id : acceptableId(call.id), content: result }
    content.push(isError ? { ...block, is_error: true } : block)
  }
  for (const text of texts) content.push({ type: 'text', text })
  return content
}

/** `raw` goes back as it came. What another wire produced is rewritten from its blocks, without reasoning: nobody signed it. */
function assistantContent(assistant: AssistantMessage): readonly Json[] {
  if (assistant.wire === 'anthropic_messages') return asArray(assistant.raw)
  return assistant.blocks.flatMap(convertBlock)
}

function convertBlock(block: TurnBlock): readonly Json[] {
  switch (block.type) {
    case 'text':
      return block.text === '' ? [] : [{ type: 'text', text: block.text }]
    case 'reasoning':
      return []
    case 'tool_call':
      return [
        { type: 'tool_use', id: acceptableId(block.call.id), name: acceptableId(block.call.name), input: block.call.arguments },
      ]
  }
}

/** Marks the last block that has content: a mark on an empty block is refused by the provider. */
function markLast(content: Json[]): void {
  for (let at = content.length - 1; at >= 0; at -= 1) {
    const block = content[at]
    if (typeof block !== 'object' || block === null || Array.isArray(block)) continue
    // Blocks of a user message are built above and are objects.
    const object = block as JsonObject
    if (object['content'] === '' || object['text'] === '') continue
    content[at] = marked(object)
    return
  }
}

function marked(block: JsonObject): JsonObject {
  return { ...block, cache_control: CACHE_MARK }
}

function lastObject(values: readonly Json[]): JsonObject {
  // Only called with the tool objects built above.
  return values[values.length - 1] as JsonObject
}
