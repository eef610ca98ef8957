import type { Revision } from '../../../kernel/contract.ts'
import { newImports } from './change-view.ts'
import { hiddenInNewLines } from './visible-lines.ts'

/** Why whoever reads the difference would not see all that is to be signed; empty where they do. */
export function unseenIn(revision: Revision, diff: string): readonly string[] {
  const { before, after } = revision
  const hidden = hiddenInNewLines(before.trusted ? before.text : '', after.text)
  const imported = newImports(revision, { isWhole: !before.trusted }).flatMap(({ file, text }) => {
    const found = hiddenInNewLines('', text)
    return found === null ? [] : [`line ${found.line} of ${file}, which it imports, has the character ${found.code}, ${UNSEEN}`]
  })
  return [
    ...(hidden === null ? [] : [`line ${hidden.line} has the character ${hidden.code}, ${UNSEEN}`]),
    ...imported,
    // Every line of a difference begins with a mark of its own, but for that of a cut.
    ...(diff.split('\n').some((line) => line.startsWith('…'))
      ? ['the difference is too long to be read: change less of it']
      : []),
  ]
}

const UNSEEN = 'which a reader does not see'
