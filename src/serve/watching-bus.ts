import { InMemoryServerEventBus, type ServerEventBus } from '@modelcontextprotocol/server'
import type { McpServing } from '../mcp/contract.ts'

/** Tells open subscriptions of the newer era what changed, and watches only while there is one. */
export function createWatchingBus(
  serving: Pick<McpServing, 'onResourceUpdated' | 'onResourceListChanged'>,
  onError: (error: Error) => void,
): ServerEventBus {
  const bus = new InMemoryServerEventBus(onError)
  const state: { listeners: number; watches: readonly (() => void)[] } = { listeners: 0, watches: [] }
  return {
    publish: (event) => bus.publish(event),
    subscribe(listener) {
      const unsubscribe = bus.subscribe(listener)
      state.listeners += 1
      if (state.listeners === 1)
        state.watches = [
          serving.onResourceUpdated((uri) => bus.publish({ kind: 'resource_updated', uri })),
          serving.onResourceListChanged(() => bus.publish({ kind: 'resources_list_changed' })),
        ]
      let isSubscribed = true
      return () => {
        if (!isSubscribed) return
        isSubscribed = false
        unsubscribe()
        state.listeners -= 1
        if (state.listeners === 0) for (const stop of state.watches) stop()
      }
    },
  }
}
