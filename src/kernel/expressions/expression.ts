import type { Json } from '../../json.ts'

/**
 * A condition over plain data, as hooks are written in: `event.name == "on_limit" and cost.spent_usd / limits.max_cost_usd > 0.8`.
 *
 * Binding, from the loosest: `or`, `and`, `not`, one comparison (`== != < > <= >= in`, `not in`), `+ -`, `* /`. Literals are numbers, strings,
 * `true`, `false` and `null`; a dotted path reads own properties, and what is missing is null. There are no calls and no indexing.
 */
export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'path'; readonly segments: readonly string[] }
  | { readonly kind: 'not'; readonly operand: Expression }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: Expression; readonly right: Expression }

export type BinaryOperator = 'or' | 'and' | '==' | '!=' | '<' | '>' | '<=' | '>=' | 'in' | 'not in' | '+' | '-' | '*' | '/'

export type ParsedExpression =
  /** `paths` in the order in which they are written. */
  | { readonly kind: 'parsed'; readonly expression: Expression; readonly paths: readonly PathUse[] }
  /** `offset` counts characters of the text from 0. */
  | { readonly kind: 'broken'; readonly offset: number; readonly reason: string; readonly fix: string }

/** One path where it is written. `offset` as in `ParsedExpression`. */
export interface PathUse {
  readonly segments: readonly string[]
  readonly offset: number
}

/** What an expression reads: names at the top, plain JSON below. */
export type ExpressionScope = Readonly<Record<string, Json>>
