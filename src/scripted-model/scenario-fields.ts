import type { Json, JsonObject } from '../json.ts'
import { isObject } from './conversation.ts'
import { ExpressionError } from './expression.ts'
import { readFault } from './fault-fields.ts'
import { createFields, defined } from './field-reader.ts'
import type { FieldProblem, Fields, Path } from './field-reader.ts'
import type { Reply, Rule, Scenario, ScriptedCall, ScriptedUsage, When } from './scenario.ts'
import { compileTemplate } from './template.ts'

/** The scenario of a parsed file; every problem is added to `problems`, and then the result is not to be used. */
export function readScenario(value: Json, problems: FieldProblem[]): Scenario | null {
  const fields = createFields(problems)
  if (!isObject(value)) {
    fields.problem([], 'a scenario must be a map', 'Begin with `scenario: NAME` and `rules:`.')
    return null
  }
  fields.onlyKeys(value, [], ['scenario', 'description', 'defaults', 'rules'])
  const name = fields.text(value, ['scenario']) ?? 'unnamed'
  const defaults = readDefaults(value['defaults'], fields)
  const rules = value['rules']
  if (!Array.isArray(rules) || rules.length === 0) {
    fields.problem(['rules'], 'must be a list of at least one rule', 'Write `rules:` with `- reply: {text: …}` below.')
    return null
  }
  return { name, rules: rules.map((rule: Json, at) => readRule(rule, ['rules', at], { fields, defaults })) }
}

interface Reading {
  readonly fields: Fields
  readonly defaults: Pick<Reply, 'delay_ms' | 'piece_chars'>
}

function readDefaults(value: Json | undefined, fields: Fields): Reading['defaults'] {
  if (value === undefined) return {}
  if (!isObject(value)) {
    fields.problem(['defaults'], 'must be a map', 'Write `delay_ms` and `piece_chars` below it, or remove it.')
    return {}
  }
  fields.onlyKeys(value, ['defaults'], ['delay_ms', 'piece_chars'])
  return readPacing(value, ['defaults'], fields)
}

function readPacing(value: JsonObject, path: Path, fields: Fields): Reading['defaults'] {
  return defined({
    delay_ms: fields.count(value, [...path, 'delay_ms'], 0),
    piece_chars: fields.count(value, [...path, 'piece_chars'], 1),
  })
}

function readRule(value: Json, path: Path, { fields, defaults }: Reading): Rule {
  if (!isObject(value)) {
    fields.problem(path, 'a rule must be a map', 'Write `- when: {turn: 1}` and `reply: {text: …}`.')
    return { name: '', when: {}, reply: {} }
  }
  fields.onlyKeys(value, path, ['name', 'when', 'times', 'fault', 'reply'])
  const reply = fields.map(value, [...path, 'reply'])
  const fault = fields.map(value, [...path, 'fault'])
  if (reply === undefined && fault === undefined)
    fields.problem(path, 'has neither `reply` nor `fault`', 'Add `reply: {text: …}`.')
  const when = fields.map(value, [...path, 'when'])
  const optional = {
    times: fields.count(value, [...path, 'times'], 1),
    fault: fault && readFault(fault, [...path, 'fault'], fields),
  }
  return {
    name: fields.text(value, [...path, 'name']) ?? `rule ${Number(path.at(-1)) + 1}`,
    when: when === undefined ? {} : readWhen(when, [...path, 'when'], fields),
    reply: { ...defaults, ...(reply === undefined ? {} : readReply(reply, [...path, 'reply'], fields)) },
    ...defined(optional),
  }
}

function readWhen(value: JsonObject, path: Path, fields: Fields): When {
  const known = [
    'directive',
    'turn',
    'user_contains',
    'user_matches',
    'last_result',
    'last_result_error',
    'model',
    'system_contains',
  ]
  fields.onlyKeys(value, path, known)
  const range = isObject(value['turn']) ? value['turn'] : null
  if (range !== null) fields.onlyKeys(range, [...path, 'turn'], ['from', 'to'])
  const turn =
    range === null
      ? fields.count(value, [...path, 'turn'], 1)
      : defined({ from: fields.count(range, [...path, 'turn', 'from'], 1), to: fields.count(range, [...path, 'turn', 'to'], 1) })
  return defined({
    turn,
    directive: fields.text(value, [...path, 'directive']),
    user_contains: fields.text(value, [...path, 'user_contains']),
    user_matches: fields.text(value, [...path, 'user_matches']),
    last_result: fields.text(value, [...path, 'last_result']),
    last_result_error: fields.flag(value, [...path, 'last_result_error']),
    model: fields.text(value, [...path, 'model']),
    system_contains: fields.text(value, [...path, 'system_contains']),
  })
}

const STOPS = ['end_turn', 'tool_use', 'max_tokens', 'refusal'] as const

function readReply(value: JsonObject, path: Path, fields: Fields): Reply {
  fields.onlyKeys(value, path, ['reasoning', 'text', 'tool_calls', 'usage', 'stop_reason', 'delay_ms', 'piece_chars'])
  const stop = fields.text(value, [...path, 'stop_reason'])
  const stopReason = STOPS.find((known) => known === stop)
  if (stop !== undefined && stopReason === undefined)
    fields.problem([...path, 'stop_reason'], `"${stop}" is not a stop reason`, `Use one of ${STOPS.join(', ')}.`)
  const usage = fields.map(value, [...path, 'usage'])
  return defined({
    reasoning: template(fields.text(value, [...path, 'reasoning']), [...path, 'reasoning'], fields),
    text: template(fields.text(value, [...path, 'text']), [...path, 'text'], fields),
    tool_calls: readCalls(value['tool_calls'], [...path, 'tool_calls'], fields),
    usage: usage && readUsage(usage, [...path, 'usage'], fields),
    stop_reason: stopReason,
    ...readPacing(value, path, fields),
  })
}

function readCalls(value: Json | undefined, path: Path, fields: Fields): readonly ScriptedCall[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value)) {
    fields.problem(path, 'must be a list of calls', 'Write `- name: TOOL` with `arguments:` below it.')
    return undefined
  }
  return value.map((call: Json, at) => {
    const here = [...path, at]
    if (!isObject(call)) {
      fields.problem(here, 'a call must be a map', 'Write `- name: TOOL` with `arguments:` below it.')
      return { name: '' }
    }
    fields.onlyKeys(call, here, ['name', 'arguments', 'raw_arguments'])
    const name = fields.text(call, [...here, 'name'])
    if (name === undefined) fields.problem([...here, 'name'], 'is missing', 'Write the name of the tool to call.')
    const input = template(call['arguments'], [...here, 'arguments'], fields)
    return { name: name ?? '', ...defined({ arguments: input, raw_arguments: fields.text(call, [...here, 'raw_arguments']) }) }
  })
}

function readUsage(value: JsonObject, path: Path, fields: Fields): Partial<ScriptedUsage> {
  fields.onlyKeys(value, path, ['input', 'cache_read', 'cache_write', 'output', 'reasoning'])
  return defined({
    input: fields.count(value, [...path, 'input'], 0),
    cache_read: fields.count(value, [...path, 'cache_read'], 0),
    cache_write: fields.count(value, [...path, 'cache_write'], 0),
    output: fields.count(value, [...path, 'output'], 0),
    reasoning: fields.count(value, [...path, 'reasoning'], 0),
  })
}

/** The value, after its `{{ … }}` were parsed once, so that a mistake in them is found when the file is read. */
function template<T extends Json>(value: T | undefined, path: Path, fields: Fields): T | undefined {
  if (value === undefined) return undefined
  try {
    compileTemplate(value)
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    fields.problem(
      path,
      `holds an expression that cannot be read: ${error.message}`,
      'Begin paths with turn, user, first_user, model, system or results.NAME.last, and put texts into single quotes.',
    )
  }
  return value
}
