/**
 * Search over 10,000 item files (tools, directives and knowledge in three spaces), through the store and the index as the kernel uses
 * them: `refresh`, then `search`. Prints JSON: time of one query once warm (p50, p99, maximum, milliseconds), for queries that match a
 * few items, many, and all; and once each the first indexing, opening a kept index, and a refresh after one file changed.
 *
 * Not measured: the meta-tool around it, and a space on a file system without change events.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createItemStore } from '../src/kernel/items/item-store.ts'
import { createSearchIndex } from '../src/kernel/search/search-index.ts'
import { writeItem } from './item-files.ts'
import { round } from './statistics.ts'

type Spaces = Readonly<Record<'project' | 'user' | 'system', string>>

const ITEMS = 10_000
const ROUNDS = 200
const WARM_UP = 20
const GOAL_P99_MS = 5
const QUERIES: Readonly<Record<string, string>> = {
  exact_id: 'deploy_invoice_4242',
  two_words: 'review ticket',
  three_words: 'export budget page',
  prefix: 'invo',
  sentence: 'how do I write a report of the release for the team',
  in_every_item: 'item',
  nothing: 'zzyzx',
}

export interface SearchReport {
  readonly items: number
  readonly goal_p99_ms: number
  readonly queries: Readonly<Record<string, Latency>>
  readonly once: {
    readonly first_indexing_ms: number
    readonly kept_index_first_query_ms: number
    readonly after_one_change_ms: number
  }
}

interface Latency {
  readonly p50_ms: number
  readonly p99_ms: number
  readonly max_ms: number
  /** User and system time of one query; steadier than the clock on a shared machine. */
  readonly cpu_ms: number
}

export async function bench(): Promise<SearchReport> {
  const folder = mkdtempSync(join(tmpdir(), 'search-bench-'))
  try {
    const spaces = { project: join(folder, 'project', '.ai'), user: join(folder, 'user'), system: join(folder, 'system') }
    writeItems(spaces)
    return await measureSpaces(spaces, join(folder, 'index', 'search.db'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measureSpaces(spaces: Spaces, indexPath: string): Promise<SearchReport> {
  const open = () => ({
    store: createItemStore({ spaces, projectPath: spaces.project }),
    index: createSearchIndex({ indexPath }),
  })
  const ask = async ({ store, index }: ReturnType<typeof open>, query: string): Promise<number> => {
    const start = performance.now()
    await index.refresh(store)
    index.search({ query, limit: 10 })
    return performance.now() - start
  }
  const first = open()
  const firstIndexingMs = await ask(first, 'file')
  const queries: Record<string, Latency> = {}
  for (const [name, query] of Object.entries(QUERIES)) queries[name] = await latencyOf(() => ask(first, query))
  writeFileSync(join(spaces.project, 'knowledge', 'changed.md'), '# Changed\n\nan item that is new\n')
  const afterChangeMs = await ask(first, 'changed')
  first.index.close()
  first.store.close()
  const second = open()
  const reopenMs = await ask(second, 'file')
  second.index.close()
  second.store.close()
  const once = {
    first_indexing_ms: round(firstIndexingMs),
    kept_index_first_query_ms: round(reopenMs),
    after_one_change_ms: round(afterChangeMs),
  }
  return { items: ITEMS, goal_p99_ms: GOAL_P99_MS, queries, once }
}

async function latencyOf(run: () => Promise<number>): Promise<Latency> {
  for (let index = 0; index < WARM_UP; index += 1) await run()
  const times: number[] = []
  const cpuBefore = process.cpuUsage()
  for (let index = 0; index < ROUNDS; index += 1) times.push(await run())
  const cpu = process.cpuUsage(cpuBefore)
  times.sort((left, right) => left - right)
  const at = (share: number): number => round(times[Math.min(Math.floor(times.length * share), times.length - 1)] ?? 0)
  return { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1), cpu_ms: round((cpu.user + cpu.system) / 1000 / ROUNDS) }
}

function writeItems(spaces: Spaces): void {
  for (let number = 0; number < ITEMS; number += 1)
    writeItem(number % 10 < 6 ? spaces.project : number % 10 < 9 ? spaces.user : spaces.system, number)
}

if (import.meta.main) console.log(JSON.stringify({ search: await bench(), node: process.version }, null, 2))
