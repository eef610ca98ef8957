import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Measured, Task } from './contender.ts'

const RUN_TIMEOUT_MS = 180_000
const STOP_TIMEOUT_MS = 5_000

/** The server and the measured client do not compete for a core where the machine can pin them. */
export const pinned: boolean = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0

export interface ModelServer {
  readonly origin: string
  stop(): Promise<void>
}

export interface ContenderProcess {
  readonly name: string
  run(task: Omit<Task, 'folder'>): Promise<Measured>
  stop(): Promise<void>
}

export async function startModelServer(): Promise<ModelServer> {
  const child = spawnNode('model-server.ts', [], 0)
  // model-server.ts sends exactly this message first
  const { port } = (await message(child, 'the model server')) as { port: number }
  return { origin: `http://127.0.0.1:${port}`, stop: () => stop(child) }
}

/** `file` is relative to `bench/`. The process is ready, and its modules loaded, when this resolves. */
export async function startContender(name: string, file: string): Promise<ContenderProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-bench-'))
  const child = spawnNode('contender-process.ts', [fileURLToPath(new URL(file, import.meta.url)), folder], 1)
  await message(child, name)
  return {
    name,
    async run(task) {
      child.send({ ...task, folder })
      // contender-process.ts answers each task with exactly one of these
      const answer = (await message(child, name)) as { measured?: Measured; error?: string }
      if (answer.measured === undefined) throw new Error(`${name} failed: ${answer.error}`)
      return answer.measured
    },
    async stop() {
      await stop(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function spawnNode(script: string, args: readonly string[], core: number): ChildProcess {
  const [file, ...rest] = pinnedCommand(core, [process.execPath, fileURLToPath(new URL(script, import.meta.url)), ...args])
  const env = { ...process.env, OPENAI_AGENTS_DISABLE_TRACING: '1', LANGSMITH_TRACING: 'false', LANGCHAIN_TRACING_V2: 'false' }
  return spawn(file, rest, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env })
}

/** The command that runs this one on one core, where the machine can do that. */
export function pinnedCommand(
  core: number,
  command: readonly [file: string, ...args: string[]],
): readonly [file: string, ...args: string[]] {
  return pinned ? ['taskset', '-c', String(core), ...command] : command
}

async function message(child: ChildProcess, name: string): Promise<unknown> {
  const settled = new AbortController()
  const signal = AbortSignal.any([AbortSignal.timeout(RUN_TIMEOUT_MS), settled.signal])
  const answered = once(child, 'message', { signal }).then(([value]) => value as unknown)
  const ended = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`${name} ended with code ${code} before it answered`)
  })
  // Takes the listeners of the promise that lost away; its rejection ends in the race, which handles it.
  return Promise.race([answered, ended]).finally(() => settled.abort())
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  if (child.connected) child.send('close')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  child.disconnect()
  await exited
  clearTimeout(timer)
}
