import type { Json, JsonObject } from '../../../json.ts'
import type { DirectiveDefinition } from '../../../kernel/items/item.ts'
import type { NewMessage, StoredMessage } from '../../../threads/engine.ts'
import type { Message } from '../../base/conversation.ts'

/** Characters of one tool result that the model sees; the rest stays in the journal. */
const SHOWN_CHARACTERS = 16_384
const SHOWN_HEAD = 12_288
/** Characters of one tool result that are kept at all. */
const KEPT_CHARACTERS = 1_000_000
const SUMMARY_CHARACTERS = 200

/** A tool result as it is stored: what the model sees, and the whole output when that is more. */
export type ToolResultMessage = Extract<Message, { role: 'tool_result' }> & { readonly full?: string }

/**
 * The first message of a thread: the directive as data in marked sections, then the request, then what a thread before this one has
 * handed over. Text from the directive, its inputs and the request cannot close or open a section: a `<` in front of one of our section
 * names is written as `&lt;`.
 */
export function firstMessage(
  directive: DirectiveDefinition,
  inputs: JsonObject,
  initialMessage: string,
  handedOver = '',
): Message {
  const sections = [
    `<directive name="${attribute(directive.name)}" version="${attribute(directive.version ?? '')}">`,
    section('description', directive.description),
    section('context', directive.context),
    directive.steps.length === 0 ? '' : `<process>\n${directive.steps.map(step).join('\n')}\n</process>`,
    section('inputs', Object.keys(inputs).length === 0 ? '' : JSON.stringify(inputs, null, 2)),
    section('success_criteria', directive.successCriteria.map((criterion) => `- ${criterion}`).join('\n')),
    section('outputs', outputsText(directive)),
    '</directive>',
    section('user_request', initialMessage),
    section('handed_over', handedOver),
  ]
  return { role: 'user', content: sections.filter((text) => text !== '').join('\n') }
}

/**
 * What a thread says at the end of the conversation that it goes on with: where that comes from, the directive where it is another one than
 * before (as `firstMessage` gives it without a request), and the request.
 */
export function continuingMessage(parts: {
  readonly intro: string
  readonly directive: string | null
  readonly request: string
}): Message {
  const { intro, directive, request } = parts
  const changed = directive === null ? [] : ['The directive is another one now. From here on this one holds:', directive]
  return { role: 'user', content: [inert(intro), ...changed, section('user_request', request)].join('\n') }
}

/** Makes text inert between our section marks; everything else in it stays as it is. */
export function inert(text: string): string {
  return text.replaceAll(RESERVED_MARK, '&lt;')
}

const RESERVED_MARK =
  /<(?=[\s/]*(?:directive|description|context|process|step|inputs|success_criteria|outputs|user_request|handed_over|system_note|system)\b)/gi

/** How the result must be written is told beforehand, so that the first answer can be right. */
function outputsText({ outputs, outputsSchema, checks }: DirectiveDefinition): string {
  const schemas = checks.flatMap((check) => (check.type === 'schema' ? [check.schema] : []))
  const wanted = outputsSchema === null ? schemas : [outputsSchema, ...schemas]
  return [...outputs.map(({ name, description }) => `- ${name}: ${description}`), ...wanted.map(jsonAnswer)].join('\n')
}

function jsonAnswer(schema: JsonObject): string {
  return `Your last answer is a JSON object, alone or in a \`\`\`json block, that matches this JSON Schema: ${JSON.stringify(schema)}`
}

function section(name: string, text: string): string {
  return text.trim() === '' ? '' : `<${name}>\n${inert(text.trim())}\n</${name}>`
}

function step(entry: { readonly name: string; readonly text: string }): string {
  return `<step name="${attribute(entry.name)}">\n${inert(entry.text.trim())}\n</step>`
}

function attribute(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('"', '&quot;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/\s+/g, ' ')
}

/**
 * One tool result, bounded for the model: head and tail with a note that says how to read on. The whole output (up to 1,000,000
 * characters) is stored beside it.
 */
export function toolResult(
  call: { readonly id: string; readonly tool: string; readonly threadId: string },
  text: string,
  isError: boolean,
): ToolResultMessage {
  const base = { role: 'tool_result', call_id: call.id, tool: call.tool, is_error: isError } as const
  if (text.length <= SHOWN_CHARACTERS) return { ...base, content: text }
  const headEnd = wholeCharacter(text, SHOWN_HEAD)
  const tailStart = wholeCharacter(text, text.length - (SHOWN_CHARACTERS - SHOWN_HEAD))
  const kept = text.length > KEPT_CHARACTERS ? text.slice(0, wholeCharacter(text, KEPT_CHARACTERS)) : text
  const readOn = JSON.stringify({
    item_type: 'tool',
    item_id: 'read_transcript',
    parameters: { thread_id: call.threadId, call_id: call.id, offset: headEnd },
  })
  const leftOut =
    `\n[${tailStart - headEnd} of ${text.length} characters are left out here. To read them: execute ${readOn}` +
    `${kept.length < text.length ? `; only the first ${kept.length} characters were kept` : ''}]\n`
  return { ...base, content: text.slice(0, headEnd) + leftOut + text.slice(tailStart), full: kept }
}

/** One line of a result for the transcript. */
export function summarise(text: string): string {
  const line = text
    .slice(0, SUMMARY_CHARACTERS * 2)
    .replaceAll(/\s+/g, ' ')
    .trim()
  return line.length <= SUMMARY_CHARACTERS ? line : `${line.slice(0, wholeCharacter(line, SUMMARY_CHARACTERS - 1))}…`
}

/** A message for the journal. */
export function stored(message: Message): NewMessage {
  // Every Message is plain JSON; the wider type only lacks an index signature.
  return { role: message.role, content: message as unknown as Json }
}

/** A note to the model, from the harness. */
export function note(content: string): NewMessage {
  return stored({ role: 'system_note', content })
}

/** The conversation of a thread. Results may stand behind later messages; the wire puts them in place. */
export function conversation(history: readonly StoredMessage[]): readonly Message[] {
  return history.map(messageOf)
}

/** The message of a journal row that this harness wrote. */
export function messageOf(entry: StoredMessage): Message {
  // `stored` is the only writer of the content.
  return entry.content as unknown as Message
}

/** Moves a cut so that it does not split a surrogate pair. */
function wholeCharacter(text: string, index: number): number {
  const code = text.charCodeAt(index)
  return code >= 0xdc00 && code <= 0xdfff ? index - 1 : index
}
