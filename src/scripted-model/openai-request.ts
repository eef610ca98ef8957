import type { Json, JsonObject } from '../json.ts'
import { asText, contentText, seenCall } from './conversation.ts'
import type { Conversation, SeenCall, SeenResult } from './conversation.ts'
import { checkToolName, demand, listAt, objectAt, onlyKnownFields, textAt } from './request-problem.ts'

const FIELDS: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'max_completion_tokens',
  'max_tokens',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'temperature',
  'top_p',
  'stop',
  'stream',
  'stream_options',
  'response_format',
  'reasoning_effort',
  'verbosity',
  'seed',
  'user',
  'metadata',
  'n',
  'store',
  'service_tier',
  'frequency_penalty',
  'presence_penalty',
  'logprobs',
  'prompt_cache_key',
  'safety_identifier',
])

/**
 * Checks a Chat Completions request as the real API does (roles, each tool call answered by a tool message right after it, argument
 * text, one output limit) and gives the scenario's view of it.
 *
 * @throws {RequestProblem}
 */
export function readOpenaiRequest(body: JsonObject): Conversation {
  onlyKnownFields(body, FIELDS, (field) => `Unrecognized request argument supplied: ${field}`)
  const model = textAt(body['model'], 'model')
  demand(
    body['max_tokens'] === undefined || body['max_completion_tokens'] === undefined,
    "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
  )
  const maxTokens = body['max_completion_tokens'] ?? body['max_tokens'] ?? 16_384
  demand(
    typeof maxTokens === 'number' && Number.isInteger(maxTokens) && maxTokens >= 1,
    "Invalid 'max_completion_tokens': integer below minimum value.",
  )
  demand(
    body['stream_options'] === undefined || body['stream'] === true,
    "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
  )
  const tools = (body['tools'] === undefined ? [] : listAt(body['tools'], 'tools')).map((tool, at) =>
    checkTool(tool, `tools[${at}]`),
  )
  demand(
    body['tools'] === undefined || tools.length > 0,
    "Invalid 'tools': empty array. Expected an array with minimum length 1.",
  )
  const messages = listAt(body['messages'], 'messages').map((message, at) => objectAt(message, `messages[${at}]`))
  demand(messages.length > 0, "Invalid 'messages': empty array. Expected an array with minimum length 1.")
  const results = checkMessages(messages)
  const texts = (role: string): readonly string[] =>
    messages.filter((message) => message['role'] === role).map((message) => contentText(message['content']))
  const userTexts = texts('user')
  return {
    wire: 'openai_chat',
    model,
    system: [...texts('system'), ...texts('developer')].join('\n'),
    turn: texts('assistant').length + 1,
    messageCount: messages.length,
    firstUserText: userTexts[0] ?? '',
    lastUserText: userTexts.at(-1) ?? '',
    tools,
    results,
    maxTokens,
    stream: body['stream'] === true,
  }
}

function checkTool(value: Json, place: string): string {
  const tool = objectAt(value, place)
  demand(tool['type'] === 'function', `Invalid value for '${place}.type': expected 'function'.`)
  return checkToolName(objectAt(tool['function'], `${place}.function`)['name'], `${place}.function.name`)
}

function checkMessages(messages: readonly JsonObject[]): readonly SeenResult[] {
  const results: SeenResult[] = []
  let open = new Map<string, SeenCall>()
  const demandAnswered = (): void => {
    demand(
      open.size === 0,
      `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${[...open.keys()].join(', ')}`,
    )
  }
  for (const [at, message] of messages.entries()) {
    const place = `messages[${at}]`
    switch (asText(message['role'])) {
      case 'tool': {
        const callId = textAt(message['tool_call_id'], `${place}.tool_call_id`)
        const call = open.get(callId)
        demand(
          call !== undefined,
          `${place}: messages with role 'tool' must be a response to a preceding message with 'tool_calls' (no open call ${callId}).`,
        )
        open.delete(callId)
        results.push({ callId, ...call, content: contentText(message['content']), isError: false })
        break
      }
      case 'assistant':
        demandAnswered()
        open = checkAssistant(message, place)
        break
      case 'system':
      case 'developer':
      case 'user':
        demandAnswered()
        demand(
          typeof message['content'] === 'string' || Array.isArray(message['content']),
          `Invalid value for '${place}.content': expected a string or a list.`,
        )
        break
      default:
        demand(
          false,
          `Invalid value: '${asText(message['role'])}'. Supported values are: 'system', 'assistant', 'user', 'tool', and 'developer'.`,
        )
    }
  }
  demandAnswered()
  return results
}

function checkAssistant(message: JsonObject, place: string): Map<string, SeenCall> {
  const calls = new Map<string, SeenCall>()
  const given = message['tool_calls']
  if (given === undefined || given === null) {
    demand(
      typeof message['content'] === 'string' || Array.isArray(message['content']),
      `Invalid value for '${place}.content': expected a string, got null.`,
    )
    return calls
  }
  for (const [at, value] of listAt(given, `${place}.tool_calls`).entries()) {
    const here = `${place}.tool_calls[${at}]`
    const call = objectAt(value, here)
    const fn = objectAt(call['function'], `${here}.function`)
    const id = textAt(call['id'], `${here}.id`)
    demand(call['type'] === 'function', `Missing required parameter: '${here}.type'.`)
    demand(typeof fn['arguments'] === 'string', `Invalid type for '${here}.function.arguments': expected a string.`)
    demand(!calls.has(id), `${here}.id: duplicate tool call id ${id}.`)
    calls.set(id, seenCall(checkToolName(fn['name'], `${here}.function.name`), parsedArguments(fn['arguments'])))
  }
  demand(calls.size > 0, `Invalid '${place}.tool_calls': empty array. Expected an array with minimum length 1.`)
  return calls
}

function parsedArguments(text: string): Json {
  try {
    // JSON.parse can give nothing but JSON values.
    return JSON.parse(text) as Json
  } catch {
    // The API does not parse them either.
    return null
  }
}
