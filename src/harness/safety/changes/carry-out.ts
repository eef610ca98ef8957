import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { HarnessServices } from '../services.ts'
import type { ChangeCarrier } from './contract.ts'
import { signChange } from './sign-change.ts'
import { writeChange } from './write-change.ts'

/** By `action` of the change. */
const CARRIERS: Readonly<Record<string, ChangeCarrier>> = {
  sign: signChange,
  write: writeChange,
}

/** Does what an approval of the kind `change` asks for, and gives the facts of the answer. Throws what the carrier throws. */
export async function carryOutChange(
  services: HarnessServices,
  context: ExecutionContext,
  subject: JsonObject,
): Promise<JsonObject> {
  const { action } = subject
  const carrier = typeof action === 'string' && Object.hasOwn(CARRIERS, action) ? CARRIERS[action] : undefined
  if (carrier !== undefined) return carrier(services, subject, context)
  throw new KiwiError('INVALID_REQUEST', `Nothing here can carry out the change ${JSON.stringify(action ?? null)}.`, {
    suggestion: 'Answer it with the version of kiwi that asked for it, or deny it.',
  })
}
