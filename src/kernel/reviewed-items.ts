import { describeProblems, type TrustedItems } from './chain/trusted-items.ts'
import type { Review, ReviewFindings } from './contract.ts'
import { KiwiError } from './errors.ts'
import type { ItemStore, VerifiedItem } from './items/item-store.ts'
import type { Definition, Item, ItemProblem } from './items/item.ts'

export interface Reviewer {
  /** What the review finds in an available item; nothing for one whose file is wrong already. */
  findingsOf(item: Item): Promise<ReviewFindings>
}

/**
 * Asks the review once for a definition and a vocabulary. `vocabulary` gives the same object for as long as answers may be used again.
 */
export function createReviewer(review: Review, vocabulary: () => Promise<object>): Reviewer {
  const known = new WeakMap<Definition, { readonly path: string; readonly under: object; readonly findings: ReviewFindings }>()
  return {
    async findingsOf(item) {
      if (item.state.kind !== 'available') return { problems: [], warnings: [] }
      const { definition } = item.state
      const under = await vocabulary()
      const before = known.get(definition)
      if (before?.path === item.path && before.under === under) return before.findings
      const findings = await review(item)
      known.set(definition, { path: item.path, under, findings })
      return findings
    },
  }
}

/** The same items, without those that the review has something against. */
export function reviewedItems(items: TrustedItems, reviewer: Reviewer): TrustedItems {
  return {
    async require(type, id) {
      const verified = await items.require(type, id)
      const { problems } = await reviewer.findingsOf(verified.item)
      if (problems.length === 0) return verified
      const described = describeProblems(problems)
      throw new KiwiError('ITEM_UNAVAILABLE', `The ${type} "${id}" cannot be used: ${described[0] ?? ''}`, {
        suggestion: 'Correct the file, then sign it.',
        facts: { item_type: type, item_id: id, problems: described },
      })
    },
  }
}

/** The same store, where an item that the review has something against is unavailable when it is found or read. */
export function reviewedStore(store: ItemStore, reviewer: Reviewer): ItemStore {
  const marked = async (item: Item): Promise<Item> => {
    const { problems, warnings } = await reviewer.findingsOf(item)
    if (problems.length === 0 && warnings.length === 0) return item
    const state: Item['state'] = problems.length === 0 ? item.state : { kind: 'unavailable', problems }
    return { ...item, state, warnings: [...item.warnings, ...warnings] }
  }
  const markedIn = async (verified: VerifiedItem): Promise<VerifiedItem> => ({ ...verified, item: await marked(verified.item) })
  return {
    ...store,
    async find(type, id, source) {
      const item = await store.find(type, id, source)
      return item === null ? null : await marked(item)
    },
    readVerified: async (item) => await markedIn(await store.readVerified(item)),
    verifyBytes: async (item, bytes) => await markedIn(await store.verifyBytes(item, bytes)),
    async problems() {
      const found: ItemProblem[] = [...(await store.problems())]
      for (const item of await store.list()) {
        const { problems, warnings } = await reviewer.findingsOf(item)
        found.push(...problems, ...warnings)
      }
      return found
    },
  }
}
