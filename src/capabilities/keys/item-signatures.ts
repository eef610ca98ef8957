import type { Integrity } from '../../kernel/integrity/signature.ts'
import { createItemStore } from '../../kernel/items/item-store.ts'
import type { Item, Space } from '../../kernel/items/item.ts'

export interface ItemSignature {
  readonly item: Item
  readonly integrity: Integrity
}

/** The signatures of all items of the project and the user, checked now. Items that are not valid are among them. */
export async function itemSignatures(place: {
  readonly spaces: Readonly<Record<Space, string>>
  readonly projectPath: string
}): Promise<readonly ItemSignature[]> {
  const store = createItemStore(place)
  const found: ItemSignature[] = []
  try {
    for (const space of ['project', 'user'] as const) {
      for (const listed of await store.list(undefined, space)) {
        const { item, integrity } = await store.readVerified(listed)
        if (integrity.kind !== 'shipped') found.push({ item, integrity })
      }
    }
  } finally {
    store.close()
  }
  return found
}
