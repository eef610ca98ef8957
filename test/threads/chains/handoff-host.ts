/**
 * A host in miniature for the crash tests of chains: `t`, a child of `p`, hands its work on twice; then its last thread is retried and
 * its second one forked. It kills itself after the commit, or at the line, that it is told.
 */
import { join } from 'node:path'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import type { Next, RunTurn } from '../../../src/threads/engine.ts'
import { createSqliteEngine } from '../../../src/threads/engines/sqlite-engine.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { SpawnRequest } from '../../../src/threads/threads-client.ts'
import { createTranscripts } from '../../../src/threads/transcript/transcripts.ts'
import { DONE, request, runner } from '../fixture.ts'

const [folder = '', killAt = ''] = process.argv.slice(2)
const NEXT: Readonly<Record<string, string>> = { t: 't_2', t_2: 't_3' }

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

const parent: RunTurn = async (context, state) => {
  const children = context.children()
  const wait: Next = { do: 'wait', reason: 'children', idle: true }
  return [state, children.length > 0 && children.every(({ status }) => status === 'completed') ? DONE : wait]
}

const work: RunTurn = async (context, state) => {
  const { threadId } = context
  await context.step('model', { effect: 'idempotent', timeoutMs: 10_000, reserveNano: 100 }, async () => ({
    value: 1,
    commit: {
      settleNano: 60,
      messages: [{ role: 'assistant', content: { content: `said by ${threadId}` } }],
      events: [{ type: 'assistant_message', payload: {}, message: 0, transcript: { content: `said by ${threadId}` } }],
      usage: { cost_nano: 60 },
    },
  }))
  if (killAt === `end of ${threadId}`) die()
  const next = NEXT[threadId]
  if (next === undefined) return [state, DONE]
  return [
    state,
    { ...(DONE as Extract<Next, { do: 'done' }>), successor: { threadId: next, initialMessage: 'Go on.', options: {} } },
  ]
}

const store = openStore({ path: join(folder, '.ai', 'threads', 'registry.db') })
let batches = 0
store.onBatch(() => {
  batches += 1
  if (killAt === `batch ${batches}`) die()
})
const onProblem = (threadId: string, error: unknown): void => void process.stderr.write(`${threadId}: ${String(error)}\n`)
const engine = createSqliteEngine({
  store,
  resolveRunner: async () => runner((context, state) => (context.threadId === 'p' ? parent : work)(context, state)),
  clock: systemClock,
  hostId: `${process.pid}-${Date.now()}`,
  transcripts: createTranscripts({ folder: join(folder, '.ai', 'threads'), store, onProblem }),
  bus: null,
  onProblem,
})
const client = createThreadsClient({
  projectPath: folder,
  store,
  ownsStore: false,
  clock: systemClock,
  wake: async (id) => engine.notify(id),
  watchLive: async () => undefined,
})

/** As a command that is given again after a crash: what is there already is not asked for twice. */
async function spawnOnce(threadId: string, change: Partial<SpawnRequest>): Promise<void> {
  if (!client.list().some((row) => row.thread_id === threadId)) await client.spawn(request(threadId, change))
}

await engine.recover()
await spawnOnce('p', { grantedNano: 100_000, maxSpawns: 1 })
await spawnOnce('t', { parentThreadId: 'p', grantedNano: 10_000 })
await client.wait(['p', 't'], { timeoutMs: 20_000 })
await spawnOnce('retry', { continues: { threadId: 't_3', how: 'retry', throughSeq: 1 } })
await spawnOnce('fork', { continues: { threadId: 't_2', how: 'fork', throughSeq: 1 } })
const rows = await client.wait(['p', 't', 'retry', 'fork'], { timeoutMs: 20_000 })
await engine.close(5_000)
await store.close()
process.exitCode = rows.every(({ status }) => status === 'completed') ? 0 : 1
