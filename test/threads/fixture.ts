import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createThreadsClient } from '../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../src/threads/clock.ts'
import type { Engine, Next, Receive, Runner, RunTurn, Signal, ThreadState } from '../../src/threads/engine.ts'
import { createMemoryEngine } from '../../src/threads/engines/memory-engine.ts'
import { createSqliteEngine } from '../../src/threads/engines/sqlite-engine.ts'
import type { SqliteEngineOptions } from '../../src/threads/engines/sqlite-engine.ts'
import { createLiveBus } from '../../src/threads/live-bus.ts'
import type { LiveBus } from '../../src/threads/live-bus.ts'
import { openStore } from '../../src/threads/store/open-store.ts'
import type { Store } from '../../src/threads/store/open-store.ts'
import type { SpawnRequest, ThreadRow, ThreadsClient } from '../../src/threads/threads-client.ts'
import { createTranscripts } from '../../src/threads/transcript/transcripts.ts'

const cleanups = new WeakMap<TestContext, (() => unknown)[]>()

/** Runs at the end of the test, the last registered first: what stands in a folder is stopped before the folder goes. */
export function atEnd(t: TestContext, action: () => unknown): void {
  const registered = cleanups.get(t)
  if (registered !== undefined) {
    registered.push(action)
    return
  }
  const actions = [action]
  cleanups.set(t, actions)
  t.after(async () => {
    for (const last of actions.toReversed()) await last()
  })
}

export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-threads-'))
  atEnd(t, () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A spawn request with everything that a test does not care about. */
export function request(threadId: string, change: Partial<SpawnRequest> = {}): SpawnRequest {
  return {
    threadId,
    directiveId: 'work',
    harness: 'script',
    initialMessage: 'Go.',
    inputs: {},
    parentThreadId: null,
    grantedNano: null,
    maxSpawns: null,
    maxDepth: null,
    guarantee: 'hard',
    options: {},
    costBudget: {},
    permissionContext: {},
    ...change,
  }
}

/** A signal of this kind whose id is the kind and the given suffix. */
export function signal(kind: Signal['kind'], body: Signal['body'] = {}, id = `${kind}-1`): Signal {
  return { id, kind, body }
}

/** Adds injected text to the conversation, as a harness does. */
export const receive: Receive = (state, received) => {
  if (received.kind !== 'inject') return { state }
  const content = received.body['content'] ?? ''
  return {
    state,
    commit: {
      messages: [{ role: 'user', content: { content } }],
      events: [{ type: 'injected_message', payload: {}, message: 0, transcript: { content } }],
    },
  }
}

export const DONE: Next = { do: 'done', status: 'completed', endReason: 'done', result: 'ok' }

export function runner(runTurn: RunTurn, change: Partial<Runner> = {}): Runner {
  return {
    name: 'script',
    version: '1',
    init: (): ThreadState => ({ v: 1, turn: 0, paused: false, data: {} }),
    receive,
    runTurn,
    ...change,
  }
}

/** A runner that takes `turns` turns, one recorded message each, then is done. */
export function counting(turns: number): Runner {
  return runner(async (context, state) => {
    await context.step('model', { effect: 'idempotent', timeoutMs: 10_000 }, () =>
      Promise.resolve({
        value: context.turn,
        commit: {
          messages: [{ role: 'assistant', content: { content: `turn ${context.turn}` } }],
          events: [
            {
              type: 'assistant_message',
              payload: { turn: context.turn },
              message: 0,
              transcript: { content: `turn ${context.turn}` },
            },
          ],
          usage: { output: 10 },
        },
      }),
    )
    return [state, context.turn >= turns ? DONE : { do: 'turn' }]
  })
}

export interface Bench {
  readonly engine: Engine
  readonly client: ThreadsClient
  readonly store: Store
  readonly bus: LiveBus
  readonly problems: unknown[]
  /** Waits until the thread is in one of these statuses. */
  readonly until: (threadId: string, ...statuses: ThreadRow['status'][]) => Promise<ThreadRow>
}

export type EngineKind = 'sqlite' | 'memory'
export const ENGINES: readonly EngineKind[] = ['sqlite', 'memory']

/** An engine with a client in one process, closed with the test. */
export function bench(
  t: TestContext,
  script: Runner | ((name: string) => Promise<Runner>),
  options: Partial<SqliteEngineOptions> & { kind?: EngineKind; folder?: string } = {},
): Bench {
  const { kind = 'sqlite', folder, ...engineOptions } = options
  const problems: unknown[] = []
  const bus = createLiveBus()
  const common = {
    clock: systemClock,
    hostId: `host-${Math.random().toString(36).slice(2)}`,
    bus,
    resolveRunner: typeof script === 'function' ? script : () => Promise.resolve(script),
    onProblem: (threadId: string, error: unknown) => void problems.push({ threadId, error }),
    ...engineOptions,
  }
  const { engine, store } = kind === 'memory' ? createMemoryEngine(common) : onDisk(folder ?? tempFolder(t), common)
  const client = createThreadsClient({
    projectPath: folder ?? '/nowhere',
    store,
    ownsStore: false,
    clock: common.clock,
    wake: async (threadId) => engine.notify(threadId),
    watchLive: async (threadId, onLive, abort) => {
      const end = bus.subscribe(threadId, onLive)
      await new Promise<void>((resolve) => abort.addEventListener('abort', () => resolve(), { once: true }))
      end()
    },
  })
  atEnd(t, async () => {
    await engine.close(1_000)
    await store.close()
  })
  return {
    engine,
    client,
    store,
    bus,
    problems,
    until: (threadId, ...statuses) =>
      poll(
        () => client.get(threadId),
        (row) => statuses.includes(row.status),
      ),
  }
}

function onDisk(folder: string, common: Omit<SqliteEngineOptions, 'store' | 'transcripts'>): { engine: Engine; store: Store } {
  const store = openStore({ path: join(folder, '.ai', 'threads', 'registry.db'), diskFull: 'retry' })
  const transcripts = createTranscripts({ folder: join(folder, '.ai', 'threads'), store, onProblem: common.onProblem })
  return { engine: createSqliteEngine({ ...common, store, transcripts }), store }
}

/** Asks again until the answer is right; fails with the last answer after 20 s. */
export async function poll<T>(ask: () => T, isRight: (answer: T) => boolean): Promise<T> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const answer = ask()
    if (isRight(answer)) return answer
    if (Date.now() > deadline) throw new Error(`Not reached within 20 s; the last answer was ${JSON.stringify(answer)}.`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
