import {
  ProtocolError,
  ProtocolErrorCode,
  type GetPromptResult,
  type ListPromptsResult,
  type Prompt,
} from '@modelcontextprotocol/server'
import type { Json, JsonObject } from '../json.ts'
import type { Kernel, MetaToolResult } from '../kernel/contract.ts'
import { KiwiError } from '../kernel/errors.ts'
import type { DirectiveDefinition, DirectiveInput } from '../kernel/items/item.ts'
import type { McpProject } from './contract.ts'
import { MAX_RESULT_BYTES, boundedText } from './bounded-result.ts'
import { LIST_FRAME_BYTES, fitting, listCursor, listPosition, sizeOf } from './list-cursor.ts'

/** The directives of one project that may run, each as a prompt of the same name. */
export interface DirectivePrompts {
  /** In the order of their names. */
  list(cursor: string | undefined): Promise<ListPromptsResult>
  /** The directive as one message for the client's own model. @throws ProtocolError invalid params, for what is missing or unknown too. */
  get(name: string, given: Readonly<Record<string, string>>, signal: AbortSignal): Promise<GetPromptResult>
}

/** Far below a page, so that a page holds at least one. */
const MAX_PROMPT_BYTES = 12_000
const PROMPTS_PER_PAGE = 50
const MAX_DESCRIPTION = 300
const MAX_ARGUMENT_DESCRIPTION = 200
const MAX_MESSAGE = 2_000
const MAX_ERROR_BYTES = 8_000

export function createDirectivePrompts(project: () => Promise<McpProject>, projectPath: string): DirectivePrompts {
  return {
    async list(cursor) {
      const after = listPosition(cursor, (text) => text !== '')
      const { kernel } = await project()
      const names = (await kernel.ids('directive')).filter((name) => after === null || name > after)
      const page = names.slice(0, PROMPTS_PER_PAGE)
      const found = await Promise.all(page.map((name) => promptOf(kernel, name)))
      const shown = fitting(found, MAX_RESULT_BYTES - LIST_FRAME_BYTES)
      const last = page[shown.length - 1]
      return {
        prompts: shown.filter((prompt) => prompt !== null),
        ...(last === undefined || names.length <= shown.length ? {} : { nextCursor: listCursor(last) }),
      }
    },
    async get(name, given, signal) {
      const open = await project()
      const definition = await directive(open.kernel, name)
      if (definition === null)
        throw invalid(
          `There is no prompt "${name.slice(0, 128)}": prompts are the signed directives, as prompts/list names them.`,
        )
      const parameters = parametersOf(definition, given)
      const result = await open.kernel.execute({ item_type: 'directive', item_id: name, parameters }, { projectPath, signal })
      if (!result.success)
        throw invalid(
          `${result.error.message} ${result.error.suggestion ?? ''}`.trim(),
          JSON.parse(boundedText(result.error, MAX_ERROR_BYTES)),
        )
      const { firstMessage } = await import('../harness/safety/turn/messages.ts')
      const message = firstMessage(definition, valuesOf(definition, parameters), requestOf(name, parameters, result))
      const { text } = open.redact({ text: message.role === 'user' ? message.content : '' })
      const prompt: GetPromptResult = {
        description: cut(definition.description, MAX_DESCRIPTION),
        messages: [{ role: 'user', content: { type: 'text', text: typeof text === 'string' ? text : '' } }],
      }
      // Half a directive would be followed as if it were whole.
      if (sizeOf(prompt) > MAX_RESULT_BYTES - LIST_FRAME_BYTES) throw tooLong(name, sizeOf(prompt))
      return prompt
    },
  }
}

async function promptOf(kernel: Kernel, name: string): Promise<Prompt | null> {
  const definition = await directive(kernel, name)
  if (definition === null) return null
  const { description, inputs } = definition
  const prompt = {
    name,
    description: cut(description, MAX_DESCRIPTION),
    arguments: inputs.map((input) => ({
      name: input.name,
      description: cut(argumentText(input), MAX_ARGUMENT_DESCRIPTION),
      required: input.required && input.default === undefined,
    })),
  }
  if (sizeOf(prompt) <= MAX_PROMPT_BYTES) return prompt
  // Names are enough to call it; what they mean stands in the directive.
  return {
    ...prompt,
    arguments: fitting(
      prompt.arguments.map(({ name: input, required }) => ({ name: input, required })),
      MAX_PROMPT_BYTES,
    ),
  }
}

/** The definition from checked bytes; null for a directive that may not run: it is unknown, unavailable or not signed. */
async function directive(kernel: Kernel, name: string): Promise<DirectiveDefinition | null> {
  try {
    const { state } = await kernel.require('directive', name)
    return state.kind === 'available' && state.definition.kind === 'directive' ? state.definition : null
  } catch (error) {
    if (error instanceof KiwiError) return null
    throw error
  }
}

function argumentText({ type, description, default: value }: DirectiveInput): string {
  const facts = [...(type === 'string' ? [] : [type]), ...(value === undefined ? [] : [`default ${JSON.stringify(value)}`])]
  return facts.length === 0 ? description : `${description} (${facts.join(', ')})`.trim()
}

/** Arguments of a prompt are strings; those of other types are read as JSON, and left to the directive's own check where they are none. */
function parametersOf({ inputs }: DirectiveDefinition, given: Readonly<Record<string, string>>): JsonObject {
  const types = new Map(inputs.map(({ name, type }) => [name, type]))
  return Object.fromEntries(
    Object.entries(given).map(([name, text]) => [name, (types.get(name) ?? 'string') === 'string' ? text : jsonOr(text)]),
  )
}

function jsonOr(text: string): Json {
  try {
    // JSON.parse gives JSON.
    return JSON.parse(text) as Json
  } catch {
    return text
  }
}

function valuesOf({ inputs }: DirectiveDefinition, given: JsonObject): JsonObject {
  const defaults = inputs.flatMap((input) => (input.default === undefined ? [] : [[input.name, input.default] as const]))
  return { ...Object.fromEntries(defaults), ...given }
}

function requestOf(name: string, inputs: JsonObject, result: MetaToolResult): string {
  const here = 'Follow the steps of this directive yourself, with the tools you have here.'
  if (!result.success || result['can_spawn_thread'] !== true) return here
  const call = { item_type: 'tool', item_id: 'thread_directive', parameters: { directive_name: name, inputs } }
  return `${here} Or, when it is long or costly, let it run on a managed thread: call execute with ${JSON.stringify(call)}, and follow the thread with wait_thread.`
}

function tooLong(name: string, bytes: number): ProtocolError {
  return invalid(
    `The prompt of "${name}" with these arguments has ${bytes} bytes; at most ${MAX_RESULT_BYTES} can be given. Give less, or let it run on a managed thread: call execute with the tool thread_directive.`,
  )
}

function invalid(message: string, data?: unknown): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, cut(message, MAX_MESSAGE), data)
}

function cut(text: string, maxCharacters: number): string {
  return text.length > maxCharacters ? `${text.slice(0, maxCharacters).toWellFormed()}…` : text
}
