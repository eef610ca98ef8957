/**
 * One gate check with 1,000 live threads in a registry on disk, each with a token of its own: `authorize` for a call that writes a file
 * within the scopes of its thread. The floor does only what cannot be left out: the thread's row and one look into a map.
 *
 * Both are asked in turn, in blocks, for the same threads. Also reported: the first check of each thread, which verifies the signature.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Gate, Grants, Vocabulary } from '../src/capabilities/contract.ts'
import { createGate } from '../src/capabilities/gate/gate.ts'
import { openInstallKey } from '../src/capabilities/keys/install-key.ts'
import { createSigningKeys, keyFolderOf } from '../src/capabilities/keys/signing-keys.ts'
import { vocabularyOf } from '../src/capabilities/permissions/vocabulary.ts'
import { audienceOf, createTokenAuthority } from '../src/capabilities/tokens/authority.ts'
import { createRunKey } from '../src/capabilities/tokens/run-key.ts'
import type { ExecutionContext } from '../src/kernel/chain/primitive.ts'
import { createKernel } from '../src/kernel/kernel.ts'
import { createThreadsClient } from '../src/threads/client/create-threads-client.ts'
import { systemClock } from '../src/threads/clock.ts'
import { openStore, type Store } from '../src/threads/store/open-store.ts'
import { round } from './statistics.ts'

const THREADS = 1_000
const BLOCKS = 40
const CHECKS_PER_BLOCK = 1_000
const WARM_UP_BLOCKS = 5
const GOAL_P99_MS = 1

export interface GateCheckReport {
  readonly live_threads: number
  readonly checks: number
  readonly goal_p99_ms: number
  readonly authorize: Latency
  /** Row and map alone. */
  readonly floor: Latency
  readonly first_check_of_a_thread: Latency
}

interface Latency {
  readonly p50_ms: number
  readonly p99_ms: number
  readonly max_ms: number
}

export async function measureGateCheck(): Promise<GateCheckReport> {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-gate-bench-'))
  const store = openStore({ path: join(folder, 'project', '.ai', 'threads', 'registry.db') })
  try {
    return await measure(folder, store)
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measure(folder: string, store: Store): Promise<GateCheckReport> {
  const place = { userSpace: join(folder, 'user'), projectPath: join(folder, 'project') }
  const { gate, contexts } = await open(place, store)
  const first: number[] = []
  for (const context of contexts) first.push(await timed(() => check(gate, context)))
  const floor = floorCheck(store)
  const authorizeTimes: number[] = []
  const floorTimes: number[] = []
  for (let block = -WARM_UP_BLOCKS; block < BLOCKS; block += 1) {
    const ours: number[] = []
    const bare: number[] = []
    for (let index = 0; index < CHECKS_PER_BLOCK; index += 1) {
      // A step that visits the threads in no order that a cache could follow.
      const context = contexts[(index * 617 + block) % THREADS] ?? contexts[0]
      if (context === undefined) throw new Error('There is no thread to check.')
      ours.push(await timed(() => check(gate, context)))
      bare.push(await timed(async () => floor(context)))
    }
    if (block < 0) continue
    authorizeTimes.push(...ours)
    floorTimes.push(...bare)
  }
  return {
    live_threads: THREADS,
    checks: authorizeTimes.length,
    goal_p99_ms: GOAL_P99_MS,
    authorize: latencyOf(authorizeTimes),
    floor: latencyOf(floorTimes),
    first_check_of_a_thread: latencyOf(first),
  }
}

async function open(
  place: { readonly userSpace: string; readonly projectPath: string },
  store: Store,
): Promise<{ readonly gate: Gate; readonly contexts: readonly ExecutionContext[] }> {
  const vocabulary = await shippedVocabulary(place)
  const threads = createThreadsClient({
    projectPath: place.projectPath,
    store,
    ownsStore: false,
    clock: systemClock,
    wake: async () => undefined,
    watchLive: async () => undefined,
  })
  const options = {
    ledger: threads.tokens,
    runKey: await createRunKey(Date.now),
    installKey: openInstallKey(keyFolderOf(place.userSpace), place),
    audience: audienceOf(place.projectPath),
    vocabulary: async () => vocabulary,
    now: Date.now,
  }
  const authority = createTokenAuthority(options)
  const contexts: ExecutionContext[] = []
  for (let index = 0; index < THREADS; index += 1) {
    const threadId = `thread_${index}`
    await threads.spawn({ ...SPAWN, threadId })
    await authority.mint({ threadId, directiveId: SPAWN.directiveId, parentThreadId: null, declared: declaredBy(index) })
    contexts.push({ projectPath: place.projectPath, __thread_id: threadId, __auth: await authority.current(threadId) })
  }
  // Another one with the same key: an authority remembers the tokens that it made, and would verify no signature at the first check.
  const gate = createGate({
    authority: createTokenAuthority(options),
    ledger: threads.tokens,
    vocabulary: async () => vocabulary,
    hostAuthority: {},
  })
  return { gate, contexts }
}

const SPAWN = {
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
} as const

function declaredBy(index: number): Grants {
  return {
    capabilities: {
      'fs.read': ['docs/**', `area_${index}/**`, 'src/**'],
      'fs.write': [`area_${index}/**`, 'out/*.md'],
      'kiwi-mcp.execute': true,
      'kiwi-mcp.search': true,
      'net.http': ['api.example.com', '*.example.org'],
      'tool.execute': ['list_files', 'read_file', 'search_files', 'write_file'],
    },
    orchestration: null,
    knowledge: [],
    directives: [],
  }
}

async function shippedVocabulary(place: { readonly userSpace: string; readonly projectPath: string }): Promise<Vocabulary> {
  const system = fileURLToPath(new URL('../system', import.meta.url))
  const kernel = createKernel({
    spaces: { project: join(place.projectPath, '.ai'), user: place.userSpace, system },
    projectPath: place.projectPath,
    indexPath: null,
    primitives: [],
    env: () => undefined,
    keys: createSigningKeys(place),
    now: Date.now,
  })
  try {
    return vocabularyOf(await kernel.capabilities())
  } finally {
    kernel.close()
  }
}

let calls = 0

async function check(gate: Gate, context: ExecutionContext): Promise<void> {
  calls += 1
  const answer = await gate.authorize({
    verb: 'execute',
    itemType: 'tool',
    itemId: 'write_file',
    category: 'files',
    requires: ['fs.write'],
    chainRequires: ['fs.write'],
    // A new path each time: nothing of it is remembered.
    parameters: { path: `area_${context.__thread_id?.slice('thread_'.length)}/notes/${calls}.md`, content: 'text' },
    context,
  })
  if (!answer.permitted) throw new Error(`The gate refused a call within its scope: ${answer.missing.join(', ')}.`)
}

function floorCheck(store: Store): (context: ExecutionContext) => void {
  const known = new Map<unknown, boolean>()
  return ({ __thread_id: threadId = '', __auth: token }) => {
    const row = store.statement('SELECT status, cancel_mode FROM threads WHERE thread_id = ?').get(threadId)
    if (row === undefined) throw new Error(`There is no thread ${threadId}.`)
    known.set(token, known.get(token) ?? row['cancel_mode'] === null)
  }
}

async function timed(run: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await run()
  return performance.now() - begun
}

function latencyOf(times: readonly number[]): Latency {
  const sorted = times.toSorted((left, right) => left - right)
  const at = (share: number): number =>
    round(sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN)
  return { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) }
}
