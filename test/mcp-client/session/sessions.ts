import { copyFile, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { McpFailure, McpSession } from '../../../src/mcp-client/contract.ts'
import { McpFailure as Failure } from '../../../src/mcp-client/contract.ts'
import { openMcpSession } from '../../../src/mcp-client/session/open-session.ts'
import type { OpenSessionRequest } from '../../../src/mcp-client/session/open-session.ts'
import type { StdioTarget } from '../../../src/mcp-client/session/target.ts'
import type { Grant } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createProcessOpener } from '../../../src/primitives/subprocess/open-process.ts'
import type { Mode } from '../hostile-server.mjs'

const ROOT = join(import.meta.dirname, '../../..')
const opener = createProcessOpener({ sandbox: createSandbox({ mode: 'bubblewrap' }), env: (name) => process.env[name] })

/** A thread that was granted nothing: a server sees its own program and no more. */
export const NOTHING: Grant = {
  id: 'nothing',
  threadId: 'one',
  read: [],
  write: [],
  network: { kind: 'none' },
  isLive: () => true,
}

export const ANSWER = { timeoutMs: 20_000 } as const

/** A project that consists of the hostile server. */
export async function hostileProject(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-mcp-')))
  await copyFile(join(import.meta.dirname, '../hostile-server.mjs'), join(path, 'hostile-server.mjs'))
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) }
}

/** The hostile server as a sandboxed process. */
export function hostileProcess(project: string, mode: Mode): StdioTarget {
  return {
    kind: 'stdio',
    open: opener,
    process: {
      config: { command: 'node', args: ['hostile-server.mjs', mode] },
      context: { projectPath: project, __grant: NOTHING },
      program: ['hostile-server.mjs'],
    },
  }
}

/** A program of this checkout as a sandboxed process. */
export function programOf(command: string, args: readonly string[], program: readonly string[]): StdioTarget {
  return {
    kind: 'stdio',
    open: opener,
    process: { config: { command, args }, context: { projectPath: ROOT, __grant: NOTHING }, program },
  }
}

export function httpTarget(url: string): OpenSessionRequest['target'] {
  return { kind: 'http', url, network: { kind: 'open' } }
}

export interface Opened extends AsyncDisposable {
  readonly session: McpSession
}

export async function open(target: OpenSessionRequest['target'], more: Partial<OpenSessionRequest> = {}): Promise<Opened> {
  const session = await openMcpSession({ server: 'peer', target, ...more })
  return { session, [Symbol.asyncDispose]: async () => await session.close() }
}

/** What the promise rejects with; it must be a failure of ours. */
export async function failureOf(promise: Promise<unknown>): Promise<McpFailure> {
  const outcome: unknown = await promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  )
  if (outcome instanceof Failure) return outcome
  throw new Error(
    `Expected an McpFailure, got ${outcome instanceof Error ? (outcome.stack ?? outcome.message) : JSON.stringify(outcome)}`,
  )
}

/** A fact of a failure that is a text. */
export function factOf(failure: McpFailure, name: string): string {
  const fact = failure.detail[name]
  if (typeof fact !== 'string') throw new Error(`Expected the text \`${name}\`, got ${JSON.stringify(failure.detail)}`)
  return fact
}

/** Calls the tool that works. */
export async function echo(session: McpSession, text: string): Promise<unknown> {
  const { content } = await session.request('tools/call', { name: 'echo', arguments: { text } }, ANSWER)
  return content
}

export async function callFault(session: McpSession, timeoutMs = 20_000): Promise<unknown> {
  return await session.request('tools/call', { name: 'fault', arguments: {} }, { timeoutMs })
}

/** By how many bytes the process grew at most while something ran. */
export async function growthDuring(run: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss()
  let most = before
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5)
  await run()
  clearInterval(timer)
  return Math.max(most, process.memoryUsage.rss()) - before
}
