/**
 * One `search` over MCP, in a project of 200 items, against a bare server of the same library that answers with the very same result: over stdio and over HTTP,
 * in both eras, with the library's client and with a bare one. Prints JSON.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { writeItem } from './item-files.ts'
import {
  callHttp,
  callHttpBySdk,
  type Caller,
  callStdio,
  callStdioBySdk,
  type Command,
  type Era,
  type Served,
  type ToolResult,
} from './mcp-callers.ts'
import { pinnedCommand } from './processes.ts'
import { round, type Spread, spreadOf } from './statistics.ts'

const ITEMS = 200
const WARM_UP_ROUNDS = 20
const ROUNDS = 30
const CALLS_PER_ROUND = 50
const GOAL_RATIO = 1.5
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 5_000
const SEARCH = { query: 'review ticket' }
const ERAS: readonly Era[] = ['modern', 'legacy']

const KIWI = fileURLToPath(new URL('../bin/kiwi.js', import.meta.url))
const ECHO = fileURLToPath(new URL('mcp-echo-server.ts', import.meta.url))

export interface McpReport {
  readonly items: number
  /** Of each server in each way, after the warm-up. */
  readonly calls: number
  readonly result_bytes: number
  /** For each way with the library's client. */
  readonly goal_ratio: number
  /** By transport and era. */
  readonly sdk_client: Readonly<Record<string, Way>>
  readonly bare_client: Readonly<Record<string, Way>>
}

interface Way {
  readonly kiwi: Latency
  readonly echo: Latency
  /** Median of ours over that of the echo in the same round. */
  readonly p50_ratio: Spread
}

interface Latency {
  readonly p50_ms: number
  readonly p99_ms: number
}

interface Pair {
  readonly client: 'sdk_client' | 'bare_client'
  readonly way: string
  readonly kiwi: Caller
  readonly echo: Caller
}

type Times = Readonly<Record<'kiwi' | 'echo', number[][]>>

export async function bench(): Promise<McpReport> {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-mcp-bench-'))
  const started: ChildProcessWithoutNullStreams[] = []
  try {
    return await measure(folder, started)
  } finally {
    await Promise.all(started.map(stop))
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function measure(folder: string, started: ChildProcessWithoutNullStreams[]): Promise<McpReport> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: join(folder, 'home'), USER_SPACE: join(folder, 'user') }
  const cwd = join(folder, 'project')
  for (let number = 0; number < ITEMS; number += 1) writeItem(join(cwd, '.ai'), number)
  const commandOf = (...script: readonly string[]): Command => {
    const [command, ...args] = pinnedCommand(1, [process.execPath, ...script])
    return { command, args, cwd, env }
  }
  const start = ({ command, args }: Command): ChildProcessWithoutNullStreams => {
    const child = spawn(command, args, { cwd, env })
    child.stderr.resume()
    started.push(child)
    return child
  }
  const kiwi = commandOf(KIWI, 'mcp')
  const result = await onceAnswered(kiwi)
  const echoFile = join(folder, 'result.json')
  writeFileSync(echoFile, JSON.stringify(result))
  const echo = commandOf(ECHO, 'stdio', echoFile)
  const kiwiHttp = await served(start(commandOf(KIWI, 'serve', '--port', '0', '--output', 'json')))
  const echoHttp = await served(start(commandOf(ECHO, 'http', echoFile)))
  const pairs: Pair[] = []
  for (const era of ERAS) {
    const both = async (client: Pair['client'], way: string, open: OpenPair): Promise<void> => {
      pairs.push({ client, way: `${way}_${era}`, kiwi: await open[0](), echo: await open[1]() })
    }
    await both('sdk_client', 'stdio', [() => callStdioBySdk(kiwi, era), () => callStdioBySdk(echo, era)])
    await both('sdk_client', 'http', [() => callHttpBySdk(kiwiHttp, era), () => callHttpBySdk(echoHttp, era)])
    await both('bare_client', 'stdio', [() => callStdio(start(kiwi), era), () => callStdio(start(echo), era)])
    await both('bare_client', 'http', [() => callHttp(kiwiHttp, era), () => callHttp(echoHttp, era)])
  }
  const times = await measureRounds(pairs, result)
  await Promise.all(pairs.flatMap((pair) => [pair.kiwi.close(), pair.echo.close()]))
  const waysOf = (client: Pair['client']): Readonly<Record<string, Way>> =>
    Object.fromEntries([...times].flatMap(([pair, taken]) => (pair.client === client ? [[pair.way, wayOf(taken)]] : [])))
  return {
    items: ITEMS,
    calls: ROUNDS * CALLS_PER_ROUND,
    result_bytes: sizeOf(result),
    goal_ratio: GOAL_RATIO,
    sdk_client: waysOf('sdk_client'),
    bare_client: waysOf('bare_client'),
  }
}

type OpenPair = readonly [kiwi: () => Promise<Caller>, echo: () => Promise<Caller>]

async function onceAnswered(command: Command): Promise<ToolResult> {
  const caller = await callStdioBySdk(command, 'modern')
  try {
    return await caller.search(SEARCH)
  } finally {
    await caller.close()
  }
}

/** Both print one line of JSON when they listen. */
async function served(child: ChildProcessWithoutNullStreams): Promise<Served> {
  const lines = createInterface({ input: child.stdout })
  const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(START_TIMEOUT_MS) })
  const { url, token_file: file } = JSON.parse(String(line)) as { readonly url: string; readonly token_file?: string }
  return file === undefined ? { url } : { url, token: readFileSync(file, 'utf8').trim() }
}

/** Every round asks each server for a block of calls, one after another; so a machine that slows down slows all of them. */
async function measureRounds(pairs: readonly Pair[], expected: ToolResult): Promise<ReadonlyMap<Pair, Times>> {
  const times = new Map(pairs.map((pair) => [pair, { kiwi: [] as number[][], echo: [] as number[][] }]))
  for (let index = -WARM_UP_ROUNDS; index < ROUNDS; index += 1)
    for (const [pair, rounds] of times)
      for (const which of ['kiwi', 'echo'] as const) {
        const block = await timeCalls(pair[which], expected)
        if (index >= 0) rounds[which].push(block)
      }
  return times
}

async function timeCalls(caller: Caller, expected: ToolResult): Promise<number[]> {
  const times: number[] = []
  let result = expected
  for (let call = 0; call < CALLS_PER_ROUND; call += 1) {
    const begun = performance.now()
    result = await caller.search(SEARCH)
    times.push(performance.now() - begun)
  }
  if (sizeOf(result) !== sizeOf(expected)) throw new Error(`The answers differ in size: ${JSON.stringify(result)}`)
  return times
}

/** Without what the library adds to each answer, such as the name of the server. */
function sizeOf({ content, structuredContent }: ToolResult): number {
  return Buffer.byteLength(JSON.stringify({ content, structuredContent }))
}

function wayOf({ kiwi, echo }: Times): Way {
  const ratios = kiwi.map((block, index) => at(block, 0.5) / at(echo[index] ?? [], 0.5))
  return { kiwi: latencyOf(kiwi.flat()), echo: latencyOf(echo.flat()), p50_ratio: spreadOf(ratios) }
}

function latencyOf(times: readonly number[]): Latency {
  return { p50_ms: round(at(times, 0.5)), p99_ms: round(at(times, 0.99)) }
}

function at(times: readonly number[], share: number): number {
  return times.toSorted((left, right) => left - right)[Math.floor(times.length * share)] ?? Number.NaN
}

async function stop(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}

if (import.meta.main) console.log(JSON.stringify({ mcp: await bench(), node: process.version }, null, 2))
