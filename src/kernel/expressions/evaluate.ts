import type { Json, JsonObject } from '../../json.ts'
import { isJsonObject } from '../items/field-reader.ts'
import { FORBIDDEN_KEYS } from '../items/names.ts'
import { containsText } from './contains-text.ts'
import type { Expression, ExpressionScope } from './expression.ts'

/** Values that one evaluation compares within lists and maps; what is left then is unequal, so that hostile data cannot take long. */
const MAX_COMPARED = 100_000
const MAX_COMPARED_DEPTH = 64

/**
 * The value of an expression. Pure, never throws, and takes time linear in the expression and what it compares.
 *
 * - `and`, `or` and `not` give booleans and read only what they need; `isTrue` says what counts as true.
 * - `==` and `!=` never convert: a number equals no text. Lists and maps are compared by content.
 * - `<`, `>`, `<=`, `>=` order two numbers, or two texts by their characters; anything else is false.
 * - `in` looks for an entry of a list, a key of a map, or a part of a text; in anything else there is nothing.
 * - `+ - * /` work on numbers; everything else, texts and booleans too, counts as 0. Dividing by 0 gives 0, and what is too large the
 *   largest number, so that a result is always a finite number.
 */
export function evaluate(expression: Expression, scope: ExpressionScope): Json {
  return valueOf(expression, { scope, left: MAX_COMPARED })
}

/** `false`, `null`, `0` and `""` count as false; everything else, also an empty list or map, as true. */
export function isTrue(value: Json): boolean {
  return value !== false && value !== null && value !== 0 && value !== ''
}

/** What a path leads to by own properties of maps alone; null where it leads nowhere. */
export function readPath(segments: readonly string[], scope: ExpressionScope): Json {
  let value: Json = scope
  for (const segment of segments) {
    if (!isJsonObject(value) || FORBIDDEN_KEYS.has(segment) || !Object.hasOwn(value, segment)) return null
    value = value[segment] ?? null
  }
  return value
}

interface Evaluation {
  readonly scope: ExpressionScope
  /** Comparisons that may still be made. */
  left: number
}

function valueOf(expression: Expression, evaluation: Evaluation): Json {
  switch (expression.kind) {
    case 'literal':
      return expression.value
    case 'path':
      return readPath(expression.segments, evaluation.scope)
    case 'not':
      return !isTrue(valueOf(expression.operand, evaluation))
    case 'binary':
      return binaryValue(expression, evaluation)
  }
}

function binaryValue(expression: Extract<Expression, { kind: 'binary' }>, evaluation: Evaluation): Json {
  const { operator } = expression
  const left = valueOf(expression.left, evaluation)
  if (operator === 'and') return isTrue(left) && isTrue(valueOf(expression.right, evaluation))
  if (operator === 'or') return isTrue(left) || isTrue(valueOf(expression.right, evaluation))
  const right = valueOf(expression.right, evaluation)
  switch (operator) {
    case '==':
      return areEqual(left, right, 0, evaluation)
    case '!=':
      return !areEqual(left, right, 0, evaluation)
    case 'in':
      return isWithin(left, right, evaluation)
    case 'not in':
      return !isWithin(left, right, evaluation)
    case '<':
      return isBefore(left, right)
    case '>':
      return isBefore(right, left)
    case '<=':
      return isBefore(left, right) || isSameRank(left, right)
    case '>=':
      return isBefore(right, left) || isSameRank(left, right)
    case '+':
      return finite(numberOf(left) + numberOf(right))
    case '-':
      return finite(numberOf(left) - numberOf(right))
    case '*':
      return finite(numberOf(left) * numberOf(right))
    case '/':
      return numberOf(right) === 0 ? 0 : finite(numberOf(left) / numberOf(right))
  }
}

function areEqual(left: Json, right: Json, depth: number, evaluation: Evaluation): boolean {
  evaluation.left -= 1
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (depth >= MAX_COMPARED_DEPTH || evaluation.left <= 0) return false
  if (isJsonObject(left)) return isJsonObject(right) && areEqualMaps(left, right, depth, evaluation)
  if (isJsonObject(right) || left.length !== right.length) return false
  for (const [index, entry] of left.entries()) {
    if (evaluation.left <= 0 || !areEqual(entry, right[index] ?? null, depth + 1, evaluation)) return false
  }
  return true
}

function areEqualMaps(left: JsonObject, right: JsonObject, depth: number, evaluation: Evaluation): boolean {
  const keys = Object.keys(left)
  const others = Object.keys(right).length
  // Listing the keys took this long already, whatever is compared of them.
  evaluation.left -= keys.length + others
  if (keys.length !== others) return false
  for (const key of keys) {
    if (evaluation.left <= 0 || !Object.hasOwn(right, key)) return false
    if (!areEqual(left[key] ?? null, right[key] ?? null, depth + 1, evaluation)) return false
  }
  return true
}

function isWithin(value: Json, container: Json, evaluation: Evaluation): boolean {
  if (typeof container === 'string') return typeof value === 'string' && containsText(container, value)
  if (isJsonObject(container)) return typeof value === 'string' && !FORBIDDEN_KEYS.has(value) && Object.hasOwn(container, value)
  if (!Array.isArray(container)) return false
  for (const entry of container) {
    if (evaluation.left <= 0) return false
    if (areEqual(value, entry, 0, evaluation)) return true
  }
  return false
}

function isBefore(left: Json, right: Json): boolean {
  if (typeof left === 'number' && typeof right === 'number') return left < right
  return typeof left === 'string' && typeof right === 'string' && left < right
}

function isSameRank(left: Json, right: Json): boolean {
  return left === right && (typeof left === 'number' || typeof left === 'string')
}

function numberOf(value: Json): number {
  return typeof value === 'number' ? finite(value) : 0
}

/** Never NaN, an infinity or a negative zero. */
function finite(value: number): number {
  if (Number.isNaN(value)) return 0
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value)) + 0
}
