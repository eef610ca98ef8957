import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Names one process for good: a pid alone is given to another process sooner or later. */
export interface ProcessIdentity {
  /** Equal only for processes that see each other's pids: the boot and the pid namespace. */
  readonly machine: string
  readonly pid: number
  /** Start time in clock ticks since boot; empty where the system does not tell. */
  readonly pidStart: string
}

export function ownIdentity(): ProcessIdentity {
  return { machine: machineIdentity(), pid: process.pid, pidStart: startOf(process.pid) ?? '' }
}

/** Null when the process may run on another machine, so that nothing can be said from here. */
export function isAlive(other: ProcessIdentity, own: ProcessIdentity): boolean | null {
  if (other.machine !== own.machine) return null
  const start = startOf(other.pid)
  if (start !== null) return start === other.pidStart
  if (process.platform === 'linux') return false
  try {
    process.kill(other.pid, 0)
    return true
  } catch (error) {
    // EPERM: it exists and is not ours.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function machineIdentity(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    // No /proc: the host name is what is left, and pids are taken at their word.
    return `host/${hostname()}`
  }
}

/** Field 22 of `/proc/<pid>/stat`; the name in field 2 may hold spaces and brackets, so fields are counted after its last bracket. A zombie is dead. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    // No such process, or no /proc.
    return null
  }
}
