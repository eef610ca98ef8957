import type { JsonObject } from '../../json.ts'
import type { ValidationError } from '../errors.ts'
import { childTags, lineText } from './directive-reader.ts'
import type { DirectiveReader } from './directive-reader.ts'
import type { XmlTag } from './directive-xml.ts'
import type { CostLimits } from './item.ts'
import { suggestName } from './nearest-name.ts'

type ValueKind = 'count' | 'seconds' | 'usd' | 'fraction' | 'exceeded' | 'full'

const COST_FIELDS: ReadonlyMap<string, ValueKind> = new Map([
  ['max_turns', 'count'],
  ['on_exceeded', 'exceeded'],
  ['max_input_tokens', 'count'],
  ['max_output_tokens', 'count'],
  ['max_total_tokens', 'count'],
  ['max_context_tokens', 'count'],
  ['context_warning_threshold', 'fraction'],
  ['on_context_full', 'full'],
  ['max_cost_usd', 'usd'],
  ['max_duration_seconds', 'seconds'],
  ['max_tool_calls', 'count'],
  ['max_spawns', 'count'],
  ['max_live_spawns', 'count'],
  ['max_depth', 'count'],
  ['max_handoffs', 'count'],
])
/** Every field of `<cost>`. */
export const COST_NAMES: readonly string[] = [...COST_FIELDS.keys()]

/** The short form and what each of its fields means. */
const LIMIT_FIELDS: ReadonlyMap<string, string> = new Map([
  ['turns', 'max_turns'],
  ['tokens', 'max_total_tokens'],
  ['spawns', 'max_spawns'],
  ['duration', 'max_duration_seconds'],
  ['spend', 'max_cost_usd'],
  ['on_exceeded', 'on_exceeded'],
])
const EXPECTED: Readonly<Record<ValueKind, { readonly what: string; readonly pattern: RegExp; readonly maximum: number }>> = {
  count: { what: 'a whole number from 0 up', pattern: /^\d{1,15}$/, maximum: Number.MAX_SAFE_INTEGER },
  seconds: { what: 'a number of seconds from 0 up', pattern: /^\d{1,12}(\.\d{1,9})?$/, maximum: Number.MAX_SAFE_INTEGER },
  usd: {
    what: 'an amount in US dollars from 0 up, without a sign',
    pattern: /^\d{1,9}(\.\d{1,9})?$/,
    maximum: Number.MAX_SAFE_INTEGER,
  },
  fraction: { what: 'a number from 0 to 1', pattern: /^(0(\.\d{1,9})?|1(\.0+)?)$/, maximum: 1 },
  exceeded: { what: '`stop`, `warn` or `escalate`', pattern: /^(stop|warn|escalate)$/, maximum: 0 },
  full: { what: '`stop` or `handoff`', pattern: /^(stop|handoff)$/, maximum: 0 },
}

/** `<cost>` or `<limits>` of the metadata in one form; null when there is neither, or when one is wrong. */
export function readCost(metadata: XmlTag, reader: DirectiveReader): CostLimits | null {
  const cost = reader.child(metadata, 'cost')
  const limits = reader.child(metadata, 'limits')
  if (cost !== null && limits !== null) {
    reader.problem(
      limits,
      'both `<cost>` and `<limits>` are given',
      'Keep one of them; `<limits>` is the short form of `<cost>`.',
    )
    return null
  }
  if (cost !== null) return readFields(cost, new Map([...COST_FIELDS.keys()].map((name) => [name, name])), reader)
  return limits === null ? null : readFields(limits, LIMIT_FIELDS, reader)
}

/** `names` maps each accepted field to its name in `<cost>`. */
function readFields(tag: XmlTag, names: ReadonlyMap<string, string>, reader: DirectiveReader): CostLimits | null {
  const values = new Map<string, string>()
  const numbers: Partial<Record<string, number>> = {}
  let isBroken = false
  const broken = (at: XmlTag, reason: string, fix: string): void => {
    isBroken = true
    reader.problem(at, reason, fix)
  }
  reader.noText(tag, `Write \`<${names.keys().next().value ?? ''}>10</…>\`.`)
  for (const { at, name, text } of writtenFields(tag, reader)) {
    const field = names.get(name)
    const kind = field === undefined ? undefined : COST_FIELDS.get(field)
    if (field === undefined || kind === undefined) {
      broken(at, `\`<${tag.name}>\` has no \`${name}\``, suggestName(name, [...names.keys()]))
    } else if (values.has(field)) broken(at, `\`${name}\` is given twice`, 'Keep one of them.')
    else {
      values.set(field, text)
      if (!fits(kind, text)) {
        const { what } = EXPECTED[kind]
        broken(at, `\`${name}\` must be ${what}, got ${JSON.stringify(text.slice(0, 40))}`, `Write ${what}.`)
      } else if (isNumber(kind)) numbers[field] = Number(text)
    }
  }
  const [turnsName = 'max_turns'] = [...names].find(([, field]) => field === 'max_turns') ?? []
  if (!values.has('max_turns'))
    broken(tag, `\`<${tag.name}>\` needs \`${turnsName}\``, `Add \`<${turnsName}>10</${turnsName}>\`.`)
  if (tag.name === 'cost' && !values.has('on_exceeded')) {
    broken(tag, '`<cost>` needs `on_exceeded`', 'Add `<on_exceeded>stop</on_exceeded>` (or `warn`, `escalate`).')
  }
  return isBroken ? null : toLimits(values, numbers)
}

function fits(kind: ValueKind, text: string): boolean {
  const { pattern, maximum } = EXPECTED[kind]
  return pattern.test(text) && (maximum === 0 || Number(text) <= maximum)
}

function isNumber(kind: ValueKind): boolean {
  return EXPECTED[kind].maximum > 0
}

/**
 * The fields of `<cost>` as a JSON object, under the same rules: `max_turns` and `on_exceeded` must be there. Null when one is wrong; the
 * errors name the fields, with `cost.` in front.
 */
export function costOf(given: JsonObject): { readonly cost: CostLimits | null; readonly errors: readonly ValidationError[] } {
  const errors: ValidationError[] = []
  const values = new Map<string, string>()
  const numbers: Partial<Record<string, number>> = {}
  for (const [name, value] of Object.entries(given)) {
    const kind = COST_FIELDS.get(name)
    const field = `cost.${name}`
    const text = typeof value === 'number' || typeof value === 'string' ? String(value) : ''
    if (kind === undefined) errors.push({ field, error: `is no limit. ${suggestName(name, COST_NAMES)}` })
    else if (typeof value !== (isNumber(kind) ? 'number' : 'string') || !fits(kind, text))
      errors.push({ field, error: `must be ${EXPECTED[kind].what}`, value })
    else {
      values.set(name, text)
      if (typeof value === 'number') numbers[name] = value
    }
  }
  for (const name of ['max_turns', 'on_exceeded'])
    if (given[name] === undefined) errors.push({ field: `cost.${name}`, error: 'is required' })
  return { cost: errors.length > 0 ? null : toLimits(values, numbers), errors }
}

interface WrittenField {
  readonly at: XmlTag
  readonly name: string
  readonly text: string
}

function writtenFields(tag: XmlTag, reader: DirectiveReader): readonly WrittenField[] {
  const attributes = Object.entries(tag.attributes).map(([name, text]) => ({ at: tag, name, text: text.trim() }))
  const children = childTags(tag).map((child) => {
    reader.onlyAttributes(child, [])
    reader.onlyChildren(child, [])
    return { at: child, name: child.name, text: lineText(child) }
  })
  return [...attributes, ...children]
}

function toLimits(values: ReadonlyMap<string, string>, numbers: Partial<Record<string, number>>): CostLimits {
  const { max_turns: turns = 0, context_warning_threshold: threshold = 0.8, ...rest } = numbers
  const exceeded = values.get('on_exceeded')
  return {
    ...rest,
    max_turns: turns,
    on_exceeded: exceeded === 'warn' || exceeded === 'escalate' ? exceeded : 'stop',
    context_warning_threshold: threshold,
    on_context_full: values.get('on_context_full') === 'handoff' ? 'handoff' : 'stop',
  }
}
