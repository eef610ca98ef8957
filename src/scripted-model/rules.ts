import type { Json, JsonObject } from '../json.ts'
import { asText } from './conversation.ts'
import type { Conversation } from './conversation.ts'
import { ExpressionError } from './expression.ts'
import type { Fault, Reply, Rule, Scenario, ScenarioFunction, ScriptedCall, When } from './scenario.ts'
import { compileTemplate } from './template.ts'
import type { Render } from './template.ts'

/** What a scenario decided for one request. `none` is a hole in the scenario, with what to add. */
export type Decision =
  | { readonly kind: 'answer'; readonly rule: string; readonly reply: Reply; readonly fault: Fault | null }
  | { readonly kind: 'none'; readonly message: string }

export type Decide = (conversation: Conversation, request: { readonly seq: number; readonly body: JsonObject }) => Decision

/** A scenario ready to answer. Uses of rules are counted here, over all conversations of one server. */
export function createDecide(scenario: Scenario | ScenarioFunction): Decide {
  if (typeof scenario === 'function') {
    return (conversation, request) => {
      const { reply, fault } = scenario(conversation, request)
      return { kind: 'answer', rule: 'function', reply: reply ?? {}, fault: fault ?? null }
    }
  }
  const rules = scenario.rules.map(prepare)
  return (conversation) => {
    for (const prepared of rules) {
      const { rule } = prepared
      if (prepared.uses >= (rule.times ?? Infinity) || !matches(rule.when, conversation)) continue
      prepared.uses += 1
      return answer(prepared, conversation)
    }
    return { kind: 'none', message: describeHole(scenario.name, conversation) }
  }
}

interface PreparedRule {
  readonly rule: Rule
  readonly texts: {
    readonly reasoning: Render | null
    readonly text: Render | null
    readonly calls: readonly PreparedCall[] | null
  }
  uses: number
}

interface PreparedCall {
  readonly call: ScriptedCall
  readonly name: Render
  readonly input: Render | null
}

function prepare(rule: Rule): PreparedRule {
  const calls = rule.reply.tool_calls?.map((call) => ({
    call,
    name: compileTemplate(call.name),
    input: optional(call.arguments),
  }))
  return {
    rule,
    uses: 0,
    texts: { reasoning: optional(rule.reply.reasoning), text: optional(rule.reply.text), calls: calls ?? null },
  }
}

function optional(value: Json | undefined): Render | null {
  return value === undefined ? null : compileTemplate(value)
}

function answer({ rule, texts, uses }: PreparedRule, conversation: Conversation): Decision {
  const fault = rule.fault !== undefined && uses <= (rule.fault.times ?? Infinity) ? rule.fault : null
  try {
    const reply: Reply = {
      ...rule.reply,
      ...(texts.reasoning === null ? {} : { reasoning: asText(texts.reasoning(conversation)) }),
      ...(texts.text === null ? {} : { text: asText(texts.text(conversation)) }),
      ...(texts.calls === null ? {} : { tool_calls: texts.calls.map((call) => renderCall(call, conversation)) }),
    }
    return { kind: 'answer', rule: rule.name, reply, fault }
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    return { kind: 'none', message: `The rule "${rule.name}" cannot be filled in: ${error.message}` }
  }
}

function renderCall({ call, name, input }: PreparedCall, conversation: Conversation): ScriptedCall {
  return { ...call, name: asText(name(conversation)), ...(input === null ? {} : { arguments: input(conversation) }) }
}

function matches(when: When, conversation: Conversation): boolean {
  const last = conversation.results.at(-1)
  return (
    matchesTurn(when.turn, conversation.turn) &&
    (when.directive === undefined || conversation.firstUserText.startsWith(`<directive name="${when.directive}"`)) &&
    (when.user_contains === undefined || includes(conversation.lastUserText, when.user_contains)) &&
    (when.user_matches === undefined || matchesPattern(conversation.lastUserText, when.user_matches)) &&
    (when.last_result === undefined || last?.tool === when.last_result || last?.item === when.last_result) &&
    (when.last_result_error === undefined || last?.isError === when.last_result_error) &&
    (when.model === undefined || when.model === conversation.model) &&
    (when.system_contains === undefined || includes(conversation.system, when.system_contains))
  )
}

function matchesTurn(wanted: When['turn'], turn: number): boolean {
  if (wanted === undefined) return true
  if (typeof wanted === 'number') return turn === wanted
  return turn >= (wanted.from ?? 1) && turn <= (wanted.to ?? Infinity)
}

function includes(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase())
}

/** `*` is any text; the whole text must match. One pass over the text: each part is looked for behind the one before. */
function matchesPattern(text: string, pattern: string): boolean {
  const parts = pattern.toLowerCase().split('*')
  const subject = text.toLowerCase()
  const first = parts[0] ?? ''
  const last = parts.at(-1) ?? ''
  if (parts.length === 1) return subject === first
  if (!subject.startsWith(first) || !subject.endsWith(last) || subject.length < first.length + last.length) return false
  let from = first.length
  const until = subject.length - last.length
  for (const part of parts.slice(1, -1)) {
    const at = subject.indexOf(part, from)
    if (at < 0 || at + part.length > until) return false
    from = at + part.length
  }
  return true
}

function describeHole(name: string, conversation: Conversation): string {
  const last = conversation.results.at(-1)
  const seen = [`turn ${conversation.turn}`, `last user text ${JSON.stringify(conversation.lastUserText.slice(0, 120))}`]
  if (last !== undefined) seen.push(`last result of ${last.item ?? last.tool}${last.isError ? ' (an error)' : ''}`)
  return `No rule of the scenario "${name}" matches this request (${seen.join(', ')}). Add a rule, or a last one without \`when\`.`
}
