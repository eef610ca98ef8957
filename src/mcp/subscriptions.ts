import { ProtocolError, ProtocolErrorCode, type Server } from '@modelcontextprotocol/server'
import type { ThreadResources } from './thread-resources.ts'
import { APPROVALS_URI, parseThreadUri } from './thread-uri.ts'
import type { ThreadChanges, ThreadWatch } from './thread-watch.ts'

const MAX_SUBSCRIPTIONS = 1_024

/**
 * Resource subscriptions of one connection of the older era, which asks for each URI by itself. Watches while there is one, or once the client
 * has asked for the list, whose changes it is then told.
 */
export function createSubscriptions(
  server: Server,
  { resources, watch }: { readonly resources: ThreadResources; readonly watch: ThreadWatch },
): void {
  const subscribed = new Map<string, string>()
  let wantsList = false
  let stop: (() => void) | null = null

  const watchOrNot = (): void => {
    const wanted = wantsList || subscribed.size > 0
    if (wanted) stop ??= watch.listen(tell)
    else end()
  }
  const end = (): void => {
    stop?.()
    stop = null
  }
  const tell = ({ updated, hasNew, questions }: ThreadChanges): void => {
    const changed = new Set(updated)
    // A connection that has ended cannot be told, and ends the watching by itself.
    if (hasNew && wantsList) server.sendResourceListChanged().catch(() => undefined)
    for (const [uri, threadId] of subscribed) {
      if (uri === APPROVALS_URI ? questions : changed.has(threadId)) server.sendResourceUpdated({ uri }).catch(() => undefined)
    }
  }

  server.setRequestHandler('resources/list', async ({ params }) => {
    wantsList = true
    watchOrNot()
    return resources.list(params?.cursor)
  })
  server.setRequestHandler('resources/subscribe', async ({ params: { uri } }) => {
    if (subscribed.size >= MAX_SUBSCRIPTIONS && !subscribed.has(uri))
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `A connection can subscribe to ${MAX_SUBSCRIPTIONS} resources.`)
    await resources.assertKnown(uri)
    subscribed.set(uri, parseThreadUri(uri)?.threadId ?? '')
    watchOrNot()
    return {}
  })
  server.setRequestHandler('resources/unsubscribe', async ({ params: { uri } }) => {
    subscribed.delete(uri)
    watchOrNot()
    return {}
  })
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the library's server is no event target
  server.onclose = end
}
