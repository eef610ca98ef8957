/** One of several processes that spawn into the same tree: each spawn reads and raises the counter of the root. */
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { request } from '../fixture.ts'

const [path = '', index = ''] = process.argv.slice(2)
const store = openStore({ path })
const client = createThreadsClient({
  projectPath: '/nowhere',
  store,
  ownsStore: true,
  clock: systemClock,
  wake: async () => undefined,
  watchLive: async () => undefined,
})
const isRoot = await client.spawn(request('root')).then(
  () => true,
  () => false,
)
for (let n = isRoot ? 1 : 0; n < 20; n += 1) await client.spawn(request(`w${index}_${n}`, { parentThreadId: 'root' }))
client.close()
