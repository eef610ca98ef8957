import type { JsonObject } from '../../../json.ts'
import type { ApprovalDecision, ApprovalKind } from '../../../threads/approvals/approval.ts'
import type { EndReason, WaitReason } from '../../../threads/engine.ts'

/** A point of a turn at which a hook may have its say. */
export interface ThreadEvent {
  readonly name: 'before_step' | 'after_step' | 'on_error' | 'on_limit'
  /**
   * What it is: the name of the limit (`max_turns`, …, `context_exceeded`), or of the error (`permission_denied`, `tool_failed`,
   * `loop_detected`, `stuck`, `stream_failed`, `check_failed`); `turn` where nothing happened but a step.
   */
  readonly code: string
  readonly detail: JsonObject
}

/** An event and what follows it when no hook says otherwise. */
export interface Unheard {
  readonly event: ThreadEvent
  readonly consequence: Consequence
}

/** Something that a turn has brought about. Hooks are asked about it where it is an event. */
export interface Happening {
  readonly event: ThreadEvent | null
  readonly consequence: Consequence
}

/** What follows an event when no hook says otherwise. Plain data: it is kept in the thread's state while somebody is asked. */
export type Consequence = Settled | { readonly kind: 'ask'; readonly question: Question; readonly refused: Settled }

/** `note` is told to the model. */
export type Settled =
  | { readonly kind: 'go_on'; readonly note: string | null }
  | { readonly kind: 'end'; readonly endReason: EndReason; readonly failure: Failure }

/** The result of a thread that ends without its work done. */
export interface Failure extends JsonObject {
  readonly message: string
}

/** Put to a person (or a thread that may answer) while the thread waits. */
export interface Question {
  readonly kind: Exclude<ApprovalKind, 'tool' | 'change'>
  readonly wait: WaitReason
  readonly title: string
  readonly subject: JsonObject
}

/** What the thread waits for before it goes on; between turns, never within one. */
export type Pending =
  | {
      readonly kind: 'hook'
      readonly event: ThreadEvent
      readonly consequence: Consequence
      readonly childId: string
      readonly untilMs: number
    }
  | {
      readonly kind: 'question'
      readonly approvalId: string
      readonly question: Question
      readonly refused: Settled
      /** The question is a no from then on. */
      readonly untilMs: number
    }

/** An answer as the signal brought it; kept until what waits for it has read it. */
export interface Answer {
  readonly approvalId: string
  readonly decision: ApprovalDecision
  readonly reason: string
  readonly facts: JsonObject
}
