import type { JsonObject } from '../../../json.ts'
import type { SuccessCheck } from '../../../kernel/items/item.ts'
import type { NewEvent } from '../../../threads/engine.ts'
import type { Prepared } from '../turn/state.ts'

/** A check with the name that its step, its events and the model know it by. */
export interface NamedCheck {
  /** `outputs` for the schema of the directive's outputs, else `check-1`, `check-2`, … in the order of the directive. */
  readonly name: string
  readonly check: SuccessCheck
}

/** What came of one check. Plain JSON: it is the value of the check's step. */
export interface CheckReport {
  readonly name: string
  readonly type: SuccessCheck['type']
  /** What was looked at: the command, the path, the result. */
  readonly what: string
  readonly passed: boolean
  /** One line that says what was found. */
  readonly finding: string
  /** End of what a command wrote; empty for the others. */
  readonly output: string
}

/** All that must hold before a thread of this directive has done its work; empty when it has no such thing. */
export function namedChecks({ checks = [], outputsSchema }: Prepared): readonly NamedCheck[] {
  const numbered = checks.map((check, index): NamedCheck => ({ name: `check-${index + 1}`, check }))
  if (outputsSchema === undefined) return numbered
  return [{ name: 'outputs', check: { type: 'schema', schema: outputsSchema } }, ...numbered]
}

const WHAT_CHARACTERS = 200

export function whatOf(check: SuccessCheck): string {
  const what = check.type === 'command' ? check.command : check.type === 'file' ? check.path : 'the result'
  return what.length <= WHAT_CHARACTERS ? what : `${what.slice(0, WHAT_CHARACTERS - 1)}…`
}

/** The step of a check. */
export function stepNameOf({ name, check }: NamedCheck): string {
  return `${name}-${check.type}`
}

export function checkEvent(report: CheckReport): NewEvent {
  return { type: report.passed ? 'check_passed' : 'check_failed', payload: factsOf(report) }
}

/** As events and the end of the thread tell it. */
export function factsOf({ name, type, what, finding }: CheckReport): JsonObject {
  return { check: name, kind: type, what, detail: finding }
}
