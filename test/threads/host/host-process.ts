/** A real host process for the tests. Its harness takes turns until it is told, by a file, that it may end. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../../src/threads/clock.ts'
import { createSqliteEngine } from '../../../src/threads/engines/sqlite-engine.ts'
import { runHost } from '../../../src/threads/host/run-host.ts'
import { createLiveBus } from '../../../src/threads/live-bus.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import { createTranscripts } from '../../../src/threads/transcript/transcripts.ts'
import { DONE, runner } from '../fixture.ts'

const [hostDir = '', idleExitMs = '60000'] = process.argv.slice(2)
const log = (line: string): void => void process.stdout.write(`${line}\n`)

const script = runner(async (context, state) => {
  const finish = join(context.start.projectPath, `finish-${context.threadId}`)
  await context.step('wait', { effect: 'idempotent', timeoutMs: 60_000 }, async ({ signal }) => {
    context.emit({ type: 'delta', turn: context.turn })
    while (!existsSync(finish)) await delay(10, undefined, { signal })
    return { value: 1 }
  })
  return [state, DONE]
})

const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const end = await runHost({
  hostDir,
  idleExitMs: Number(idleExitMs),
  log,
  signal: stop.signal,
  async openProject(projectPath) {
    const folder = join(projectPath, '.ai', 'threads')
    const onProblem = (threadId: string, error: unknown): void => log(`${threadId}: ${String(error)}`)
    const store = openStore({ path: join(folder, 'registry.db'), diskFull: 'retry' })
    const transcripts = createTranscripts({ folder, store, onProblem })
    const bus = createLiveBus()
    const engine = createSqliteEngine({
      store,
      resolveRunner: async () => script,
      clock: systemClock,
      hostId: `${process.pid}-${Date.now()}`,
      transcripts,
      bus,
      onProblem,
    })
    return { engine, store, bus, close: () => store.close() }
  },
})
log(`ended: ${end}`)
