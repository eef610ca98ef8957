/** The text of an expression cannot be read. `offset` counts characters from 0. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError'
  readonly offset: number
  readonly fix: string

  constructor(offset: number, reason: string, fix: string) {
    super(reason)
    this.offset = offset
    this.fix = fix
  }
}

export type Token =
  | { readonly kind: 'number'; readonly offset: number; readonly value: number }
  | { readonly kind: 'string'; readonly offset: number; readonly value: string }
  /** `and`, `or`, `not`, `in`, `true`, `false`, `null`. */
  | { readonly kind: 'word'; readonly offset: number; readonly text: string }
  | { readonly kind: 'path'; readonly offset: number; readonly segments: readonly string[] }
  | { readonly kind: 'symbol'; readonly offset: number; readonly text: string }
  | { readonly kind: 'end'; readonly offset: number }

const WORDS: ReadonlySet<string> = new Set(['and', 'or', 'not', 'in', 'true', 'false', 'null'])
const BLANK = /[ \t\r\n]*/y
const NUMBER = /\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/y
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y
const SYMBOL = /==|!=|<=|>=|[<>+\-*/()]/y
const AFTER_NUMBER = /[A-Za-z0-9_.]/

/** What people write who know another language, and what is written here. */
const HABITS: readonly (readonly [string, string])[] = [
  ['===', 'Write `==`.'],
  ['=', 'Write `==` to compare; nothing can be assigned.'],
  ['&&', 'Write `and`.'],
  ['||', 'Write `or`.'],
  ['!', 'Write `not`, or `!=` to compare.'],
  ['[', 'There is no indexing and there are no lists; read the entries of a map with dots, and use `in` for lists.'],
  ['.', 'A path begins with a name, and a number with a digit: `0.5`.'],
  ['%', 'There is no remainder; write `+`, `-`, `*` or `/`.'],
  ['`', 'Put text in single or double quotes.'],
]

/**
 * The words and symbols of an expression, closed by an `end`.
 *
 * @throws {ExpressionError} at the first character that belongs to none.
 */
export function readTokens(text: string): readonly Token[] {
  const tokens: Token[] = []
  let offset = 0
  for (;;) {
    offset += match(BLANK, text, offset).length
    if (offset >= text.length) break
    const read = readToken(text, offset)
    tokens.push(read.token)
    offset = read.end
  }
  return [...tokens, { kind: 'end', offset: text.length }]
}

interface Read {
  readonly token: Token
  readonly end: number
}

function readToken(text: string, offset: number): Read {
  const char = text[offset] ?? ''
  if (char === '"' || char === "'") return readString(text, offset, char)
  const symbol = text.startsWith('===', offset) ? '' : match(SYMBOL, text, offset)
  if (symbol !== '') return { token: { kind: 'symbol', offset, text: symbol }, end: offset + symbol.length }
  const digits = match(NUMBER, text, offset)
  if (digits !== '') return readNumber(text, offset, digits)
  if (match(NAME, text, offset) !== '') return readPath(text, offset)
  const fix = HABITS.find(([habit]) => text.startsWith(habit, offset))?.[1]
  const shown = JSON.stringify(String.fromCodePoint(text.codePointAt(offset) ?? 0))
  throw new ExpressionError(offset, `the character ${shown} means nothing here`, fix ?? 'Remove it, or put text in quotes.')
}

function readNumber(text: string, offset: number, digits: string): Read {
  const end = offset + digits.length
  if (AFTER_NUMBER.test(text[end] ?? '')) {
    throw new ExpressionError(
      end,
      `a number ends in ${JSON.stringify(text[end])}`,
      'Write digits, with one point at most: `0.8`.',
    )
  }
  const value = Number(digits)
  if (!Number.isFinite(value)) throw new ExpressionError(offset, 'a number that is too large', 'Write a number below 1e308.')
  return { token: { kind: 'number', offset, value }, end }
}

function readPath(text: string, offset: number): Read {
  const segments: string[] = []
  let end = offset
  for (;;) {
    const name = match(NAME, text, end)
    if (name === '') {
      const fix = 'Write names of letters, digits and `_` between single dots; there is no indexing.'
      throw new ExpressionError(end, 'no name after the dot of a path', fix)
    }
    segments.push(name)
    end += name.length
    if (text[end] !== '.') break
    end += 1
  }
  const [first = ''] = segments
  if (text[end] === '(')
    throw new ExpressionError(end, `\`${segments.join('.')}\` is called`, 'There are no functions; compare values.')
  if (text[end] === '[')
    throw new ExpressionError(end, 'there is no indexing', 'Read the entries of a map with dots, and use `in` for lists.')
  if (!WORDS.has(first)) return { token: { kind: 'path', offset, segments }, end }
  if (segments.length === 1) return { token: { kind: 'word', offset, text: first }, end }
  throw new ExpressionError(
    offset,
    `a path begins with the word \`${first}\``,
    'Begin it with the name of a value, such as `event`.',
  )
}

function readString(text: string, offset: number, quote: string): Read {
  let value = ''
  for (let at = offset + 1; at < text.length; at += 1) {
    const char = text[at] ?? ''
    if (char === quote) return { token: { kind: 'string', offset, value }, end: at + 1 }
    if (char === '\n' || char === '\r') break
    if (char === '\\') {
      at += 1
      const escaped = text[at] ?? ''
      if (escaped !== '\\' && escaped !== '"' && escaped !== "'")
        throw new ExpressionError(
          at - 1,
          'an unknown escape in a text',
          'Only `\\\\`, `\\"` and `\\\'` are read; write a backslash twice.',
        )
      value += escaped
    } else value += char
  }
  throw new ExpressionError(offset, 'a text that is not closed on its line', `Add \`${quote}\` at its end.`)
}

function match(pattern: RegExp, text: string, offset: number): string {
  pattern.lastIndex = offset
  return pattern.exec(text)?.[0] ?? ''
}
