/** One of several processes that spawn into the same tree as fast as they can; prints what became of each spawn. */
import { once } from 'node:events'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { request } from '../fixture.ts'

const [path = '', name = '', count = '', mode = '', grant = ''] = process.argv.slice(2)
const client = createThreadsClient({
  projectPath: '/nowhere',
  store: openStore({ path }),
  ownsStore: true,
  clock: systemClock,
  wake: async () => undefined,
  watchLive: async () => undefined,
})

/** Gives `spawned`, or the code and limit of the refusal. */
async function attempt(threadId: string, parentThreadId: string): Promise<string> {
  try {
    await client.spawn(request(threadId, { parentThreadId, grantedNano: grant === '' ? null : Number(grant) }))
    return 'spawned'
  } catch (error) {
    if (error instanceof KiwiError)
      return `${error.code} ${JSON.stringify(error.context.facts?.['limit'] ?? '')}`.replaceAll('"', '').trim()
    throw error
  }
}

/** Each thread spawns the next one below itself, for as long as it may. */
async function descend(index: number): Promise<readonly string[]> {
  const outcomes: string[] = []
  for (let parent = 'root', level = 1; outcomes.at(-1) !== 'SPAWN_FAILED max_depth' && level < 100; level += 1) {
    const child = `${name}_${index}_${level}`
    outcomes.push(await attempt(child, parent))
    parent = child
  }
  return outcomes
}

const indexes = Array.from({ length: Number(count) }, (_, index) => index)
// Ready: the others begin at the same time.
process.send?.(['ready'])
await once(process, 'message')
const outcomes = await Promise.all(
  indexes.map((index) => (mode === 'descend' ? descend(index) : attempt(`${name}_${index}`, 'root'))),
)
process.send?.(outcomes.flat())
process.disconnect?.()
client.close()
