import type { Json } from '../../../json.ts'
import type { ItemFacts } from './item-facts.ts'

/** What a title names of each kind; the others are counted. */
const NAMED = 3
const NAME_CHARACTERS = 48
const SETTINGS = ['model', 'hooks', 'requires', 'approval', 'executor_id'] as const

export interface TitledChange extends ItemFacts {
  readonly item_type: string
  readonly item_id: string
  readonly base_trusted: boolean
}

/** One line: what is changed, what it gives and takes, which limits and settings it touches, and which thread is retried then. */
export function changeTitle(change: TitledChange): string {
  const { item_type: type, item_id: id, base_trusted: isTrusted, permissions, retry_thread_id: retried } = change
  const parts = [
    ...named(permissions.added.map((line) => `+${line}`)),
    ...named(permissions.removed.map((line) => `-${line}`)),
    ...named(limitTexts(change.cost)),
    ...SETTINGS.filter((name) => Object.hasOwn(change, name)),
  ]
  const what = `change ${type} ${id}${isTrusted ? '' : ' (not signed as it is)'}`
  const then = typeof retried === 'string' ? `; then retry ${retried}` : ''
  return `${what}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}${then}`
}

function named(texts: readonly string[]): readonly string[] {
  const shown = texts.slice(0, NAMED).map((text) => text.slice(0, NAME_CHARACTERS))
  return texts.length <= NAMED ? shown : [...shown, `${texts.length - NAMED} more`]
}

/** Such as `max_turns 10 to 20`. */
function limitTexts(cost: ItemFacts['cost']): readonly string[] {
  if (cost === undefined) return []
  const { before, after } = cost
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.map((name) => `${name} ${textOf(before[name])} to ${textOf(after[name])}`)
}

function textOf(value: Json | undefined): string {
  return value === undefined ? 'none' : JSON.stringify(value)
}
