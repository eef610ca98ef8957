import { asArray, asObject, parseJson } from './untrusted-json.ts'

/**
 * The fast path of the OpenAI fold: the chunks of one answer are the same text except for their content. Once a chunk has been
 * parsed and its content located, following chunks with the same text before and after it are read by position.
 *
 * A place is accepted only after a proof: with a probe put there, the chunk must parse to the same object with the probe as its
 * content. A string body without quotes, backslashes and control characters then stands for itself; any other is parsed alone.
 */
export interface ContentTemplate {
  /** The content of a chunk that fits the template; null when the chunk must be parsed. */
  read(data: string): string | null
  /** Offers a parsed chunk that held nothing but `content`. */
  learn(data: string, content: string): void
}

// oxlint-disable-next-line no-control-regex -- control characters are what JSON forbids in a string
const NEEDS_PARSING = /["\\\u0000-\u001f]/
const CONTENT_KEY = /"content"\s*:\s*"/
const PROBE = 'probe-7c1e'
/** Servers whose chunks all differ elsewhere (a time, a padding field) cost this many proofs, then no more until hits pay for them. */
const FREE_ATTEMPTS = 8
const HITS_PER_ATTEMPT = 16
/** A learned template is given up after so many chunks in a row that differ from it, not for a single odd one. */
const STRANGERS_BEFORE_RELEARNING = 4

/** A template of nothing: every chunk must be parsed until one has been learned. */
export function createContentTemplate(): ContentTemplate {
  let prefix = ''
  let suffix = ''
  let hits = 0
  let attempts = 0
  let strangers = 0
  return {
    read: (data) => {
      if (suffix === '') return null
      // Comparing slices is a comparison of memory; `startsWith` and `endsWith` go character by character.
      const end = data.length - suffix.length
      if (end < prefix.length || data.slice(end) !== suffix || data.slice(0, prefix.length) !== prefix) {
        strangers += 1
        return null
      }
      strangers = 0
      const content = data.slice(prefix.length, end)
      hits += 1
      return NEEDS_PARSING.test(content) ? parseLiteral(data.slice(prefix.length - 1, end + 1)) : content
    },
    learn: (data, content) => {
      if (suffix !== '' && strangers < STRANGERS_BEFORE_RELEARNING) return
      if (attempts >= FREE_ATTEMPTS + hits / HITS_PER_ATTEMPT || NEEDS_PARSING.test(content)) return
      attempts += 1
      strangers = 0
      const split = provenSplit(data, content)
      if (split !== null) [prefix, suffix] = split
    },
  }
}

/** A literal that parses to a string ends at its last quote, so what surrounds it is the template. */
function parseLiteral(literal: string): string | null {
  const value = parseJson(literal)
  return typeof value === 'string' ? value : null
}

function provenSplit(data: string, content: string): readonly [string, string] | null {
  const key = CONTENT_KEY.exec(data)
  if (key === null) return null
  const begin = key.index + key[0].length
  if (!data.startsWith(`${content}"`, begin)) return null
  const prefix = data.slice(0, begin)
  const suffix = data.slice(begin + content.length)
  const expected = withContent(data, PROBE)
  const probed = parseJson(prefix + PROBE + suffix)
  return expected !== null && JSON.stringify(probed) === expected ? [prefix, suffix] : null
}

/** The chunk as JSON text with its first choice's content replaced. */
function withContent(data: string, content: string): string | null {
  const chunk = asObject(parseJson(data))
  const choices = asArray(chunk?.['choices'])
  const choice = asObject(choices[0])
  const delta = asObject(choice?.['delta'])
  if (chunk === null || delta === null || choices.length !== 1) return null
  return JSON.stringify({ ...chunk, choices: [{ ...choice, delta: { ...delta, content } }] })
}
