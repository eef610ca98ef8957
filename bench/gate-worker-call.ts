/** A call of a signed project tool: in its warm sandboxed worker, in a new one, and the same tool in this process as the floor. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createRuntimePrimitive, type RuntimePrimitive } from '../src/primitives/runtime/runtime.ts'
import type { Grant } from '../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../src/primitives/sandbox/sandbox.ts'
import { p95Of, round, type Spread, spreadOf } from './statistics.ts'

const WARMUPS = 200
const CALLS = 2_000
const FIRST_CALLS = 15
const GOAL_WARM_MEDIAN_MS = 3
/** Folders of the project, all granted: before each call they are looked at for what must stay closed. */
const FOLDERS = 200

const TOOL = 'export default async ({ n }: { n: number }) => ({ twice: 2 * n, text: "x".repeat(200) })'

interface CallFigures {
  readonly ms: Spread
  readonly p95_ms: number
  readonly calls_per_second: number
}

export interface WorkerCallReport {
  readonly goal_warm_median_ms: number
  readonly in_process: CallFigures
  /** One call after another, without a grant. */
  readonly warm: CallFigures
  /** The same with the whole project granted for reading, `project_folders` of them. */
  readonly warm_granted: CallFigures
  readonly project_folders: number
  /** From no process to the result. */
  readonly first_call_ms: Spread
  /** Of the sandboxed process and its wrapper, while it is idle. */
  readonly idle_worker_pss_mb: number
}

export async function measureWorkerCalls(): Promise<WorkerCallReport> {
  const project = mkdtempSync(join(tmpdir(), 'kiwi-bench-'))
  const runtime = createRuntimePrimitive({ sandbox: createSandbox({ mode: 'bubblewrap' }) })
  try {
    for (let index = 0; index < FOLDERS; index += 1) mkdirSync(join(project, 'src', `f${index}`), { recursive: true })
    mkdirSync(join(project, '.ai/tools'), { recursive: true })
    writeFileSync(join(project, '.ai/tools/double.ts'), TOOL)
    const first: number[] = []
    for (let index = 0; index < FIRST_CALLS; index += 1) {
      const fresh = createRuntimePrimitive({ sandbox: createSandbox({ mode: 'bubblewrap' }) })
      // The sandbox is tried out once per host; that is not part of a call.
      await call(fresh, { project, space: 'project', grant: undefined, code: `${TOOL} // probe` })
      const begun = performance.now()
      await call(fresh, { project, space: 'project', grant: undefined, code: TOOL })
      first.push(performance.now() - begun)
      await fresh.close()
    }
    return {
      goal_warm_median_ms: GOAL_WARM_MEDIAN_MS,
      in_process: await series(runtime, { project, space: 'system', grant: undefined }),
      warm: await series(runtime, { project, space: 'project', grant: undefined }),
      warm_granted: await series(runtime, { project, space: 'project', grant: READ_ALL }),
      project_folders: FOLDERS,
      first_call_ms: spreadOf(first),
      idle_worker_pss_mb: idlePssMb(),
    }
  } finally {
    await runtime.close()
    rmSync(project, { recursive: true, force: true })
  }
}

const READ_ALL: Grant = {
  id: 'bench',
  threadId: null,
  read: [{ kind: 'tree', base: [] }],
  write: [],
  network: { kind: 'none' },
  isLive: () => true,
}

interface Called {
  readonly project: string
  readonly space: 'project' | 'system'
  readonly grant: Grant | undefined
}

async function series(runtime: RuntimePrimitive, called: Called): Promise<CallFigures> {
  const bytes = Buffer.from(TOOL)
  const times: number[] = []
  let begun = performance.now()
  for (let index = -WARMUPS; index < CALLS; index += 1) {
    if (index === 0) begun = performance.now()
    const at = performance.now()
    await call(runtime, { ...called, code: bytes })
    if (index >= 0) times.push(performance.now() - at)
  }
  const seconds = (performance.now() - begun) / 1_000
  return { ms: spreadOf(times), p95_ms: round(p95Of(times)), calls_per_second: round(CALLS / seconds) }
}

const NO_IMPORTS: ReadonlyMap<string, Uint8Array> = new Map()

async function call(
  runtime: RuntimePrimitive,
  { project, space, grant, code }: Called & { readonly code: string | Buffer },
): Promise<void> {
  const { value, error } = await runtime.execute({
    config: {},
    parameters: { n: 21 },
    context: { projectPath: project, ...(grant === undefined ? {} : { __grant: grant }) },
    runtimeTool: {
      id: 'double',
      path: join(project, '.ai/tools/double.ts'),
      space,
      bytes: typeof code === 'string' ? Buffer.from(code) : code,
      imports: NO_IMPORTS,
    },
  })
  if (error !== null || typeof value !== 'object' || value === null || !('twice' in value) || value.twice !== 42)
    throw new Error(`expected {twice: 42}, got ${JSON.stringify({ value, error })}`)
}

/** Two workers are idle by now; what processes share is counted in parts. */
function idlePssMb(): number {
  const trees = childrenOf(process.pid).map((pid) => pssKb(pid))
  return round(trees.reduce((sum, kb) => sum + kb, 0) / trees.length / 1024)
}

function pssKb(pid: number): number {
  const own = Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
  return childrenOf(pid).reduce((sum, child) => sum + pssKb(child), own)
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}
