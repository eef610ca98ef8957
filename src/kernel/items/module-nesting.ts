/**
 * How deeply a module may nest before the parser sees it.
 *
 * The parser recurses in native code, where running out of stack ends the whole process: `[` repeated 6,000 times does. So depth is
 * bounded first, by a flat scan.
 *
 * N1. Strings, templates and comments are skipped exactly; they are unambiguous once regular expressions are known.
 * N2. `/` after `)` or `}` or a word like `of` can be either a division or a regular expression. Where the two readings would leave the
 *     scan in different states, nothing more is believed: every opening mark of the rest of the file counts and no closing one does.
 * N3. Operators, calls and templates count as nesting too (`!!!x`, `a => b => c`, `f()()`), until the `;` or `,` that ends them.
 */

/** A bracket costs the parser about ten times the stack of an operator; it fails at some 5,000 of the one, some 50,000 of the other. */
const BRACKET_WEIGHT = 5
/** Five times below where the parser fails, and far above what a person writes. */
const MAX_DEPTH = 5000

const OPENING = '([{'
const CLOSING = ')]}'
const OPERATORS = '!~+-*/%<>=?:&|^.@'
/** Every character beyond ASCII counts as part of a word; one that is a blank after all only makes the next `/` uncertain. */
const WORD = /[\w$\\#\u0080-\u2027\u202a-\uffff]+/y
const ASCII_WORD = /^[\w$#]+$/
/** After these words a `/` starts a regular expression. */
const EXPRESSION_WORDS = new Set([
  'return',
  'typeof',
  'case',
  'void',
  'delete',
  'throw',
  'new',
  'in',
  'instanceof',
  'else',
  'do',
  'default',
  'extends',
])
/** After these it depends on the grammar around them. */
const UNCERTAIN_WORDS = new Set([
  'of',
  'await',
  'yield',
  'let',
  'async',
  'get',
  'set',
  'static',
  'as',
  'is',
  'satisfies',
  'asserts',
  'keyof',
])
const LINE_END = /[\n\r\u2028\u2029]/g

export type Nesting = { readonly kind: 'fine' } | { readonly kind: 'too_deep'; readonly offset: number }

type SlashReading = 'regex' | 'division' | 'uncertain'

interface Scan {
  readonly text: string
  offset: number
  /** Open brackets; `${` of a template is `$`. */
  readonly open: string[]
  /** Operators of each open bracket's content so far, the outermost first. */
  readonly operators: number[]
  depth: number
  slash: SlashReading
}

/** Whether the parser can be given this source (TypeScript or JavaScript). */
export function checkNesting(text: string): Nesting {
  const scan: Scan = { text, offset: 0, open: [], operators: [0], depth: 0, slash: 'regex' }
  if (text.startsWith('#!')) skipLine(scan)
  while (scan.offset < text.length) {
    const believed = step(scan)
    if (!believed) return countOpenings(scan) // N2
    if (scan.depth > MAX_DEPTH) return { kind: 'too_deep', offset: scan.offset }
  }
  return { kind: 'fine' }
}

/** Consumes one token; false when it cannot be told what it is. */
function step(scan: Scan): boolean {
  const { text, offset } = scan
  const char = text[offset] ?? ''
  if (char === '"' || char === "'") return skipString(scan, char)
  if (char === '`') return skipTemplate(scan, offset + 1)
  if (char === '/') return slash(scan)
  if (OPENING.includes(char)) return open(scan, char)
  if (CLOSING.includes(char)) return close(scan, char)
  if (char === ';' || char === ',') return endExpression(scan)
  if (OPERATORS.includes(char)) return operator(scan, char)
  WORD.lastIndex = offset
  const word = WORD.exec(text)?.[0]
  if (word === undefined) scan.offset += 1
  else readWord(scan, word)
  return true
}

function readWord(scan: Scan, word: string): void {
  const isMember = scan.text[scan.offset - 1] === '.'
  if (EXPRESSION_WORDS.has(word)) {
    scan.slash = isMember ? 'uncertain' : 'regex'
    count(scan)
  } else if (UNCERTAIN_WORDS.has(word)) {
    scan.slash = 'uncertain'
    count(scan)
  } else scan.slash = ASCII_WORD.test(word) ? 'division' : 'uncertain'
  scan.offset += word.length
}

function open(scan: Scan, char: string): boolean {
  scan.open.push(char)
  scan.operators.push(0)
  scan.depth += BRACKET_WEIGHT
  scan.offset += char === '$' ? 2 : 1
  scan.slash = 'regex'
  return true
}

function close(scan: Scan, char: string): boolean {
  const opened = scan.open.pop()
  scan.depth -= (scan.operators.pop() ?? 0) + (opened === undefined ? 0 : BRACKET_WEIGHT)
  if (scan.operators.length === 0) scan.operators.push(0)
  if (char !== '}') count(scan)
  scan.offset += 1
  scan.slash = char === ']' ? 'division' : 'uncertain'
  return opened === '$' ? skipTemplate(scan, scan.offset) : true
}

function endExpression(scan: Scan): boolean {
  scan.depth -= scan.operators.at(-1) ?? 0
  scan.operators[scan.operators.length - 1] = 0
  scan.offset += 1
  scan.slash = 'regex'
  return true
}

function operator(scan: Scan, char: string): boolean {
  const isDoubled = (char === '+' || char === '-') && scan.text[scan.offset + 1] === char
  // `a! / b` and `f<T>/x/` end in these; `!/x/` begins with one.
  const isUnclear = isDoubled || char === '>' || (char === '!' && scan.slash !== 'regex')
  scan.slash = isUnclear ? 'uncertain' : 'regex'
  count(scan)
  scan.offset += isDoubled ? 2 : 1
  return true
}

function count(scan: Scan): void {
  scan.operators[scan.operators.length - 1] = (scan.operators.at(-1) ?? 0) + 1
  scan.depth += 1
}

function slash(scan: Scan): boolean {
  const { text, offset } = scan
  const next = text[offset + 1]
  if (next === '/') return skipLine(scan)
  if (next === '*') {
    const end = text.indexOf('*/', offset + 2)
    scan.offset = end === -1 ? text.length : end + 2
    return true
  }
  if (scan.slash === 'regex') return skipRegex(scan)
  if (scan.slash === 'uncertain' && readingsDiffer(text.slice(offset + 1, endOfLine(text, offset)))) return false
  return operator(scan, '/')
}

/** A regular expression ends on its line; where nothing between the two slashes can change the state, either reading will do. */
function readingsDiffer(restOfLine: string): boolean {
  const end = restOfLine.lastIndexOf('/')
  return end !== -1 && /["'`()[\]{}/]/.test(restOfLine.slice(0, end + (restOfLine.indexOf('/') === end ? 0 : 1)))
}

function skipRegex(scan: Scan): boolean {
  const end = endOfLine(scan.text, scan.offset)
  let inClass = false
  for (let at = scan.offset + 1; at < end; at += 1) {
    const char = scan.text[at]
    if (char === '\\') at += 1
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '/' && !inClass) {
      scan.offset = at + 1
      scan.slash = 'division'
      return true
    }
  }
  return false
}

function skipString(scan: Scan, quote: string): boolean {
  const { text } = scan
  for (let at = scan.offset + 1; at < text.length; at += 1) {
    const char = text[at]
    if (char === '\\') at += text[at + 1] === '\r' && text[at + 2] === '\n' ? 2 : 1
    else if (char === quote) {
      scan.offset = at + 1
      scan.slash = 'division'
      return true
    } else if (char === '\n' || char === '\r') return false
  }
  return false
}

/** From inside a template: to its end, or into a `${`. */
function skipTemplate(scan: Scan, from: number): boolean {
  const { text } = scan
  for (let at = from; at < text.length; at += 1) {
    const char = text[at]
    if (char === '\\') at += 1
    else if (char === '`') {
      count(scan)
      scan.offset = at + 1
      scan.slash = 'division'
      return true
    } else if (char === '$' && text[at + 1] === '{') {
      scan.offset = at
      return open(scan, '$')
    }
  }
  return false
}

function skipLine(scan: Scan): boolean {
  scan.offset = endOfLine(scan.text, scan.offset)
  return true
}

function endOfLine(text: string, from: number): number {
  LINE_END.lastIndex = from
  return LINE_END.exec(text)?.index ?? text.length
}

/** The bound that nothing can fool: every mark that could open anything, to the end of the file (N2). */
function countOpenings(scan: Scan): Nesting {
  let depth = scan.depth
  for (let at = scan.offset; at < scan.text.length; at += 1) {
    const char = scan.text[at] ?? ''
    if (OPENING.includes(char)) depth += BRACKET_WEIGHT
    else if (OPERATORS.includes(char) || char === '`') depth += 1
    if (depth > MAX_DEPTH) return { kind: 'too_deep', offset: scan.offset }
  }
  return { kind: 'fine' }
}
