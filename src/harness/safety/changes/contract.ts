import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { HarnessServices } from '../services.ts'

/** Subject of an approval of the kind `change`: what is to be done, in the words of whoever carries it out. */
export interface Change extends JsonObject {
  /** Names the carrier. */
  readonly action: string
}

/**
 * Does what was asked, in the process and with the key of the operator who agreed to it. Gives the facts that stand in the answer, and that
 * the waiting call gets as its result. It may be called again when the first time was not written down.
 *
 * Throws `KiwiError`, such as ITEM_CHANGED, where what was shown is no longer what there is; the question then stays open.
 */
export type ChangeCarrier = (services: HarnessServices, change: JsonObject, context: ExecutionContext) => Promise<JsonObject>
