import type { ArrayExpression, Expression, ObjectExpression, ObjectProperty } from 'oxc-parser'
import type { Json } from '../../json.ts'
import { FORBIDDEN_KEYS } from './names.ts'
import { MAX_NESTING } from './source-text.ts'

/** A literal's value, or the first part of the expression that is not one. */
export type Literal =
  | { readonly kind: 'value'; readonly value: Json }
  | { readonly kind: 'invalid'; readonly offset: number; readonly reason: string }

/** The value of an expression that can be known without running it. */
export function readLiteral(node: Expression, depth: number = 0): Literal {
  if (depth > MAX_NESTING) return invalid(node, `nested deeper than ${MAX_NESTING} levels`)
  if (node.type === 'Literal') return readScalar(node)
  if (node.type === 'ArrayExpression') return readArray(node, depth)
  if (node.type === 'ObjectExpression') return readObject(node, depth)
  if (node.type === 'TemplateLiteral') {
    const [only] = node.quasis
    if (node.expressions.length > 0 || only === undefined) return invalid(node, 'a template with `${…}`')
    return { kind: 'value', value: only.value.cooked ?? only.value.raw }
  }
  if (node.type === 'UnaryExpression') {
    const operand = readLiteral(node.argument, depth + 1)
    if (node.operator !== '-' || operand.kind !== 'value' || typeof operand.value !== 'number')
      return invalid(node, 'a computed value')
    return { kind: 'value', value: -operand.value }
  }
  if (node.type === 'TSAsExpression' || node.type === 'TSSatisfiesExpression') return readLiteral(node.expression, depth + 1)
  if (node.type === 'Identifier') return invalid(node, `the name \`${node.name}\``)
  return invalid(node, node.type === 'CallExpression' ? 'a function call' : 'an expression that must be run')
}

function readScalar(node: { readonly start: number; readonly value: unknown; readonly raw: string | null }): Literal {
  const { value } = node
  if (value === null && node.raw === 'null') return { kind: 'value', value }
  if (typeof value === 'string' || typeof value === 'boolean') return { kind: 'value', value }
  if (typeof value !== 'number') return invalid(node, 'a regular expression or big integer')
  if (!Number.isFinite(value)) return invalid(node, 'a number that is not finite')
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return invalid(node, 'a number too large to be kept exactly')
  return { kind: 'value', value }
}

function readArray(node: ArrayExpression, depth: number): Literal {
  const values: Json[] = []
  for (const element of node.elements) {
    if (element === null) return invalid(node, 'a list with a hole')
    if (element.type === 'SpreadElement') return invalid(element, 'a spread (`...`)')
    const literal = readLiteral(element, depth + 1)
    if (literal.kind === 'invalid') return literal
    values.push(literal.value)
  }
  return { kind: 'value', value: values }
}

function readObject(node: ObjectExpression, depth: number): Literal {
  const values = new Map<string, Json>()
  for (const property of node.properties) {
    if (property.type === 'SpreadElement') return invalid(property, 'a spread (`...`)')
    const key = readKey(property)
    if (key === null) return invalid(property, 'a computed key, method or shorthand')
    if (FORBIDDEN_KEYS.has(key)) return invalid(property, `the key \`${key}\``)
    if (values.has(key)) return invalid(property, `the key \`${key}\` a second time`)
    const literal = readLiteral(property.value, depth + 1)
    if (literal.kind === 'invalid') return literal
    values.set(key, literal.value)
  }
  return { kind: 'value', value: Object.fromEntries(values) }
}

function readKey(property: ObjectProperty): string | null {
  if (property.kind !== 'init' || property.method || property.shorthand || property.computed) return null
  const { key } = property
  if (key.type === 'Identifier') return key.name
  return key.type === 'Literal' && (typeof key.value === 'string' || typeof key.value === 'number') ? String(key.value) : null
}

function invalid(node: { readonly start: number }, reason: string): Literal {
  return { kind: 'invalid', offset: node.start, reason }
}
