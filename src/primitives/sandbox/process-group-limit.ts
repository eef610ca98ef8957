import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * What holds the processes of a sandbox to a number where the caller is root, whom the system does not hold to `--nproc`.
 *
 * A control group does it where root may make one. Where not, the sandbox runs only when nothing else wants the processor: whoever counts
 * its processes then gets to count, and to end them, however many there are.
 */
export interface ProcessGroupLimit {
  /** Goes before the command line; empty for everybody but root. */
  readonly launcher: readonly string[]
  /** To be called when nothing of the sandbox runs any more. */
  remove(): Promise<void>
}

const GROUP_NAME = /^kiwi-(\d+)-[0-9a-f]+$/
/** Processes of the sandbox itself: its launcher and both of bubblewrap's. */
const OWN_PROCESSES = 4
/** A group is busy for a moment after its last process has ended. */
const REMOVE_ATTEMPTS = 10
const REMOVE_PAUSE_MS = 10

export interface ProcessLimits {
  /** One for each command. `maxProcesses` is of the command alone; threads count as processes. */
  open(maxProcesses: number): ProcessGroupLimit
}

export function createProcessLimits(): ProcessLimits {
  let home: string | null | undefined
  return {
    open(maxProcesses) {
      if (process.getuid?.() !== 0) return UNLIMITED
      home ??= findHome()
      const group = home === null ? null : makeGroup(home, maxProcesses + OWN_PROCESSES)
      if (group === null) return { ...UNLIMITED, launcher: ['chrt', '--idle', '0'] }
      return {
        // The shell moves itself before it becomes the sandbox, so that nothing is ever outside.
        launcher: ['/bin/sh', '-c', 'echo 0 > "$0" && exec "$@"', join(group, 'cgroup.procs')],
        remove: () => removeGroup(group),
      }
    },
  }
}

const UNLIMITED: ProcessGroupLimit = { launcher: [], remove: () => Promise.resolve() }

/** The folder of this process's own group that counts processes; null where there is none. Groups that dead hosts left are removed. */
function findHome(): string | null {
  const own = readText('/proc/self/cgroup')
  const counting = /^\d+:(?:[^:\n]*,)?pids(?:,[^:\n]*)?:(.*)$/m.exec(own)?.[1]
  const unified = /^0::(.*)$/m.exec(own)?.[1]
  const folder =
    counting === undefined
      ? unified === undefined
        ? null
        : join('/sys/fs/cgroup', unified)
      : join('/sys/fs/cgroup/pids', counting)
  if (folder !== null) removeLeftGroups(folder)
  return folder
}

function makeGroup(folder: string, maxProcesses: number): string | null {
  const group = join(folder, `kiwi-${process.pid}-${randomBytes(6).toString('hex')}`)
  try {
    mkdirSync(group)
  } catch {
    // No such file system here, or it is read-only.
    return null
  }
  try {
    writeFileSync(join(group, 'pids.max'), String(maxProcesses))
    return group
  } catch {
    // The controller is not given to groups below this one.
    rmdirSync(group)
    return null
  }
}

async function removeGroup(group: string): Promise<void> {
  for (let attempt = 0; attempt < REMOVE_ATTEMPTS; attempt += 1) {
    try {
      rmdirSync(group)
      return
    } catch {
      // Busy. One that stays is removed by a later host.
      await delay(REMOVE_PAUSE_MS)
    }
  }
}

function removeLeftGroups(folder: string): void {
  for (const name of namesIn(folder)) {
    const pid = GROUP_NAME.exec(name)?.[1]
    if (pid === undefined || Number(pid) === process.pid || readText(`/proc/${pid}/stat`) !== '') continue
    try {
      rmdirSync(join(folder, name))
    } catch {
      // Somebody else was quicker, or something in it still runs.
    }
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
