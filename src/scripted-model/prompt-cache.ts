import { hash } from 'node:crypto'
import type { Json, JsonObject } from '../json.ts'
import { asText, isObject } from './conversation.ts'
import type { ScriptedUsage } from './scenario.ts'

/**
 * Token counts of prompts, deterministic: four bytes of a request's content are one token, and a prefix that an earlier request
 * wrote to the cache is read from it.
 */
export interface PromptCache {
  /** Anthropic: only marked prefixes are cached, and a mark finds what was written up to 20 blocks before it. */
  measureMarked(body: JsonObject): Pick<ScriptedUsage, 'input' | 'cache_read' | 'cache_write'> & { readonly oneHour: boolean }
  /** OpenAI: every prefix of 1,024 tokens and more is cached, in steps of 128. */
  measureAutomatic(body: JsonObject): Pick<ScriptedUsage, 'input' | 'cache_read' | 'cache_write'>
}

const BYTES_PER_TOKEN = 4
const LOOKBACK_BLOCKS = 20
const MAX_PREFIXES = 200_000
const OPENAI_MINIMUM = 1024
const OPENAI_STEP = 128

interface Section {
  readonly text: string
  readonly mark: JsonObject | null
}

interface Boundary {
  readonly key: string
  readonly tokens: number
  readonly mark: JsonObject | null
}

/** An empty cache; the oldest prefixes are forgotten above 200,000. */
export function createPromptCache(): PromptCache {
  const written = new Set<string>()
  const remember = (key: string): void => {
    written.add(key)
    if (written.size <= MAX_PREFIXES) return
    for (const oldest of written) {
      written.delete(oldest)
      break
    }
  }
  return {
    measureMarked: (body) => {
      const boundaries = prefixes(anthropicSections(body))
      const marks = boundaries.flatMap((boundary, at) => (boundary.mark === null ? [] : [at]))
      const total = boundaries.at(-1)?.tokens ?? 0
      let read = 0
      for (const mark of marks) {
        for (let at = mark; at >= Math.max(0, mark - LOOKBACK_BLOCKS); at -= 1) {
          const boundary = boundaries[at]
          if (boundary !== undefined && written.has(boundary.key)) read = Math.max(read, boundary.tokens)
        }
      }
      const last = boundaries[marks.at(-1) ?? -1]
      for (const mark of marks) remember(boundaries[mark]?.key ?? '')
      const cached = last?.tokens ?? 0
      return { input: total - cached, cache_read: read, cache_write: cached - read, oneHour: last?.mark?.['ttl'] === '1h' }
    },
    measureAutomatic: (body) => {
      const boundaries = prefixes(openaiSections(body))
      const total = boundaries.at(-1)?.tokens ?? 0
      const known = boundaries.findLast(({ key }) => written.has(key))?.tokens ?? 0
      const read = known < OPENAI_MINIMUM ? 0 : known - (known % OPENAI_STEP)
      for (const { key } of boundaries) remember(key)
      return { input: total - read, cache_read: read, cache_write: 0 }
    },
  }
}

/** Tokens of a text. */
export function countTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN)
}

function prefixes(sections: readonly Section[]): readonly Boundary[] {
  let key = ''
  let bytes = 0
  return sections.map(({ text, mark }) => {
    key = hash('sha1', `${key}\n${text}`, 'base64')
    bytes += Buffer.byteLength(text)
    return { key, tokens: Math.ceil(bytes / BYTES_PER_TOKEN), mark }
  })
}

/** The order in which the provider reads a prompt: tools, system, messages. */
function anthropicSections(body: JsonObject): readonly Section[] {
  const sections: Section[] = []
  for (const tool of list(body['tools'])) sections.push(section('tool', tool))
  for (const block of list(body['system'])) sections.push(section('system', block))
  for (const message of list(body['messages'])) {
    if (!isObject(message)) continue
    for (const block of list(message['content'])) sections.push(section(asText(message['role']), block))
  }
  return sections
}

function openaiSections(body: JsonObject): readonly Section[] {
  return [...list(body['tools']), ...list(body['messages'])].map((value) => ({ text: JSON.stringify(value), mark: null }))
}

function section(kind: string, value: Json): Section {
  if (!isObject(value)) return { text: `${kind}:${JSON.stringify(value)}`, mark: null }
  const { cache_control: mark, ...rest } = value
  return { text: `${kind}:${JSON.stringify(rest)}`, mark: isObject(mark) ? mark : null }
}

function list(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return []
  // `Array.isArray` does not narrow a readonly array type.
  return Array.isArray(value) ? (value as readonly Json[]) : [value]
}
