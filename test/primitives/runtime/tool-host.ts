import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { RuntimeOutcome } from '../../../src/primitives/runtime/contract.ts'
import type { PathRule, SandboxMode } from '../../../src/primitives/sandbox/contract.ts'
import type { Caller } from '../sandbox/sandboxed.ts'

export interface ToolRun {
  readonly code: string
  readonly imports?: Readonly<Record<string, string>>
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly config?: Readonly<Record<string, unknown>>
  /** Absent runs without a grant. */
  readonly grant?: {
    readonly id?: string
    readonly read?: readonly PathRule[]
    readonly write?: readonly PathRule[]
    readonly network?: 'none' | 'open'
  }
  readonly space?: 'project' | 'user'
  readonly path?: string
}

export interface HostRequest {
  readonly project: string
  readonly userSpace?: string
  readonly mode?: SandboxMode
  /** False: without Node's own permission model, to see what the sandbox does by itself. */
  readonly permissionModel?: boolean
  /** False: the host ends without ending its workers. */
  readonly close?: boolean
  readonly runs: readonly ToolRun[]
}

export interface HostReport {
  readonly outcomes: readonly RuntimeOutcome[]
  /** What the host printed. */
  readonly stderr: string
  /** Null when it was killed. */
  readonly exitCode: number | null
}

const RUNNER = join(import.meta.dirname, 'run-tools.ts')
/** Shorter than an idle worker lives, so that a host which waits for one is killed. */
const TIMEOUT_MS = 25_000

/** Runs tools, one after another, in a host process of `caller`. */
export async function runTools(caller: Caller, request: HostRequest, nodeFlags: readonly string[] = []): Promise<HostReport> {
  const node = [process.execPath, ...nodeFlags, RUNNER, JSON.stringify(request)]
  const dropped = ['setpriv', '--reuid', String(caller.uid), '--regid', String(caller.uid), '--clear-groups']
  const [command = '', ...args] = caller.uid === null ? node : [...dropped, ...node]
  const child = spawn(command, args, {
    cwd: '/',
    env: { PATH: process.env['PATH'], HOST_SECRET_KEY: 'canary-secret' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  const output: Buffer[] = []
  const problems: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => problems.push(chunk))
  return await new Promise((resolve, reject) => {
    child.on('close', (code, signal) => {
      const text = Buffer.concat(output).toString('utf8')
      const stderr = Buffer.concat(problems).toString('utf8')
      if (text === '') reject(new Error(`The host of the tools ended (${code ?? signal}) and said nothing. ${stderr}`))
      // Written by run-tools.ts, which writes this type.
      else resolve({ outcomes: JSON.parse(text) as readonly RuntimeOutcome[], stderr, exitCode: code })
    })
  })
}

/** The result of a tool that must have ended well. */
export function valueOf(outcome: RuntimeOutcome | undefined): unknown {
  if (outcome === undefined || outcome.error !== null) throw new Error(`expected a result, got ${JSON.stringify(outcome)}`)
  return outcome.value
}
