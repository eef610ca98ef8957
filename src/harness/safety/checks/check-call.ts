import type { JsonObject } from '../../../json.ts'
import type { MetaToolResult } from '../../../kernel/contract.ts'
import type { ErrorBody } from '../../../kernel/errors.ts'
import type { NewEvent, StepMeta } from '../../../threads/engine.ts'
import type { AnswerInput } from '../turn/answer-input.ts'
import { denialEvents, runUnderToken } from '../tools/under-token.ts'

/** A tool that a check asks, in the thread's name. */
export interface CheckCall {
  readonly name: string
  readonly tool: string
  readonly parameters: JsonObject
}

export interface CheckAnswer {
  readonly result: MetaToolResult
  /** Of a denial. */
  readonly events: readonly NewEvent[]
}

/**
 * Executes a tool just as a call of the model would be: through the kernel, under the thread's token and in its sandbox. The harness has no
 * more power over the project than the thread that it checks.
 */
export async function callTool(input: AnswerInput, call: CheckCall, meta: StepMeta): Promise<CheckAnswer> {
  const prepared = await input.requests.prepare({
    id: call.name,
    name: 'execute',
    arguments: { item_type: 'tool', item_id: call.tool, parameters: call.parameters },
  })
  const result = prepared.kind === 'rejected' ? prepared.error.toEnvelope() : await runUnderToken(input, prepared, meta)
  // An interrupted or superseded step leaves no result; one that only ran out of time has the tool's own answer.
  if (input.ctx.signal.aborted) input.ctx.signal.throwIfAborted()
  return { result, events: denialEvents(call.tool, result) }
}

/** Why a tool gave no result, with what to declare where it was not permitted. */
export function refusalText(tool: string, { message, cause, missing, suggestion }: ErrorBody): string {
  if (!Array.isArray(missing) || missing.length === 0) return cause === null ? message : cause.message
  const advice = suggestion === null ? '' : ` ${suggestion}`
  return `${tool} may not run: the thread lacks ${missing.map(String).join(' and ')}.${advice}`
}
