import type { Json, JsonObject } from '../json.ts'
import { asText, isObject } from './conversation.ts'
import type { Conversation, SeenResult } from './conversation.ts'

/**
 * The small language between `{{` and `}}` of a scenario: paths over the conversation, and a few functions.
 *
 *   turn, user, first_user, model, system
 *   results.NAME.last | first | all | count    parsed tool results by tool name, or by item for `execute`; `all` is a list
 *   length(x)  sum(list, 'field')  where(list, 'field', value)  take(list, n)  json(x)
 *   ending(list, 'field', '.md')  not_starting(list, 'field', '.')
 *   nth(list, n)                               element n from 0, or the last one of a shorter list
 *   unique(list, 'field')                      the first element for each value of the field
 *   table(list, 'Header=field', …)             a Markdown table, one row for each element
 */
export type Expression =
  | { readonly kind: 'value'; readonly value: Json }
  | { readonly kind: 'path'; readonly segments: readonly string[] }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[]; readonly segments: readonly string[] }

/** The text between the braces does not follow the grammar, or names nothing that exists. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError'
}

const TOKEN = /\s*(?:([A-Za-z_][\w-]*)|(\d+(?:\.\d+)?)|'([^']*)'|([().,]))/y

/**
 * @throws {ExpressionError}
 */
export function parseExpression(source: string): Expression {
  const tokens = tokenize(source)
  let at = 0
  const fail = (expected: string): never => {
    const found = tokens[at]
    throw new ExpressionError(
      `Expected ${expected} ${found === undefined ? 'at the end' : `before "${found.text}"`} of {{ ${source.trim()} }}.`,
    )
  }
  const isMark = (mark: string): boolean => tokens[at]?.kind === 'mark' && tokens[at]?.text === mark
  const readSegments = (): string[] => {
    const segments: string[] = []
    while (isMark('.')) {
      at += 1
      const token = tokens[at] ?? fail('a name or an index')
      if (token.kind !== 'name' && token.kind !== 'number') fail('a name or an index')
      // `files.0.path`: the tokenizer may have read `0.5` of `a.0.5` as one number.
      segments.push(...token.text.split('.'))
      at += 1
    }
    return segments
  }
  const readOne = (): Expression => {
    const token = tokens[at] ?? fail('a value')
    at += 1
    if (token.kind === 'number') return { kind: 'value', value: Number(token.text) }
    if (token.kind === 'text') return { kind: 'value', value: token.text }
    if (token.kind === 'mark') {
      at -= 1
      return fail('a value')
    }
    if (!isMark('(')) return { kind: 'path', segments: [token.text, ...readSegments()] }
    if (!Object.hasOwn(FUNCTIONS, token.text)) {
      throw new ExpressionError(`There is no function "${token.text}"; use one of ${Object.keys(FUNCTIONS).join(', ')}.`)
    }
    at += 1
    const args: Expression[] = []
    while (!isMark(')')) {
      if (args.length > 0) {
        if (!isMark(',')) fail('"," or ")"')
        at += 1
      }
      args.push(readOne())
    }
    at += 1
    return { kind: 'call', name: token.text, args, segments: readSegments() }
  }
  const expression = readOne()
  if (at < tokens.length) fail('the end')
  return expression
}

interface Token {
  readonly kind: 'name' | 'number' | 'text' | 'mark'
  readonly text: string
}

function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = []
  const text = source.trimEnd()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const from = TOKEN.lastIndex
    const match = TOKEN.exec(text)
    if (match === null)
      throw new ExpressionError(`Cannot read "${text.slice(from)}" in {{ ${source.trim()} }}. Texts stand in single quotes.`)
    const [, name, number, quoted, mark] = match
    if (name !== undefined) tokens.push({ kind: 'name', text: name })
    else if (number !== undefined) tokens.push({ kind: 'number', text: number })
    else if (quoted !== undefined) tokens.push({ kind: 'text', text: quoted })
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark })
  }
  return tokens
}

/**
 * @throws {ExpressionError} for a path that leads nowhere.
 */
export function evaluate(expression: Expression, conversation: Conversation): Json {
  switch (expression.kind) {
    case 'value':
      return expression.value
    case 'path':
      return evaluatePath(expression.segments, conversation)
    case 'call': {
      const args = expression.args.map((argument) => evaluate(argument, conversation))
      const value = FUNCTIONS[expression.name]?.(args) ?? null
      return walk(value, expression.segments, `${expression.name}(…)`)
    }
  }
}

function evaluatePath(segments: readonly string[], conversation: Conversation): Json {
  const [root = '', ...rest] = segments
  switch (root) {
    case 'turn':
      return walk(conversation.turn, rest, root)
    case 'user':
      return walk(conversation.lastUserText, rest, root)
    case 'first_user':
      return walk(conversation.firstUserText, rest, root)
    case 'model':
      return walk(conversation.model, rest, root)
    case 'system':
      return walk(conversation.system, rest, root)
    case 'results':
      return resultsPath(rest, conversation)
    default:
      throw new ExpressionError(`There is no "${root}"; begin with turn, user, first_user, model, system or results.`)
  }
}

function resultsPath([name = '', which = '', ...rest]: readonly string[], conversation: Conversation): Json {
  const found = conversation.results.filter(({ tool, item }) => tool === name || item === name)
  const place = `results.${name}.${which}`
  if (which === 'count') return walk(found.length, rest, place)
  if (which === 'all') return walk(found.map(resultValue), rest, place)
  const result = which === 'first' ? found[0] : found.at(-1)
  if (which !== 'first' && which !== 'last')
    throw new ExpressionError(`Expected first, last, all or count after results.${name}, got "${which}".`)
  if (result === undefined) {
    const known = [...new Set(conversation.results.map(({ tool, item }) => item ?? tool))].join(', ') || 'none'
    throw new ExpressionError(`No result of "${name}" is in the conversation; there are results of: ${known}.`)
  }
  return walk(resultValue(result), rest, place)
}

/** The result parsed as JSON (without the envelope that a meta-tool puts around a tool's value), or its text where it is none. */
function resultValue({ content }: SeenResult): Json {
  try {
    // JSON.parse can give nothing but JSON values.
    const value = JSON.parse(content) as Json
    return isObject(value) && value['success'] === true && value['result'] !== undefined ? value['result'] : value
  } catch {
    return content
  }
}

function walk(value: Json, segments: readonly string[], place: string): Json {
  let current = value
  let path = place
  for (const segment of segments) {
    const next = memberOf(current, segment)
    if (next === undefined) throw new ExpressionError(`${path} has no "${segment}"; it is ${preview(current)}.`)
    current = next
    path = `${path}.${segment}`
  }
  return current
}

/** Own members only. */
function memberOf(value: Json, segment: string): Json | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined
  // `Object.hasOwn` has just shown that the key exists; lists are indexed by text just as well.
  return (value as JsonObject)[segment]
}

function preview(value: Json): string {
  const text = JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text
}

const FUNCTIONS: Readonly<Record<string, (args: readonly Json[]) => Json>> = {
  length: ([value]) => (typeof value === 'string' ? value.length : asList(value, 'length').length),
  sum: ([value, field]) => asList(value, 'sum').reduce((sum: number, element) => sum + Number(fieldOf(element, field, 'sum')), 0),
  where: ([value, field, wanted]) => asList(value, 'where').filter((element) => fieldOf(element, field, 'where') === wanted),
  ending: ([value, field, suffix]) =>
    asList(value, 'ending').filter((element) => asText(fieldOf(element, field, 'ending')).endsWith(asText(suffix))),
  not_starting: ([value, field, prefix]) =>
    asList(value, 'not_starting').filter(
      (element) => !asText(fieldOf(element, field, 'not_starting')).startsWith(asText(prefix)),
    ),
  nth: ([value, at]) => nth(asList(value, 'nth'), Number(at)),
  unique: ([value, field]) => unique(asList(value, 'unique'), field),
  take: ([value, count]) => asList(value, 'take').slice(0, Number(count)),
  json: ([value]) => JSON.stringify(value ?? null),
  table: ([value, ...columns]) => markdownTable(asList(value, 'table'), columns),
}

function nth(list: readonly Json[], at: number): Json {
  const element = list[Math.min(at, list.length - 1)]
  if (element === undefined) throw new ExpressionError('nth() needs a list with at least one element.')
  return element
}

function unique(list: readonly Json[], field: Json | undefined): readonly Json[] {
  const seen = new Set<string>()
  return list.filter((element) => {
    const value = JSON.stringify(fieldOf(element, field, 'unique'))
    if (seen.has(value)) return false
    seen.add(value)
    return true
  })
}

function asList(value: Json | undefined, name: string): readonly Json[] {
  if (!Array.isArray(value)) throw new ExpressionError(`${name}() needs a list, got ${preview(value ?? null)}.`)
  // `Array.isArray` does not narrow a readonly array type.
  return value as readonly Json[]
}

function fieldOf(element: Json, field: Json | undefined, name: string): Json {
  if (typeof field !== 'string') throw new ExpressionError(`${name}() needs a field name in single quotes.`)
  return walk(element, field.split('.'), 'an element')
}

function markdownTable(rows: readonly Json[], columns: readonly Json[]): string {
  const parsed = columns.map((column) => {
    const [header = '', field = header] = asText(column).split('=')
    return { header, field }
  })
  return [
    tableLine(parsed.map(({ header }) => header)),
    tableLine(parsed.map(() => '---')),
    ...rows.map((row) => tableLine(parsed.map(({ field }) => tableCell(row, field)))),
  ].join('\n')
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function tableCell(row: Json, field: string): string {
  return asText(fieldOf(row, field, 'table')).replaceAll('|', '\\|')
}
