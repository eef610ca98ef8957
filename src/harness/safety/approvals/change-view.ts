import type { Revision } from '../../../kernel/contract.ts'
import type { HarnessServices } from '../services.ts'
import { itemFacts } from './item-facts.ts'
import type { ItemFacts } from './item-facts.ts'
import { unifiedDiff } from './unified-diff.ts'

/** What whoever decides on a change reads of it. A function of the two contents, so that it can be made again when the change is. */
export interface ChangeView extends ItemFacts {
  readonly diff: string
}

/** `isWhole`: nothing of what is there counts as seen by anybody, so that all of the new content is new. */
export async function changeView(
  services: HarnessServices,
  { before, after }: Revision,
  { isWhole }: { readonly isWhole: boolean },
): Promise<ChangeView> {
  return {
    diff: unifiedDiff(before.item.file, isWhole ? null : before.text, after.text),
    ...itemFacts(isWhole ? null : before.item, after.item, await services.vocabulary()),
  }
}
