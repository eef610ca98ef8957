import type { Json, JsonObject } from '../../../json.ts'
import type { Kernel, MetaToolRequest, MetaToolResult } from '../../../kernel/contract.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { ItemType } from '../../../kernel/items/item.ts'
import { servicesOf } from '../services.ts'
import { errorFromBody } from '../spawning/spawn-plan.ts'
import type { Change, ChangeCarrier } from './contract.ts'
import { assertSignShown, signView } from './sign-view.ts'

/**
 * The question that `sign` of a thread comes to: nothing is signed, but the item is checked as if, so that nobody is asked to sign what cannot
 * be. The hash is that of the content, without the signature line: just that content is signed, whenever the answer comes.
 */
export async function signQuestion(
  kernel: Kernel,
  { item_type: itemType, item_id: itemId, source, parameters }: MetaToolRequest,
  context: Partial<ExecutionContext>,
): Promise<MetaToolResult> {
  const { signal } = context
  const { draft, sha256 } = parameters ?? {}
  const request = { ...itemOf({ item_type: itemType, item_id: itemId, source }), parameters: parameters ?? {} }
  // Without the thread's token: it may ask, and it is the operator who signs.
  const checked = await kernel.sign(request, { __check_only: true, ...(signal === undefined ? {} : { signal }) })
  if (!checked.success) return checked
  const { file, sha256: content } = checked
  if (typeof file !== 'string' || typeof content !== 'string')
    throw new KiwiError('INTERNAL', 'sign did not say what it would sign.')
  const change: Change = {
    action: 'sign',
    ...itemOf({ item_type: itemType, item_id: itemId, source }),
    ...(draft === true ? { draft } : {}),
    sha256: typeof sha256 === 'string' ? sha256 : content,
    file,
    ...(await signView(
      servicesOf({ projectPath: kernel.projectPath, ...context }),
      signedFile({ item_type: itemType, item_id: itemId, file }),
    )),
  }
  const title = `sign ${itemType ?? ''} "${itemId ?? ''}" (${file})`
  return { success: true, result: { park: { approval: { kind: 'change', title, subject: change } } } }
}

/** Signs with the user's key what was shown, and nothing else. */
export const signChange: ChangeCarrier = async (services, subject, { signal }) => {
  const { sha256, draft } = subject
  await assertSignShown(services, subject, signedFile(subject))
  const signed = await services.kernel.sign(
    { ...itemOf(subject), parameters: { sha256: sha256 ?? null, ...(draft === true ? { draft } : {}) } },
    signal === undefined ? {} : { signal },
  )
  if (!signed.success) throw errorFromBody(signed.error)
  // A signature's facts are texts.
  const { item_type: itemType, item_id: itemId, file, signed_at: signedAt, key_id: keyId } = signed as unknown as JsonObject
  return { signed: true, ...given({ item_type: itemType, item_id: itemId, file, sha256, signed_at: signedAt, key_id: keyId }) }
}

function signedFile({
  item_type: type,
  item_id: id,
  file,
}: Readonly<Record<string, Json | undefined>>): Parameters<typeof signView>[1] {
  const known = TYPES.find((name) => name === type)
  if (known !== undefined && typeof id === 'string' && typeof file === 'string') return { type: known, id, file }
  throw new KiwiError('INTERNAL', 'The approval does not say which item is to be signed.')
}

const TYPES: readonly ItemType[] = ['directive', 'tool', 'knowledge']

function itemOf({ item_type: itemType, item_id: itemId, source }: Readonly<Record<string, Json | undefined>>): MetaToolRequest {
  // The kernel checks what it is given; an item_type that is none is refused there.
  return given({ item_type: itemType, item_id: itemId, source })
}

function given(fields: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}
