/**
 * `bash -c true` as a thread runs it: the shipped tool's chain, in the sandbox, with a grant that reads the project and writes two folders of
 * it; with network besides, which starts a proxy for the command; and the same command spawned plainly, as the floor. In turn, in one run.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { createSigningKeys } from '../src/capabilities/keys/signing-keys.ts'
import type { Kernel } from '../src/kernel/contract.ts'
import { createKernel } from '../src/kernel/kernel.ts'
import { startProxy } from '../src/primitives/network/proxy.ts'
import type { Grant, NetworkGrant } from '../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from '../src/primitives/subprocess/subprocess.ts'
import { p95Of, round, type Spread, spreadOf } from './statistics.ts'

const WARMUPS = 5
const RUNS = 60
const GOAL_MEDIAN_ABOVE_SPAWN_MS = 25
/** Folders of the project, in four files each: they are looked through for what must stay closed. */
const FOLDERS = 200
const COMMAND = 'true'

interface CommandFigures {
  readonly ms: Spread
  readonly p95_ms: number
}

export interface BashReport {
  readonly goal_median_above_spawn_ms: number
  readonly project_folders: number
  readonly plain_spawn: CommandFigures
  readonly bash: CommandFigures
  readonly bash_with_network: CommandFigures
  /** Each taken within its turn. */
  readonly bash_above_spawn_ms: Spread
}

export async function measureBash(): Promise<BashReport> {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-bench-'))
  const places = { userSpace: join(folder, 'user'), projectPath: join(folder, 'project') }
  for (let index = 0; index < FOLDERS; index += 1) {
    const path = join(places.projectPath, 'src', `f${index}`)
    mkdirSync(path, { recursive: true })
    for (let file = 0; file < 4; file += 1) writeFileSync(join(path, `${file}.txt`), 'text')
  }
  const kernels = [openKernel(places, { kind: 'none' }), openKernel(places, SCOPED)] as const
  try {
    const plain: number[] = []
    const bash: number[] = []
    const networked: number[] = []
    for (let index = -WARMUPS; index < RUNS; index += 1) {
      const times = [
        await timed(() => spawnPlainly(places.projectPath)),
        await timed(() => execute(kernels[0])),
        await timed(() => execute(kernels[1])),
      ] as const
      if (index < 0) continue
      plain.push(times[0])
      bash.push(times[1])
      networked.push(times[2])
    }
    return {
      goal_median_above_spawn_ms: GOAL_MEDIAN_ABOVE_SPAWN_MS,
      project_folders: FOLDERS,
      plain_spawn: figuresOf(plain),
      bash: figuresOf(bash),
      bash_with_network: figuresOf(networked),
      bash_above_spawn_ms: spreadOf(bash.map((ms, index) => ms - (plain[index] ?? Number.NaN))),
    }
  } finally {
    for (const kernel of kernels) kernel.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const SCOPED: NetworkGrant = { kind: 'scoped', policy: { allows: () => true, allowsPrivate: () => false } }

function openKernel(places: { readonly userSpace: string; readonly projectPath: string }, network: NetworkGrant): Kernel {
  const { userSpace, projectPath } = places
  const grant: Grant = {
    id: `bench-${network.kind}`,
    threadId: 'bench',
    read: [{ kind: 'tree', base: [] }],
    write: ['src', 'out'].map((name) => ({ kind: 'tree', base: [name] })),
    network,
    isLive: () => true,
  }
  const sandbox = createSandbox({ mode: 'bubblewrap', hidden: [userSpace], startProxy })
  return createKernel({
    spaces: {
      project: join(projectPath, '.ai'),
      user: userSpace,
      system: fileURLToPath(new URL('../system', import.meta.url)),
    },
    projectPath,
    indexPath: null,
    primitives: [createSubprocessPrimitive({ sandbox, env: () => undefined })],
    env: () => undefined,
    authorize: async () => ({ permitted: true, grant }),
    keys: createSigningKeys(places),
    now: Date.now,
  })
}

async function execute(kernel: Kernel): Promise<void> {
  const answer = await kernel.execute({ item_type: 'tool', item_id: 'bash', parameters: { command: COMMAND } })
  if (!answer.success) throw new Error(`bash failed: ${JSON.stringify(answer.error)}`)
}

async function spawnPlainly(cwd: string): Promise<void> {
  const child = spawn('/bin/bash', ['-c', COMMAND], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`bash ended with exit code ${code}.`)
}

async function timed(run: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await run()
  return performance.now() - begun
}

function figuresOf(times: readonly number[]): CommandFigures {
  return { ms: spreadOf(times), p95_ms: round(p95Of(times)) }
}
