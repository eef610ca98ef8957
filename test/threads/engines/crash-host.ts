/** A host in miniature for the crash tests: runs one thread to its end, and kills itself where it is told to. */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import { createSqliteEngine } from '../../../src/threads/engines/sqlite-engine.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { createTranscripts } from '../../../src/threads/transcript/transcripts.ts'
import { DONE, request, runner } from '../fixture.ts'

const [folder = '', killAt = ''] = process.argv.slice(2)
const TURNS = 3

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

/** Effects on the world, in order; `O_APPEND` writes survive the process. */
function note(line: string): void {
  appendFileSync(join(folder, 'effects.log'), `${line}\n`)
  if (killAt === line) die()
}

const script = runner(async (context, state) => {
  const { turn } = context
  await context.step('model', { effect: 'idempotent', timeoutMs: 10_000, reserveNano: 100 }, async () => {
    note(`begin model ${turn}`)
    note(`did model ${turn}`)
    return {
      value: turn,
      commit: {
        settleNano: 60,
        messages: [{ role: 'assistant', content: { content: `answer ${turn} ${'ü'.repeat(2_000)}` } }],
        events: [
          {
            type: 'assistant_message',
            payload: { turn },
            message: 0,
            transcript: { content: `answer ${turn} ${'ü'.repeat(2_000)}` },
          },
        ],
        usage: { output: 5, cost_nano: 60 },
      },
    }
  })
  note(`acked model ${turn}`)
  const tool = await context.step(
    'tool',
    { effect: 'once', timeoutMs: 10_000, before: { events: [{ type: 'tool_call', payload: { turn } }] } },
    async () => {
      note(`begin tool ${turn}`)
      note(`did tool ${turn}`)
      return { value: turn, commit: { events: [{ type: 'tool_result', payload: { turn, success: true } }] } }
    },
  )
  note(`acked tool ${turn}`)
  if (tool.kind === 'unknown') context.record({ events: [{ type: 'tool_result', payload: { turn, success: false } }] })
  return [state, turn === TURNS ? DONE : { do: 'turn' }]
})

const store = openStore({ path: join(folder, '.ai', 'threads', 'registry.db') })
let batches = 0
// Before the engine is made, so that the process dies between the commit and the transcript's line.
store.onBatch(() => {
  batches += 1
  if (killAt === `batch ${batches}`) die()
})
const onProblem = (threadId: string, error: unknown): void => void process.stderr.write(`${threadId}: ${String(error)}\n`)
const transcripts = createTranscripts({ folder: join(folder, '.ai', 'threads'), store, onProblem })
const engine = createSqliteEngine({
  store,
  resolveRunner: async () => script,
  clock: systemClock,
  hostId: `${process.pid}-${Date.now()}`,
  transcripts,
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
if (client.list().length === 0) await client.spawn(request('t', { grantedNano: 100_000 }))
await engine.recover()
const [row] = await client.wait(['t'], { timeoutMs: 20_000 })
await engine.close(5_000)
await store.close()
process.exitCode = row?.status === 'completed' ? 0 : 1
