import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type {
  CapabilityInfo,
  CategoryRule,
  Grants,
  TokenAuthority,
  TokenLedger,
  Vocabulary,
} from '../../../src/capabilities/contract.ts'
import { type InstallKey, openInstallKey } from '../../../src/capabilities/keys/install-key.ts'
import { createTokenAuthority, type TokenAuthorityOptions } from '../../../src/capabilities/tokens/authority.ts'
import { createRunKey, type RunKey } from '../../../src/capabilities/tokens/run-key.ts'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import { openStore, type Store } from '../../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { atEnd, request, tempFolder } from '../../threads/fixture.ts'

/** A machine with one project: a registry with real threads, an install key, and host runs as many as are asked for. */
export interface Office {
  readonly store: Store
  readonly threads: ThreadsClient
  readonly ledger: TokenLedger
  readonly installKey: InstallKey
  readonly clock: { wallMs: number; monotonicMs: number }
  /** Lets time go by on both clocks. */
  pass(ms: number): void
  /** A new host run with a run key of its own. */
  host(change?: Partial<TokenAuthorityOptions>): Promise<Host>
  spawn(threadId: string, parentThreadId?: string | null): Promise<void>
  setStatus(threadId: string, status: string): void
}

export interface Host {
  readonly authority: TokenAuthority
  readonly runKey: RunKey
}

export const AUDIENCE = 'kiwi:project:test'
export const MINUTE_MS = 60_000

export async function openOffice(t: TestContext): Promise<Office> {
  const folder = tempFolder(t)
  const store = openStore({ path: join(folder, 'project', '.ai', 'threads', 'registry.db') })
  atEnd(t, () => store.close())
  const threads = createThreadsClient({
    projectPath: join(folder, 'project'),
    store,
    ownsStore: false,
    clock: systemClock,
    wake: async () => undefined,
    watchLive: async () => undefined,
  })
  const installKey = openInstallKey(join(folder, 'user', 'keys'), { projectPath: join(folder, 'project') })
  const clock = { wallMs: Date.parse('2026-11-22T12:00:00.500Z'), monotonicMs: 1_000 }
  return {
    store,
    threads,
    ledger: threads.tokens,
    installKey,
    clock,
    pass(ms) {
      clock.wallMs += ms
      clock.monotonicMs += ms
    },
    async host(change = {}) {
      const runKey = await createRunKey(() => clock.wallMs)
      const authority = createTokenAuthority({
        ledger: threads.tokens,
        runKey,
        installKey,
        audience: AUDIENCE,
        vocabulary: async () => VOCABULARY,
        now: () => clock.wallMs,
        monotonicMs: () => clock.monotonicMs,
        ...change,
      })
      return { authority, runKey }
    },
    spawn: async (threadId, parentThreadId = null) => void (await threads.spawn(request(threadId, { parentThreadId }))),
    setStatus: (threadId, status) =>
      void store.statement('UPDATE threads SET status = ? WHERE thread_id = ?').run(status, threadId),
  }
}

export function grants(capabilities: Grants['capabilities'], change: Partial<Grants> = {}): Grants {
  return { capabilities, orchestration: null, knowledge: [], directives: [], ...change }
}

export function rule(change: Partial<CategoryRule>): CategoryRule {
  return { allowCategories: null, denyCategories: [], allowIds: null, denyIds: [], ...change }
}

/** The ids of the shipped modules that these tests speak of. */
export const VOCABULARY: Vocabulary = vocabulary([
  ['fs.read', 'path', 'path'],
  ['fs.write', 'path', 'path'],
  ['fs.delete', 'path', 'path'],
  ['net.http', 'host', 'url'],
  ['net.websocket', 'host', 'url'],
  ['mcp.connect', 'id', 'server'],
  ['tool.execute', 'id', 'id'],
  ['tool.approved', 'id', 'id'],
  ['process.exec', null, null],
  ['tool.modify', null, null],
  ['directive.modify', null, null],
  ['extractor.modify', null, null],
  ...['search', 'load', 'execute', 'sign', 'help'].map((verb) => [`kiwi-mcp.${verb}`, null, null] as const),
])

function vocabulary(rows: readonly (readonly [string, CapabilityInfo['scope'], string | null])[]): Vocabulary {
  const infos = rows.map(([id, scope, defaultParameter]): CapabilityInfo => ({
    id,
    description: id,
    scope,
    defaultParameter,
    systemOnly: id.startsWith('extractor.'),
    implies: [],
  }))
  return { get: (id) => infos.find((info) => info.id === id), list: () => infos }
}
