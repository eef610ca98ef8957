import type { TurnContext } from '../../../threads/engine.ts'
import type { ModelStepOutcome } from '../model/model-step.ts'
import type { HarnessServices } from '../services.ts'
import type { ToolRequests } from '../tools/tool-request.ts'
import type { Prepared, SafetyData } from './state.ts'

type Answer = Extract<ModelStepOutcome, { kind: 'answer' }>

/** A turn whose model call was answered. */
export interface AnswerInput {
  readonly services: HarnessServices
  readonly requests: ToolRequests
  readonly ctx: TurnContext
  readonly prepared: Prepared
  readonly answer: Answer
  /** Of the turn, on the clock of `performance.now()`. */
  readonly begunMs: number
  /** Already counts this call. */
  readonly data: SafetyData
}
