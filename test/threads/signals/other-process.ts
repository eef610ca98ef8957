/** Another process on the registry: does what its parent tells it by message, and answers each with `ok` or the code of the error. */
import { openStore } from '../../../src/threads/store/open-store.ts'
import { clientOn } from '../asking.ts'
import { request } from '../fixture.ts'

export type Order =
  | { readonly do: 'spawn'; readonly threadId: string; readonly parentThreadId: string }
  | { readonly do: 'cancel'; readonly threadId: string }
  /** A budget, an injected message and a caller's event each. */
  | { readonly do: 'steer'; readonly threadId: string; readonly rounds: number }

const store = openStore({ path: process.argv[2] ?? '' })
const client = clientOn(store)

async function obey(order: Order): Promise<void> {
  const { threadId } = order
  if (order.do === 'spawn') await client.spawn(request(threadId, { parentThreadId: order.parentThreadId }))
  else if (order.do === 'cancel') await client.signal(threadId, { id: 'stop', kind: 'cancel', body: {} })
  else
    for (let n = 0; n < order.rounds; n += 1) {
      await client.signal(threadId, { id: `b${n}`, kind: 'budget', body: { add_usd_nano: 1 } })
      await client.logEvent(threadId, 'note', { n })
      await client.signal(threadId, { id: `i${n}`, kind: 'inject', body: { content: `message ${n}` } })
    }
}

process.on('message', (order: Order) => {
  obey(order).then(
    () => process.send?.('ok'),
    (error: { code?: string; message: string }) => process.send?.(error.code ?? error.message),
  )
})
process.on('disconnect', () => void store.close())
process.send?.('ready')
