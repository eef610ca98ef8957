/**
 * Separates the processes of a call from the machine: bubblewrap with a view of the project that its grant describes, limits, an empty
 * environment and no network but the granted one.
 *
 * S1. Nothing runs outside unless the configuration says so (`none`), and then the result says so.
 * S2. When `dispose` has answered, no process of the sandbox is left and nothing that it made in the project obeys a closed name.
 * S3. No argument, variable or descriptor of the host reaches the command beyond what it was given.
 */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { probeSandbox, type SandboxPrograms, searchPath } from './availability.ts'
import { type ClosedEntries, createClosedEntries } from './closed-entries.ts'
import {
  type Sandbox,
  type SandboxAvailability,
  type SandboxCommand,
  SandboxError,
  type SandboxLimits,
  type SandboxMode,
  type StartProxy,
  type WrappedCommand,
} from './contract.ts'
import { createHandedDescriptors, type HandedDescriptors, strayDescriptors } from './handed-descriptors.ts'
import { openHandedFile } from './handed-file.ts'
import { createProcessLimits, type ProcessLimits } from './process-group-limit.ts'
import { DEFAULT_LIMITS, innerLimits, outerLimits, withinHostLimits } from './limits.ts'
import { moveAsideNewlyClosed } from './newly-closed.ts'
import { inside, planProjectView, type ProjectView } from './project-mounts.ts'
import { openScopedNetwork, type ScopedNetwork } from './scoped-network.ts'
import { createSandboxStatus, type SandboxStatus, STATUS_OPTION } from './sandbox-status.ts'
import { systemCallFilter } from './system-call-filter.ts'
import { hiddenArguments, ISOLATION, SEALED, standIns, systemArguments } from './system-view.ts'

export interface SandboxOptions {
  readonly mode: SandboxMode
  /** Absolute folders that nobody is shown, wherever they lie: the user space with its keys, the folder of the host. */
  readonly hidden?: readonly string[]
  /** Without it a scoped network is no network. */
  readonly startProxy?: StartProxy
  readonly programs?: SandboxPrograms
}

/** What every command finds, unless its own environment says otherwise. */
const BASE_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/tmp',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
}

export function createSandbox(options: SandboxOptions): Sandbox {
  const programs = options.programs ?? { bwrap: 'bwrap', prlimit: 'prlimit' }
  const hidden = (options.hidden ?? []).map(realPath)
  const processes = createProcessLimits()
  const projects = new Map<string, ClosedEntries>()
  const system = new Map<boolean, readonly string[]>()
  const systemView = (network: boolean): readonly string[] => {
    const view = system.get(network) ?? systemArguments({ network })
    system.set(network, view)
    return view
  }
  let probed: Promise<SandboxAvailability> | undefined
  const availability = async (): Promise<SandboxAvailability> => {
    if (options.mode === 'none') return { kind: 'off' }
    probed ??= probeSandbox(programs)
    return await probed
  }
  const closedEntriesOf = (root: string): ClosedEntries => {
    const known = projects.get(root) ?? createClosedEntries(root, { hidden })
    projects.set(root, known)
    return known
  }
  return {
    mode: options.mode,
    availability,
    async wrap(command) {
      if (options.mode === 'none') return unwrapped(command)
      const found = await availability()
      if (found.kind !== 'available') throw unavailable(found)
      const root = realpathSync(command.projectPath)
      return await wrapped(command, {
        root,
        hidden,
        programs,
        processes,
        closedEntries: closedEntriesOf(root),
        startProxy: options.startProxy,
        systemView,
      })
    },
  }
}

interface WrapParts {
  readonly root: string
  readonly hidden: readonly string[]
  readonly programs: SandboxPrograms
  readonly processes: ProcessLimits
  readonly closedEntries: ClosedEntries
  readonly startProxy: StartProxy | undefined
  readonly systemView: (network: boolean) => readonly string[]
}

async function wrapped(command: SandboxCommand, parts: WrapParts): Promise<WrappedCommand> {
  const descriptors = createHandedDescriptors()
  const status = createSandboxStatus()
  const reportTo = descriptors.hand(status.descriptor)
  let network: ScopedNetwork | null = null
  let view: ProjectView | null = null
  const release = async (): Promise<readonly string[]> => {
    descriptors.close()
    status.close()
    view?.removeScaffold()
    return (await network?.close()) ?? []
  }
  try {
    const limits = withinHostLimits({ ...DEFAULT_LIMITS, ...command.limits })
    const granted = command.network === 'none' ? undefined : command.grant?.network
    const { grant, program = [] } = command
    view = grant === undefined && program.length === 0 ? null : await planProjectView({ ...parts, grant, program, descriptors })
    network =
      granted?.kind === 'scoped' && command.grant !== undefined && parts.startProxy !== undefined
        ? await openScopedNetwork({ policy: granted.policy, isLive: command.grant.isLive, startProxy: parts.startProxy })
        : null
    const shared = granted?.kind === 'open'
    const args = insideArguments({ command, parts, limits, shared, view, network, descriptors })
    const ready = view
    const opened = { descriptors, status, reportTo, network, release, limits }
    return outerCommand({ command, parts, args, opened, view: ready })
  } catch (error) {
    await release()
    throw error
  }
}

interface InsideParts {
  readonly command: SandboxCommand
  readonly parts: WrapParts
  readonly limits: SandboxLimits
  readonly shared: boolean
  readonly view: ProjectView | null
  readonly network: ScopedNetwork | null
  readonly descriptors: HandedDescriptors
}

/** In the order in which they are carried out: what comes later lies on top. */
function insideArguments({ command, parts, limits, shared, view, network, descriptors }: InsideParts): readonly string[] {
  const filter = systemCallFilter(process.arch)
  const environment = { ...BASE_ENVIRONMENT, ...command.env, ...network?.env }
  const extra = [...(command.extraReadOnly ?? []), ...(network?.files ?? [])]
  const tmpBytes = String(limits.tmpBytes)
  const cwd = command.cwd === undefined || command.cwd === '' ? null : inside([command.cwd])
  return [
    ISOLATION,
    shared ? ['--share-net'] : [],
    filter === null ? [] : ['--seccomp', descriptors.hand(openHandedFile(filter))],
    parts.systemView(shared),
    ...standIns({ network: shared }).map(([path, text]) => ['--file', descriptors.hand(openHandedFile(text)), path]),
    ['--size', tmpBytes, '--tmpfs', '/tmp', '--size', tmpBytes, '--tmpfs', '/dev/shm'],
    hiddenArguments([parts.root, ...parts.hidden], ['/usr']),
    ['--size', SCAFFOLD_BYTES, '--tmpfs', '/project'],
    view?.args ?? [],
    ...extra.map(({ from, to }) => ['--ro-bind', from, to]),
    cwd === null ? [] : ['--dir', cwd],
    writableRoot(view) ? [] : ['--remount-ro', '/project'],
    SEALED,
    ['--clearenv', ...Object.entries(environment).flatMap(([name, value]) => ['--setenv', name, value])],
    ['--chdir', cwd ?? inside([])],
  ].flat()
}

/** For the folders of a view alone. */
const SCAFFOLD_BYTES = '4194304'

/** Then `/project` is the project's own folder, not one that was made for mounts. */
const writableRoot = (view: ProjectView | null): boolean => view?.writable.some((base) => base.length === 0) ?? false

interface OuterParts {
  readonly command: SandboxCommand
  readonly parts: WrapParts
  readonly args: readonly string[]
  readonly view: ProjectView | null
  readonly opened: {
    readonly descriptors: HandedDescriptors
    readonly status: SandboxStatus
    readonly reportTo: string
    readonly network: ScopedNetwork | null
    readonly release: () => Promise<readonly string[]>
    readonly limits: SandboxLimits
  }
}

function outerCommand({ command, parts, args, view, opened }: OuterParts): WrappedCommand {
  const { descriptors, status, reportTo, network, release, limits } = opened
  const options = descriptors.hand(openHandedFile(args.map((arg) => `${arg}\0`).join('')))
  descriptors.cover(strayDescriptors())
  let disposed: ReturnType<WrappedCommand['dispose']> | undefined
  const { bwrap, prlimit } = parts.programs
  const group = parts.processes.open(limits.processes)
  const [program, ...line] = [...group.launcher, prlimit]
  return {
    command: program,
    args: [
      line,
      outerLimits(limits),
      ['--', bwrap, '--args', options, STATUS_OPTION, reportTo, '--'],
      network?.launcher ?? [],
      ['/usr/bin/prlimit', ...innerLimits(limits), '--', command.command, ...command.args],
    ].flat(),
    env: { PATH: searchPath(), LANG: 'C' },
    cwd: '/',
    inherit: descriptors.inherit,
    mode: 'bubblewrap',
    processCount: () => status.processCount(),
    dispose: async () =>
      await (disposed ??= (async () => {
        const started = await status.gone()
        await group.remove()
        const movedAside = view === null ? [] : await moveAsideNewlyClosed(parts, view)
        return { started, movedAside, deniedHosts: await release() }
      })()),
  }
}

function unwrapped(command: SandboxCommand): WrappedCommand {
  const root = realpathSync(command.projectPath)
  return {
    command: command.command,
    args: command.args,
    env: command.env,
    cwd: join(root, command.cwd ?? ''),
    inherit: [],
    mode: 'none',
    processCount: () => null,
    dispose: async () => ({ started: true, movedAside: [], deniedHosts: [] }),
  }
}

function unavailable(found: Exclude<SandboxAvailability, { kind: 'available' }>): SandboxError {
  if (found.kind === 'off') return new SandboxError('SANDBOX_UNAVAILABLE', 'The sandbox is switched off.')
  const remedy =
    found.installLine === null
      ? 'Run it on Linux (a container will do)'
      : `Run \`${found.installLine}\` (Debian: apt-get install -y bubblewrap; Fedora: dnf install -y bubblewrap; Alpine: apk add bubblewrap util-linux-misc)`
  return new SandboxError(
    'SANDBOX_UNAVAILABLE',
    `Commands run only in a sandbox, and there is none: ${found.reason}. ${remedy}, or set \`sandbox: none\` in the user's config.yaml and accept that commands reach everything.`,
  )
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
