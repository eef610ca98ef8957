import type { Json } from '../json.ts'
import type { Conversation } from './conversation.ts'
import { asText, isObject } from './conversation.ts'
import { evaluate, parseExpression } from './expression.ts'

/** A value of a scenario with its `{{ … }}` parsed; a value without any is given as it is. */
export type Render = (conversation: Conversation) => Json

const PLACEHOLDER = /\{\{(.*?)\}\}/gs

/**
 * Compiles every text of a value. A text that is one lone `{{ … }}` becomes the value with its type.
 *
 * @throws {ExpressionError}
 */
export function compileTemplate(value: Json): Render {
  if (typeof value === 'string') return compileText(value)
  if (Array.isArray(value)) {
    const parts = value.map((element: Json) => compileTemplate(element))
    return (conversation) => parts.map((render) => render(conversation))
  }
  if (isObject(value)) {
    const parts = Object.entries(value).map(([key, child]) => [key, compileTemplate(child)] as const)
    return (conversation) => Object.fromEntries(parts.map(([key, render]) => [key, render(conversation)]))
  }
  return () => value
}

function compileText(text: string): Render {
  const parts: Render[] = []
  let from = 0
  for (const match of text.matchAll(PLACEHOLDER)) {
    const expression = parseExpression(match[1] ?? '')
    const isLone = match[0] === text.trim()
    if (isLone) return (conversation) => evaluate(expression, conversation)
    const before = text.slice(from, match.index)
    parts.push(
      () => before,
      (conversation) => asText(evaluate(expression, conversation)),
    )
    from = match.index + match[0].length
  }
  if (parts.length === 0) return () => text
  const rest = text.slice(from)
  return (conversation) => parts.map((render) => asText(render(conversation))).join('') + rest
}
