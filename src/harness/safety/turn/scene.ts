import type { Next, TurnContext } from '../../../threads/engine.ts'
import type { HarnessServices } from '../services.ts'
import type { Prepared, SafetyData } from './state.ts'

/** The turn in which something happens, and where it stands. */
export interface Scene {
  readonly services: HarnessServices
  readonly ctx: TurnContext
  readonly prepared: Prepared
  readonly data: SafetyData
}

/** How a turn ends: the runner's data for the next one, and what comes next. */
export interface TurnEnd {
  readonly data: SafetyData
  readonly next: Next
}

/** Whether the turn goes on in place, or is over: the thread waits, ends, or takes another turn. */
export type Interruption =
  | { readonly kind: 'go_on'; readonly data: SafetyData }
  | { readonly kind: 'over'; readonly end: TurnEnd }
