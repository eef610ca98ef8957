import { spawn } from 'node:child_process'
import { lchown, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { PathRule } from '../../../src/primitives/sandbox/contract.ts'
import type { SubprocessOutcome } from '../../../src/primitives/subprocess/subprocess.ts'

/** Whoever starts a command: this user, and where this is root also somebody who is not. */
export interface Caller {
  readonly name: string
  /** Null for this user. */
  readonly uid: number | null
}

/** No account of the machine. */
const ORDINARY_UID = 43_210

export const CALLERS: readonly Caller[] =
  process.getuid?.() === 0
    ? [
        { name: 'root', uid: null },
        { name: 'an ordinary user', uid: ORDINARY_UID },
      ]
    : [{ name: 'an ordinary user', uid: null }]

export interface CommandRequest {
  readonly project: string
  readonly config: Readonly<Record<string, unknown>>
  /** Absent runs without a grant. */
  readonly grant?: {
    readonly read?: readonly PathRule[]
    readonly write?: readonly PathRule[]
    readonly network?: 'none' | 'open'
    /** `host:port` that a scoped network allows, private addresses included. */
    readonly hosts?: readonly string[]
  }
  readonly hidden?: readonly string[]
}

const RUNNER = join(import.meta.dirname, 'run-command.ts')

export interface StartedCommand {
  readonly outcome: Promise<SubprocessOutcome>
  /** Kills the host process of the command, not the command. */
  kill(): void
  /** Aborts the command's signal. */
  cancel(): void
}

/** A command whose host is a process of `caller`. */
export function startAs(caller: Caller, request: CommandRequest): StartedCommand {
  const node = [process.execPath, RUNNER, JSON.stringify(request)]
  const dropped = ['setpriv', '--reuid', String(caller.uid), '--regid', String(caller.uid), '--clear-groups']
  const [command = '', ...args] = caller.uid === null ? node : [...dropped, ...node]
  const child = spawn(command, args, {
    cwd: '/',
    env: { PATH: process.env['PATH'], HOST_SECRET_KEY: 'canary-secret', PLAIN: 'plain' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output: Buffer[] = []
  const problems: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => problems.push(chunk))
  // The host may have been killed.
  child.stdin.on('error', () => undefined)
  const outcome = new Promise<SubprocessOutcome>((resolve, reject) => {
    child.on('close', () => {
      const text = Buffer.concat(output).toString('utf8')
      if (text === '') reject(new Error(`The host of the command said nothing. ${Buffer.concat(problems).toString('utf8')}`))
      // Written by run-command.ts, which writes this type.
      else resolve(JSON.parse(text) as SubprocessOutcome)
    })
  })
  return { outcome, kill: () => void child.kill('SIGKILL'), cancel: () => void child.stdin.end() }
}

export async function runAs(caller: Caller, request: CommandRequest): Promise<SubprocessOutcome> {
  return await startAs(caller, request).outcome
}

/** Text of a command's standard output that must have ended well. */
export function outputOf({ value, error }: SubprocessOutcome): string {
  if (value === null || error !== null) throw new Error(`expected output, got ${JSON.stringify({ value, error })}`)
  return value.stdout
}

export const tree = (...base: string[]): PathRule => ({ kind: 'tree', base })
export const exact = (...base: string[]): PathRule => ({ kind: 'exact', base })

export interface SandboxProject extends AsyncDisposable {
  readonly root: string
  read(path: string): Promise<string>
  names(path?: string): Promise<readonly string[]>
}

/** A folder of files (a text, or `-> target` for a link), owned by `caller`. */
export async function createSandboxProject(caller: Caller, files: Readonly<Record<string, string>>): Promise<SandboxProject> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-sandbox-')))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    if (text.startsWith('-> ')) await symlink(text.slice(3), join(root, path))
    else await writeFile(join(root, path), text)
  }
  if (caller.uid !== null) await giveAway(root, caller.uid)
  return {
    root,
    read: async (path) => await readFile(join(root, path), 'utf8'),
    names: async (path = '.') => (await readdir(join(root, path))).toSorted(),
    [Symbol.asyncDispose]: async () => await rm(root, { recursive: true, force: true }),
  }
}

/** Folder by folder, because a recursive listing follows links to folders, and the owner of nothing else may change. */
async function giveAway(folder: string, uid: number): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    await lchown(path, uid, uid)
    if (entry.isDirectory()) await giveAway(path, uid)
  }
  await lchown(folder, uid, uid)
}

/** Waits for a condition at most `withinMs`; what it was at last. */
export async function within(withinMs: number, condition: () => Promise<boolean> | boolean): Promise<boolean> {
  const deadline = performance.now() + withinMs
  while (!(await condition())) {
    if (performance.now() > deadline) return await condition()
    await delay(10)
  }
  return true
}

/** Processes of the machine whose command line holds `text`, zombies left out: those have no command line. */
export async function processesWith(text: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  const lines = await Promise.all(pids.map(async (pid) => await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(text))
}
