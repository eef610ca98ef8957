/** From spawning `kiwi mcp` to its first answer to `tools/list`, against a Node that does nothing. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { type Spread, spreadOf } from './statistics.ts'

const RUNS = 15
const WARMUPS = 3
const ANSWER_TIMEOUT_MS = 30_000

const KIWI = fileURLToPath(new URL('../bin/kiwi.js', import.meta.url))

export interface ColdStartReport {
  readonly node_e_0_ms: Spread
  readonly kiwi_mcp_first_tools_list_ms: Spread
}

export async function bench(): Promise<ColdStartReport> {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-bench-'))
  try {
    const floor: number[] = []
    const ours: number[] = []
    for (let index = -WARMUPS; index < RUNS; index += 1) {
      const nothing = bareNode()
      const listed = await firstToolsList(folder)
      if (index < 0) continue
      floor.push(nothing)
      ours.push(listed)
    }
    return { node_e_0_ms: spreadOf(floor), kiwi_mcp_first_tools_list_ms: spreadOf(ours) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function bareNode(): number {
  const begun = performance.now()
  spawnSync(process.execPath, ['-e', '0'])
  return performance.now() - begun
}

async function firstToolsList(folder: string): Promise<number> {
  const begun = performance.now()
  const child = spawn(process.execPath, [KIWI, 'mcp'], { cwd: folder, env: { ...process.env, HOME: folder } })
  const clientInfo = { name: 'bench', version: '1' }
  send(child, { id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo } })
  send(child, { method: 'notifications/initialized' })
  send(child, { id: 2, method: 'tools/list', params: {} })
  try {
    const count = await toolCount(child)
    const tookMs = performance.now() - begun
    if (count !== 5) throw new Error(`kiwi mcp listed ${count} tools, expected 5.`)
    return tookMs
  } finally {
    const exited = once(child, 'exit')
    child.stdin.end()
    await exited
  }
}

function send(child: ChildProcessWithoutNullStreams, message: object): void {
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
}

async function toolCount(child: ChildProcessWithoutNullStreams): Promise<number> {
  const lines = createInterface({ input: child.stdout, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
  for await (const line of lines) {
    // lines of a JSON-RPC server; only the answer to request 2 matters
    const message = JSON.parse(line) as { id?: number; result?: { tools: readonly unknown[] } }
    if (message.id === 2) return message.result?.tools.length ?? -1
  }
  throw new Error('kiwi mcp ended before it listed its tools.')
}
