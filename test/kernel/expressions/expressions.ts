import assert from 'node:assert/strict'
import type { Json } from '../../../src/json.ts'
import { evaluate } from '../../../src/kernel/expressions/evaluate.ts'
import type { Expression, ExpressionScope } from '../../../src/kernel/expressions/expression.ts'
import { parseExpression } from '../../../src/kernel/expressions/parse-expression.ts'

export function parsed(text: string): Expression {
  const outcome = parseExpression(text)
  assert(outcome.kind === 'parsed', JSON.stringify(outcome))
  return outcome.expression
}

export function valueOf(text: string, scope: ExpressionScope = {}): Json {
  return evaluate(parsed(text), scope)
}

/** Asserts that a text is refused at this character for a reason that matches, and with something to write instead. */
export function assertBroken(text: string, offset: number, reason: RegExp): void {
  const outcome = parseExpression(text)
  assert(outcome.kind === 'broken', `${text} was read`)
  assert.equal(outcome.offset, offset, text)
  assert.match(outcome.reason, reason)
  assert.notEqual(outcome.fix, '')
}
