import type { Json, JsonObject } from '../../../json.ts'
import { createSchemaValidation } from '../../../kernel/chain/schema-validation.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { SuccessCheck } from '../../../kernel/items/item.ts'
import type { Effect, NewEvent, StepMeta } from '../../../threads/engine.ts'
import type { AnswerInput } from '../turn/answer-input.ts'
import type { SafetyData } from '../turn/state.ts'
import { millisecondsLeft } from '../turn/time-left.ts'
import { callTool, refusalText } from './check-call.ts'
import { checkEvent, stepNameOf, whatOf } from './check-report.ts'
import type { CheckReport, NamedCheck } from './check-report.ts'
import type { StructuredResult } from './structured-result.ts'

/** What a check found, before it is bounded and cleaned. */
interface Finding {
  readonly passed: boolean
  readonly finding: string
  readonly output?: string
  readonly events?: readonly NewEvent[]
}

const MAX_COMMAND_MS = 600_000
/** For what stands around the command: the sandbox, and the end of what it has started. */
const COMMAND_SLACK_MS = 15_000
const LOOK_TIMEOUT_MS = 600_000
/** A check that begins gets a moment, however little time is left. */
const LEAST_TIMEOUT_MS = 1_000
const FINDING_CHARACTERS = 500
const OUTPUT_CHARACTERS = 2_000

/**
 * Looks at everything that the directive demands, one after the other, each as a journaled step. All of them run, so that the model learns
 * all that is wrong at once. A command that was running when its host stopped is not run again for the same answer: it has failed.
 */
export async function runChecks(
  input: AnswerInput,
  data: SafetyData,
  work: { readonly checks: readonly NamedCheck[]; readonly result: StructuredResult },
): Promise<readonly CheckReport[]> {
  const reports: CheckReport[] = []
  for (const named of work.checks) reports.push(await runCheck(input, data, { named, result: work.result }))
  return reports
}

interface Work {
  readonly named: NamedCheck
  readonly result: StructuredResult
}

async function runCheck(input: AnswerInput, data: SafetyData, work: Work): Promise<CheckReport> {
  const { ctx } = input
  const { named } = work
  const options = { effect: effectOf(named.check), timeoutMs: timeoutOf(named.check, millisecondsLeft(input, data)) }
  try {
    const outcome = await ctx.step<Json>(stepNameOf(named), options, async (meta) => {
      const { events = [], ...finding } = await look(input, work, { meta, timeoutMs: options.timeoutMs })
      const report = reportOf(input, named, finding)
      // CheckReport holds only JSON values.
      return { value: report as unknown as Json, commit: { events: [...events, checkEvent(report)] } }
    })
    // Written just above, and nowhere else.
    if (outcome.kind === 'done') return outcome.value as unknown as CheckReport
  } catch (error) {
    // What did not even answer its abort may still be at work.
    if (!(error instanceof KiwiError) || error.code !== 'TIMEOUT' || ctx.signal.aborted) throw error
  }
  return unknownReport(input, named)
}

function effectOf({ type }: SuccessCheck): Effect {
  return type === 'command' ? 'once' : 'pure'
}

function timeoutOf(check: SuccessCheck, leftMs: number | null): number {
  const own = check.type === 'command' ? commandMs(check.timeoutSeconds) + COMMAND_SLACK_MS : LOOK_TIMEOUT_MS
  return leftMs === null ? own : Math.min(own, Math.max(LEAST_TIMEOUT_MS, leftMs))
}

function commandMs(timeoutSeconds: number): number {
  return Math.max(1, Math.min(MAX_COMMAND_MS, Math.round(timeoutSeconds * 1000)))
}

function reportOf({ services, ctx }: AnswerInput, { name, check }: NamedCheck, found: Omit<Finding, 'events'>): CheckReport {
  const redactor = services.redactor(ctx.threadId)
  // Before it is cut: half a secret is not known for one any more.
  const finding = redactor.text(found.finding)
  const output = redactor.text(found.output ?? '').trimEnd()
  return {
    name,
    type: check.type,
    what: whatOf(check),
    passed: found.passed,
    finding: finding.length <= FINDING_CHARACTERS ? finding : `${finding.slice(0, FINDING_CHARACTERS - 1)}…`,
    output: output.length <= OUTPUT_CHARACTERS ? output : `…${output.slice(1 - OUTPUT_CHARACTERS)}`,
  }
}

function unknownReport(input: AnswerInput, named: NamedCheck): CheckReport {
  const report = reportOf(input, named, {
    passed: false,
    finding:
      'its outcome is unknown: it had begun, and then its host stopped or its time was over. It may have taken effect, and was not repeated.',
  })
  input.ctx.record({ events: [checkEvent(report)] })
  return report
}

function look(
  input: AnswerInput,
  { named, result }: Work,
  step: { readonly meta: StepMeta; readonly timeoutMs: number },
): Promise<Finding> {
  const { name, check } = named
  switch (check.type) {
    case 'command':
      return lookAtCommand(input, { name, check }, step)
    case 'file':
      return lookAtFile(input, { name, check }, step.meta)
    case 'schema':
      return lookAtResult(check.schema, result)
  }
}

type Typed<T extends SuccessCheck['type']> = { readonly name: string; readonly check: Extract<SuccessCheck, { type: T }> }

async function lookAtCommand(
  input: AnswerInput,
  { name, check }: Typed<'command'>,
  { meta, timeoutMs }: { readonly meta: StepMeta; readonly timeoutMs: number },
): Promise<Finding> {
  const parameters = { command: check.command, timeout_ms: Math.min(commandMs(check.timeoutSeconds), timeoutMs) }
  const { result, events } = await callTool(input, { name, tool: 'bash', parameters }, meta)
  const run = objectOf(result['result'])
  const output = [textOf(run['stdout']), textOf(run['stderr'])].filter((text) => text !== '').join('\n')
  if (result.success && run['exit_code'] === 0) return { passed: true, finding: 'exit code 0', output: '', events }
  const finding = result.success ? `exit code ${JSON.stringify(run['exit_code'] ?? null)}` : failureText(run, result.error)
  return { passed: false, finding, output, events }
}

function failureText(run: JsonObject, error: Parameters<typeof refusalText>[1]): string {
  return typeof run['exit_code'] === 'number' ? `exit code ${run['exit_code']}` : refusalText('bash', error)
}

async function lookAtFile(input: AnswerInput, { name, check }: Typed<'file'>, meta: StepMeta): Promise<Finding> {
  const parameters = { path: check.path, hash: check.sha256 !== null }
  const { result, events } = await callTool(input, { name, tool: 'file_info', parameters }, meta)
  if (!result.success) return { passed: false, finding: refusalText('file_info', result.error), events }
  const { exists, type, size, sha256 } = objectOf(result['result'])
  if (exists !== true) return { passed: false, finding: 'it does not exist', events }
  if (type !== 'file') return { passed: false, finding: `it is no file but a ${textOf(type)}`, events }
  if (check.sha256 === null) return { passed: true, finding: `it has ${JSON.stringify(size)} bytes`, events }
  if (sha256 === check.sha256) return { passed: true, finding: `its SHA-256 is ${check.sha256}`, events }
  return { passed: false, finding: `its SHA-256 is ${textOf(sha256)}, expected ${check.sha256}`, events }
}

const SHOWN_VIOLATIONS = 5

async function lookAtResult(schema: JsonObject, result: StructuredResult): Promise<Finding> {
  if (!result.ok) return { passed: false, finding: result.problem }
  try {
    const violations = await createSchemaValidation().check(schema, result.value)
    if (violations.length === 0) return { passed: true, finding: 'the JSON matches its schema' }
    const shown = violations.slice(0, SHOWN_VIOLATIONS).map(({ field, error }) => `${field} ${error}`)
    const more = violations.length > shown.length ? `; and ${violations.length - shown.length} more` : ''
    return { passed: false, finding: `the JSON does not match its schema: ${shown.join('; ')}${more}` }
  } catch (error) {
    // A schema that cannot be compiled, or that calls itself without end for this value: nothing was proven.
    const why = error instanceof Error ? error.message : String(error)
    return { passed: false, finding: `the schema could not be applied: ${why}` }
  }
}

function objectOf(value: unknown): JsonObject {
  // Results of tools are JSON, and this is an object of it.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}
