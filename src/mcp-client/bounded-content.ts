/**
 * What a server answered, of a size that can be kept and shown. Nothing in it is read as anything but data; what is left out is said in its place.
 */
import type { Json, JsonObject } from '../json.ts'
import type { McpToolValue } from './contract.ts'

/** UTF-16 units of one answer. */
export interface ContentCaps {
  readonly textCharacters: number
  /** Of images, audio and other binary data, in base64. */
  readonly binaryCharacters: number
  readonly blocks: number
}

const CONTENT_CAPS: ContentCaps = { textCharacters: 1_000_000, binaryCharacters: 4_000_000, blocks: 1_000 }

/** A result of `tools/call`. Text comes first in, first kept; of a block that does not fit, text is cut and anything else left out. */
export function boundedToolValue(result: JsonObject, caps: ContentCaps = CONTENT_CAPS): McpToolValue {
  const budget = createBudget(caps)
  const { content, structuredContent } = result
  const given = Array.isArray(content) ? content : []
  const blocks = given.slice(0, caps.blocks).map((block) => boundedBlock(block, budget))
  if (given.length > caps.blocks) blocks.push(note(`${given.length - caps.blocks} more content blocks were left out`))
  if (!isMap(structuredContent)) return { content: blocks }
  const size = JSON.stringify(structuredContent).length
  // It usually says the same as the text, so it has a budget of its own.
  if (size <= caps.textCharacters) return { content: blocks, structuredContent }
  return { content: [...blocks, note(`the structured content was left out: it has ${size} characters`)] }
}

/** The results of other methods, whose long parts are the contents of resources and the messages of prompts. Other parts must fit as they are. */
export function boundedResult(result: JsonObject, caps: ContentCaps = CONTENT_CAPS): JsonObject {
  const budget = createBudget(caps)
  const { contents, messages } = result
  const bounded: Record<string, Json> = { ...result }
  if (Array.isArray(contents)) bounded['contents'] = contents.slice(0, caps.blocks).map((one) => boundedResource(one, budget))
  if (Array.isArray(messages)) {
    bounded['messages'] = messages.slice(0, caps.blocks).map((message) => {
      const content = isMap(message) ? message['content'] : undefined
      return isMap(message) && content !== undefined
        ? { ...message, content: boundedBlock(content, budget) }
        : boundedOther(message, budget)
    })
  }
  const left = [contents, messages].flatMap((list) =>
    Array.isArray(list) && list.length > caps.blocks ? [list.length - caps.blocks] : [],
  )
  return left.length === 0 ? bounded : { ...bounded, note: note(`${left.join(' and ')} more parts were left out`)['text'] }
}

/** The first text of a result, for a message about it; null when it has none. */
export function firstText({ content }: McpToolValue): string | null {
  for (const block of content)
    if (isMap(block) && block['type'] === 'text' && typeof block['text'] === 'string') return block['text']
  return null
}

interface Budget {
  /** How much of it may be kept. */
  readonly text: (wanted: number) => number
  /** Takes all of it or nothing. */
  readonly fits: (wanted: number) => boolean
  readonly binary: (wanted: number) => boolean
}

function createBudget({ textCharacters, binaryCharacters }: ContentCaps): Budget {
  let text = textCharacters
  let binary = binaryCharacters
  return {
    text(wanted) {
      const kept = Math.min(wanted, text)
      text -= kept
      return kept
    },
    fits(wanted) {
      if (wanted > text) return false
      text -= wanted
      return true
    },
    binary(wanted) {
      if (wanted > binary) return false
      binary -= wanted
      return true
    },
  }
}

function boundedBlock(block: Json, budget: Budget): Json {
  if (!isMap(block)) return boundedOther(block, budget)
  const { type, text, data, resource, ...rest } = block
  if (type === 'text' && typeof text === 'string') return { ...boundedRest(rest, budget), type, text: boundedText(text, budget) }
  if ((type === 'image' || type === 'audio') && typeof data === 'string') {
    if (budget.binary(data.length)) return { ...boundedRest(rest, budget), type, data }
    return note(`${type} was left out: its data has ${data.length} characters`)
  }
  if (type === 'resource') return { ...boundedRest(rest, budget), type, resource: boundedResource(resource ?? null, budget) }
  return boundedOther(block, budget)
}

function boundedResource(resource: Json, budget: Budget): Json {
  if (!isMap(resource)) return boundedOther(resource, budget)
  const { text, blob, ...rest } = resource
  const bounded: Record<string, Json> = { ...boundedRest(rest, budget) }
  if (typeof text === 'string') bounded['text'] = boundedText(text, budget)
  if (typeof blob === 'string') {
    if (budget.binary(blob.length)) bounded['blob'] = blob
    else bounded['text'] = note(`the resource was left out: its data has ${blob.length} characters`)['text']
  }
  return bounded
}

function boundedText(text: string, budget: Budget): string {
  const kept = budget.text(text.length)
  if (kept === text.length) return text
  // Half a character is none.
  return `${text.slice(0, kept).replace(/[\uD800-\uDBFF]$/, '')}${note(`cut: ${text.length - kept} of ${text.length} characters were left out`)['text']}`
}

/** Names, media types and annotations beside the content. */
function boundedRest(rest: JsonObject, budget: Budget): JsonObject {
  return budget.fits(JSON.stringify(rest).length) ? rest : {}
}

function boundedOther(value: Json, budget: Budget): Json {
  const size = JSON.stringify(value).length
  return budget.fits(size) ? value : note(`a part of ${size} characters was left out`)
}

function note(text: string): { readonly type: 'text'; readonly text: string } {
  return { type: 'text', text: `[${text}]` }
}

function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
