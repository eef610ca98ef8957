import { posix } from 'node:path'
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
  revision: Revision,
  { isWhole }: { readonly isWhole: boolean },
): Promise<ChangeView> {
  const { before, after } = revision
  const imported = newImports(revision, { isWhole }).map(({ file, text }) => unifiedDiff(file, null, text))
  return {
    diff: [unifiedDiff(before.item.file, isWhole ? null : before.text, after.text), ...imported].join(''),
    ...itemFacts(isWhole ? null : before.item, after.item, await services.vocabulary()),
  }
}

/** The imported files that would be signed with the new content and were not with the old one: what is trusted has its imports unchanged. */
export function newImports(
  { before, after }: Revision,
  { isWhole }: { readonly isWhole: boolean },
): readonly { readonly file: string; readonly text: string }[] {
  const folder = posix.dirname(after.item.file)
  return [...after.imports]
    .filter(([path]) => isWhole || !before.imports.has(path))
    .map(([path, text]) => ({ file: posix.join(folder, path), text }))
}
