import type { BinaryOperator, Expression, ParsedExpression, PathUse } from './expression.ts'
import { ExpressionError, readTokens } from './tokens.ts'
import type { Token } from './tokens.ts'

const MAX_CHARACTERS = 4096
/** Parentheses, `not` and signs within each other: each is a few frames of this parser. */
const MAX_DEPTH = 32
/** Also the longest chain of one operator, which is how deep an evaluation recurses. */
const MAX_NODES = 512

const COMPARISONS: ReadonlyMap<string, BinaryOperator> = new Map([
  ['==', '=='],
  ['!=', '!='],
  ['<', '<'],
  ['>', '>'],
  ['<=', '<='],
  ['>=', '>='],
])
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
])

/** Reads a condition; at most 4,096 characters, 512 parts, 32 levels deep. Never throws, and takes time linear in the text. */
export function parseExpression(text: string): ParsedExpression {
  try {
    if (text.length > MAX_CHARACTERS) {
      const reason = `an expression of ${text.length} characters, the limit is ${MAX_CHARACTERS}`
      throw new ExpressionError(MAX_CHARACTERS, reason, 'Shorten it, or let the directive that is run decide.')
    }
    const reading: Reading = { tokens: readTokens(text), paths: [], at: 0, nodes: 0, depth: 0 }
    if (peek(reading).kind === 'end')
      throw new ExpressionError(0, 'an empty expression', 'Write a condition, such as `event.name == "on_error"`.')
    const expression = readOr(reading)
    const rest = peek(reading)
    if (rest.kind !== 'end') throw unexpected(rest)
    return { kind: 'parsed', expression, paths: reading.paths }
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    return { kind: 'broken', offset: error.offset, reason: error.message, fix: error.fix }
  }
}

interface Reading {
  readonly tokens: readonly Token[]
  readonly paths: PathUse[]
  at: number
  nodes: number
  depth: number
}

function readOr(reading: Reading): Expression {
  let left = readAnd(reading)
  while (takeWord(reading, 'or')) left = binary(reading, 'or', left, readAnd(reading))
  return left
}

function readAnd(reading: Reading): Expression {
  let left = readNot(reading)
  while (takeWord(reading, 'and')) left = binary(reading, 'and', left, readNot(reading))
  return left
}

function readNot(reading: Reading): Expression {
  const { offset } = peek(reading)
  if (!takeWord(reading, 'not')) return readComparison(reading)
  const operand = deeper(reading, offset, readNot)
  return counted(reading, offset, { kind: 'not', operand })
}

function readComparison(reading: Reading): Expression {
  const left = readSum(reading)
  const operator = takeComparison(reading)
  if (operator === null) return left
  const comparison = binary(reading, operator, left, readSum(reading))
  const { offset } = peek(reading)
  if (takeComparison(reading) === null) return comparison
  throw new ExpressionError(offset, 'a comparison of a comparison', 'Write `a < b and b < c`, or put one of them in parentheses.')
}

function takeComparison(reading: Reading): BinaryOperator | null {
  const token = peek(reading)
  const operator = token.kind === 'symbol' ? COMPARISONS.get(token.text) : undefined
  if (operator !== undefined) {
    reading.at += 1
    return operator
  }
  if (takeWord(reading, 'in')) return 'in'
  if (!takeWord(reading, 'not')) return null
  if (takeWord(reading, 'in')) return 'not in'
  throw new ExpressionError(token.offset, '`not` between two values', 'Write `not in`, `!=`, or `and not`.')
}

function readSum(reading: Reading): Expression {
  let left = readProduct(reading)
  for (;;) {
    if (takeSymbol(reading, '+')) left = binary(reading, '+', left, readProduct(reading))
    else if (takeSymbol(reading, '-')) left = binary(reading, '-', left, readProduct(reading))
    else return left
  }
}

function readProduct(reading: Reading): Expression {
  let left = readSigned(reading)
  for (;;) {
    if (takeSymbol(reading, '*')) left = binary(reading, '*', left, readSigned(reading))
    else if (takeSymbol(reading, '/')) left = binary(reading, '/', left, readSigned(reading))
    else return left
  }
}

/** `-x` is `0 - x`, which is what a number with another sign is. */
function readSigned(reading: Reading): Expression {
  const { offset } = peek(reading)
  if (!takeSymbol(reading, '-')) return readPrimary(reading)
  const operand = deeper(reading, offset, readSigned)
  if (operand.kind === 'literal' && typeof operand.value === 'number') return { kind: 'literal', value: 0 - operand.value }
  return binary(reading, '-', counted(reading, offset, { kind: 'literal', value: 0 }), operand)
}

function readPrimary(reading: Reading): Expression {
  const token = peek(reading)
  reading.at += 1
  switch (token.kind) {
    case 'number':
    case 'string':
      return counted(reading, token.offset, { kind: 'literal', value: token.value })
    case 'path':
      reading.paths.push({ segments: token.segments, offset: token.offset })
      return counted(reading, token.offset, { kind: 'path', segments: token.segments })
    case 'word': {
      const value = CONSTANTS.get(token.text)
      if (value === undefined) throw unexpected(token)
      return counted(reading, token.offset, { kind: 'literal', value })
    }
    case 'symbol':
      if (token.text !== '(') throw unexpected(token)
      return readParentheses(reading, token.offset)
    case 'end':
      throw unexpected(token)
  }
}

function readParentheses(reading: Reading, offset: number): Expression {
  const inner = deeper(reading, offset, readOr)
  const token = peek(reading)
  if (takeSymbol(reading, ')')) return inner
  if (token.kind !== 'end') throw unexpected(token)
  throw new ExpressionError(offset, 'a parenthesis that is never closed', 'Add `)`.')
}

function unexpected(token: Token): ExpressionError {
  const { offset } = token
  switch (token.kind) {
    case 'end':
      return new ExpressionError(
        offset,
        'the expression ends where a value is missing',
        'Add the value, or remove the operator before it.',
      )
    case 'word':
      if (token.text === 'not')
        return new ExpressionError(offset, '`not` within a comparison or a sum', 'Put it in parentheses: `(not …)`.')
      return new ExpressionError(offset, `\`${token.text}\` where it does not belong`, 'Put one operator between two values.')
    case 'symbol':
      return new ExpressionError(
        offset,
        `\`${token.text}\` where it does not belong`,
        'Put one operator between two values, and close each `(` once.',
      )
    case 'number':
    case 'string':
    case 'path':
      return new ExpressionError(offset, 'a value after a value', 'Put an operator between them, such as `and` or `==`.')
  }
}

function peek(reading: Reading): Token {
  return reading.tokens[reading.at] ?? { kind: 'end', offset: 0 }
}

function takeWord(reading: Reading, text: string): boolean {
  return take(reading, 'word', text)
}

function takeSymbol(reading: Reading, text: string): boolean {
  return take(reading, 'symbol', text)
}

function take(reading: Reading, kind: 'word' | 'symbol', text: string): boolean {
  const token = peek(reading)
  if (token.kind !== kind || token.text !== text) return false
  reading.at += 1
  return true
}

function binary(reading: Reading, operator: BinaryOperator, left: Expression, right: Expression): Expression {
  return counted(reading, peek(reading).offset, { kind: 'binary', operator, left, right })
}

function counted(reading: Reading, offset: number, expression: Expression): Expression {
  reading.nodes += 1
  if (reading.nodes <= MAX_NODES) return expression
  throw new ExpressionError(
    offset,
    `an expression of more than ${MAX_NODES} parts`,
    'Shorten it, or let the directive that is run decide.',
  )
}

function deeper(reading: Reading, offset: number, read: (reading: Reading) => Expression): Expression {
  reading.depth += 1
  if (reading.depth > MAX_DEPTH)
    throw new ExpressionError(offset, `nested deeper than ${MAX_DEPTH} levels`, 'Flatten the expression.')
  const expression = read(reading)
  reading.depth -= 1
  return expression
}
