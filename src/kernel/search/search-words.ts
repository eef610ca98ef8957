const MAX_QUERY_CHARACTERS = 2000
const MAX_TERMS = 16
const MAX_TERM_CHARACTERS = 64
const WORD = /[\p{L}\p{N}]+/gu
/** `writeFile`, `HTTPClient`, `utf8Text`: the places where a written name changes words. */
const CASE_CHANGE = /(?<=\p{Ll}|\p{N})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u

/** The words of a name or text in lower case, split at everything that is no letter or digit, and inside camelCase. */
function splitWords(text: string): readonly string[] {
  const words: string[] = []
  for (const [word] of text.normalize('NFC').matchAll(WORD)) {
    for (const part of word.split(CASE_CHANGE)) words.push(part.toLowerCase())
  }
  return words
}

/** A name as it is indexed: its words, and camelCase words whole as well. */
export function nameText(name: string): string {
  const words = splitWords(name)
  const whole = [...name.toLowerCase().matchAll(WORD)].map(([word]) => word)
  return [...words, ...whole.filter((word) => !words.includes(word))].join(' ')
}

/**
 * The words of a query, each as a term of FTS5's language that can only ever look for that word: it is quoted, and there is no quote in
 * it, so nothing that a caller writes is an operator. The last word also matches as a beginning.
 */
export function queryTerms(query: string): readonly string[] {
  const words = [...new Set(splitWords(query.slice(0, MAX_QUERY_CHARACTERS)))].slice(0, MAX_TERMS)
  // One letter begins nearly everything: it would rank nothing and cost the most.
  return words.map(
    (word, index) => `"${word.slice(0, MAX_TERM_CHARACTERS)}"${index === words.length - 1 && word.length > 1 ? '*' : ''}`,
  )
}

/** Equal for an id and for the ways to write it: `write_file`, `write-file`, `writeFile`, `Write file`. */
export function idWords(text: string): string {
  return splitWords(text.slice(0, 256)).join(' ')
}
