import { hash } from 'node:crypto'
import type { Json, JsonObject } from '../json.ts'
import { asText, contentText, isObject, seenCall } from './conversation.ts'
import type { Conversation, SeenCall, SeenResult } from './conversation.ts'
import { checkToolName, demand, listAt, objectAt, onlyKnownFields, textAt } from './request-problem.ts'

const FIELDS: ReadonlySet<string> = new Set([
  'model',
  'max_tokens',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'stream',
  'metadata',
  'thinking',
  'service_tier',
  'output_config',
  'cache_control',
])

/**
 * Checks a Messages request as the real API does (roles, content, each `tool_use` answered once in the next user message, tool results
 * first, thinking unchanged, at most four cache marks) and gives the scenario's view of it.
 *
 * @throws {RequestProblem}
 */
export function readAnthropicRequest(body: JsonObject): Conversation {
  onlyKnownFields(body, FIELDS, (field) => `${field}: Extra inputs are not permitted`)
  const model = textAt(body['model'], 'model')
  const maxTokens = body['max_tokens']
  demand(
    typeof maxTokens === 'number' && Number.isInteger(maxTokens) && maxTokens >= 1,
    'max_tokens: Input should be greater than or equal to 1',
  )
  const tools = (body['tools'] === undefined ? [] : listAt(body['tools'], 'tools')).map((tool, at) =>
    checkTool(tool, `tools.${at}`),
  )
  demand(new Set(tools).size === tools.length, 'tools: Tool names must be unique.')
  const messages = listAt(body['messages'], 'messages').map((message, at) => objectAt(message, `messages.${at}`))
  demand(messages.length > 0, 'messages: at least one message is required')
  demand(messages[0]?.['role'] === 'user', 'messages: first message must use the "user" role')
  const results = checkMessages(messages)
  demand(countMarks(body) <= 4, 'A maximum of 4 blocks with cache_control may be provided.')
  const userTexts = messages
    .filter((message) => message['role'] === 'user')
    .map((message) => contentText(message['content']))
    .filter((text) => text !== '')
  return {
    wire: 'anthropic_messages',
    model,
    system: contentText(body['system']),
    turn: messages.filter((message) => message['role'] === 'assistant').length + 1,
    messageCount: messages.length,
    firstUserText: userTexts[0] ?? '',
    lastUserText: userTexts.at(-1) ?? '',
    tools,
    results,
    maxTokens,
    stream: body['stream'] === true,
  }
}

/** The signature that this model puts on its thinking; a changed thought no longer matches it. */
export function thinkingSignature(thinking: string): string {
  return hash('sha256', `scripted-model:${thinking}`, 'base64')
}

function checkTool(value: Json, place: string): string {
  const tool = objectAt(value, place)
  if (typeof tool['type'] === 'string' && tool['type'] !== 'custom') return textAt(tool['name'], `${place}.name`)
  demand(
    objectAt(tool['input_schema'], `${place}.input_schema`)['type'] === 'object',
    `${place}.input_schema.type: Input should be 'object'`,
  )
  return checkToolName(tool['name'], `${place}.name`)
}

function checkMessages(messages: readonly JsonObject[]): readonly SeenResult[] {
  const results: SeenResult[] = []
  let open = new Map<string, SeenCall>()
  let openAt = 0
  for (const [at, message] of messages.entries()) {
    const place = `messages.${at}`
    const role = message['role']
    demand(
      role === 'user' || role === 'assistant',
      `${place}.role: Input should be 'user' or 'assistant'; the system prompt is the top-level \`system\``,
    )
    const blocks = contentBlocks(message['content'], place, role === 'assistant' && at === messages.length - 1)
    if (role === 'user') {
      results.push(...takeResults(blocks, open, place))
      const missing = [...open.keys()]
      demand(
        missing.length === 0,
        `messages.${openAt}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${missing.join(', ')}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`,
      )
    } else {
      demand(
        open.size === 0,
        `${place}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${[...open.keys()].join(', ')}.`,
      )
      open = checkAssistant(blocks, place)
      openAt = at
    }
  }
  demand(
    open.size === 0,
    `messages.${openAt}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${[...open.keys()].join(', ')}.`,
  )
  return results
}

function contentBlocks(content: Json | undefined, place: string, mayBeEmpty: boolean): readonly JsonObject[] {
  if (typeof content === 'string') {
    demand(
      content !== '' || mayBeEmpty,
      `${place}: all messages must have non-empty content except for the optional final assistant message`,
    )
    return [{ type: 'text', text: content }]
  }
  const blocks = listAt(content, `${place}.content`).map((block, at) => objectAt(block, `${place}.content.${at}`))
  demand(
    blocks.length > 0 || mayBeEmpty,
    `${place}: all messages must have non-empty content except for the optional final assistant message`,
  )
  for (const [at, block] of blocks.entries()) checkBlock(block, `${place}.content.${at}`)
  return blocks
}

function checkBlock(block: JsonObject, place: string): void {
  const type = textAt(block['type'], `${place}.type`)
  if (type !== 'text') return
  demand(typeof block['text'] === 'string', `${place}.text.text: Field required`)
  demand(block['text'] !== '', `${place}: text content blocks must be non-empty`)
}

function checkAssistant(blocks: readonly JsonObject[], place: string): Map<string, SeenCall> {
  const calls = new Map<string, SeenCall>()
  for (const [at, block] of blocks.entries()) {
    const here = `${place}.content.${at}`
    demand(block['type'] !== 'tool_result', `${here}: \`tool_result\` blocks can only be in \`user\` messages`)
    if (block['type'] === 'thinking') {
      const signed = block['signature'] === thinkingSignature(asText(block['thinking']))
      demand(signed, `${here}: Invalid \`signature\` in \`thinking\` block`)
    }
    if (block['type'] !== 'tool_use') continue
    const id = textAt(block['id'], `${here}.tool_use.id`)
    demand(/^[a-zA-Z0-9_-]+$/.test(id), `${here}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`)
    demand(!calls.has(id), `${place}: \`tool_use\` ids must be unique`)
    const input = objectAt(block['input'], `${here}.tool_use.input`)
    calls.set(id, seenCall(checkToolName(block['name'], `${here}.tool_use.name`), input))
  }
  return calls
}

/** Takes the results of one user message out of `open`. */
function takeResults(blocks: readonly JsonObject[], open: Map<string, SeenCall>, place: string): readonly SeenResult[] {
  const results: SeenResult[] = []
  let textSeen = false
  for (const [at, block] of blocks.entries()) {
    const here = `${place}.content.${at}`
    demand(block['type'] !== 'tool_use', `${here}: \`tool_use\` blocks can only be in \`assistant\` messages`)
    if (block['type'] !== 'tool_result') {
      textSeen = true
      continue
    }
    const callId = textAt(block['tool_use_id'], `${here}.tool_result.tool_use_id`)
    const call = open.get(callId)
    demand(
      call !== undefined,
      `${here}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${callId}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`,
    )
    demand(!textSeen, `${here}: \`tool_result\` blocks must come before other content in the message that follows \`tool_use\``)
    open.delete(callId)
    results.push({ callId, ...call, content: contentText(block['content']), isError: block['is_error'] === true })
  }
  return results
}

function countMarks(value: Json): number {
  if (Array.isArray(value)) return value.reduce((sum: number, child: Json) => sum + countMarks(child), 0)
  if (!isObject(value)) return 0
  // Tool inputs and schemas are data; marks stand on tools, system blocks, messages' blocks.
  return Object.entries(value).reduce((sum, [key, child]) => {
    if (key === 'cache_control') return child === null ? sum : sum + 1
    return key === 'input' || key === 'input_schema' ? sum : sum + countMarks(child)
  }, 0)
}
