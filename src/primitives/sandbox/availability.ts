import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { codeOf } from '../files/system-error.ts'
import type { SandboxAvailability } from './contract.ts'
import { ISOLATION, systemArguments } from './system-view.ts'

const PROBE_TIMEOUT_MS = 10_000
/** `--bind-fd` and `--disable-userns` came with it. */
const OLDEST: readonly [number, number] = [0, 8]

/**
 * Runs a trivial command the way real ones are run, because an installed bubblewrap may still be forbidden to make namespaces.
 * Never rejects.
 */
export async function probeSandbox(programs: SandboxPrograms): Promise<SandboxAvailability> {
  if (process.platform !== 'linux') {
    return {
      kind: 'missing',
      reason: `bubblewrap needs Linux, and this is ${process.platform}`,
      installLine: null,
    }
  }
  const version = await output(programs.bwrap, ['--version'])
  if (version.kind === 'absent')
    return { kind: 'missing', reason: 'bubblewrap (bwrap) is not installed', installLine: installLine() }
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(version.text) ?? []
  if (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1]) {
    return { kind: 'broken', reason: `${version.text} is too old; 0.8 is needed`, installLine: installLine() }
  }
  const prlimit = await output(programs.prlimit, ['--version'])
  if (prlimit.kind === 'absent')
    return { kind: 'missing', reason: 'prlimit (util-linux) is not installed', installLine: installLine('util-linux') }
  const run = await output(programs.bwrap, [
    ...ISOLATION,
    ...systemArguments({ network: false }),
    '--',
    programs.prlimit,
    '--version',
  ])
  if (run.kind !== 'ran') {
    return {
      kind: 'broken',
      reason: `bubblewrap is installed but cannot make a sandbox here (${run.text})`,
      installLine: 'sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000',
    }
  }
  return { kind: 'available', version: `${major}.${minor}` }
}

/** Where the two programs are that every command goes through. */
/** Where the sandbox's own programs are looked for. A host may be started with an environment that names no folder at all. */
export function searchPath(): string {
  return process.env['PATH'] || '/usr/local/bin:/usr/bin:/bin'
}

export interface SandboxPrograms {
  readonly bwrap: string
  readonly prlimit: string
}

type Output = { readonly kind: 'ran' | 'failed' | 'absent'; readonly text: string }

async function output(command: string, args: readonly string[]): Promise<Output> {
  return await new Promise((resolve) => {
    execFile(command, args, { timeout: PROBE_TIMEOUT_MS, env: { PATH: searchPath() } }, (error, stdout, stderr) => {
      if (error === null) resolve({ kind: 'ran', text: stdout.trim() })
      else if (codeOf(error) === 'ENOENT') resolve({ kind: 'absent', text: '' })
      else resolve({ kind: 'failed', text: (stderr.trim() || error.message).slice(0, 300) })
    })
  })
}

const INSTALLERS: readonly { readonly like: RegExp; readonly line: string }[] = [
  { like: /debian|ubuntu/, line: 'apt-get install -y' },
  { like: /fedora|rhel|centos/, line: 'dnf install -y' },
  { like: /alpine/, line: 'apk add' },
  { like: /arch/, line: 'pacman -S --noconfirm' },
  { like: /suse/, line: 'zypper install -y' },
]

function installLine(name = 'bubblewrap'): string {
  let release = ''
  try {
    release = readFileSync('/etc/os-release', 'utf8')
  } catch {
    // A system that does not say what it is gets the line of the most common one.
  }
  const family = /^ID(?:_LIKE)?=.*$/gm
  const ids = (release.match(family) ?? []).join(' ').toLowerCase()
  return `${INSTALLERS.find(({ like }) => like.test(ids))?.line ?? 'apt-get install -y'} ${name}`
}
