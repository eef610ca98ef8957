import type { MetaToolRequest } from '../contract.ts'
import type { ItemStore } from '../items/item-store.ts'
import { invalidRequest, type MetaTool } from './request.ts'

/** The shipped texts, `system/knowledge/help/<topic>.md`. */
export const HELP_TOPICS: readonly string[] = ['kiwi-overview', 'directives', 'tools', 'permissions', 'mcps', 'threads', 'stuck']

/** What a thread does with a help signal; a kernel has no thread to do it with. */
const SIGNALS: ReadonlyMap<string, string> = new Map([
  ['guidance', 'asks whoever watches the thread for advice; the thread goes on meanwhile, and an answer arrives as a message'],
  [
    'stuck',
    'says that no progress is being made: a hook of the directive looks at it, or somebody is asked; the thread waits, and goes on with their answer, or without one when their time is over',
  ],
  ['escalate', 'asks a person; the thread waits for the answer, and goes on without one when their time is over'],
  [
    'checkpoint',
    'marks this point in the log under a name, so that another thread can be made to go on from here; nothing stops',
  ],
])

/** Explains a topic, or what a help signal would do on a thread. */
export function createHelp(store: ItemStore): MetaTool {
  return async (request: MetaToolRequest) => {
    const { topic, action } = request
    const signal = action === undefined ? undefined : SIGNALS.get(action)
    if (signal !== undefined) {
      return {
        success: true,
        action,
        recorded: false,
        message: `This call does not come from a thread, so nothing was signalled. On a thread, help with action "${action}" ${signal}.`,
        topics: HELP_TOPICS,
      }
    }
    if (action !== undefined && action !== 'run')
      throw invalidRequest(`\`action\` of help must be one of ${[...SIGNALS.keys()].join(', ')}, got ${JSON.stringify(action)}`)
    if (request.reason !== undefined)
      throw invalidRequest('`reason` goes with an action of help: guidance, stuck, escalate or checkpoint')
    const chosen = topic ?? 'kiwi-overview'
    if (!HELP_TOPICS.includes(chosen))
      throw invalidRequest(`There is no help topic ${JSON.stringify(chosen)}. Topics: ${HELP_TOPICS.join(', ')}`)
    const item = await store.find('knowledge', chosen, 'system')
    if (item?.state.kind !== 'available' || item.state.definition.kind !== 'knowledge')
      throw invalidRequest(`The help text ${chosen} is not installed`)
    return { success: true, topic: chosen, content: item.state.definition.content, topics: HELP_TOPICS }
  }
}
