import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openHandedFile } from './handed-file.ts'

/** What bubblewrap writes about a sandbox while it runs. */
export interface SandboxStatus {
  /** For `--json-status-fd`; given away. */
  readonly descriptor: number
  /** Processes inside; null before it is set up and after it is gone. */
  processCount(): number | null
  /**
   * To be called when the outer process is gone: ends what is left inside, and waits until it is gone. A sandbox whose outer process is killed
   * while it is being set up does not yet follow it by itself.
   *
   * @returns Whether the command itself had been started.
   */
  gone(): Promise<boolean>
  close(): void
}

/** What bubblewrap is given of the status, and so on the command line of its first process inside. */
export const STATUS_OPTION = '--json-status-fd'

const GONE_WITHIN_MS = 10_000
const FIRST_PAUSE_MS = 1
const LONGEST_PAUSE_MS = 50

export function createSandboxStatus(): SandboxStatus {
  const descriptor = openHandedFile('')
  // An own description, because the writer's offset would be shared.
  const reading = openSync(`/proc/self/fd/${descriptor}`, 'r')
  const buffer = Buffer.alloc(2_048)
  const text = (): string => buffer.toString('utf8', 0, readSync(reading, buffer, 0, buffer.length, 0))
  const firstProcess = (): number | null => {
    const pid = /"child-pid": (\d+)/.exec(text())?.[1]
    return pid === undefined ? null : Number(pid)
  }
  return {
    descriptor,
    processCount() {
      const pid = firstProcess()
      return pid === null ? null : countInside(pid)
    },
    async gone() {
      const pid = firstProcess()
      killLeft(pid)
      const deadline = performance.now() + GONE_WITHIN_MS
      let pauseMs = FIRST_PAUSE_MS
      while (isAlive(pid) && performance.now() < deadline) {
        await delay(pauseMs)
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
      }
      return /"exit-code"/.test(text())
    },
    close: () => closeSync(reading),
  }
}

/** With the first process of a process namespace all others in it are killed. Its number may be another's by now. */
function killLeft(pid: number | null): void {
  if (pid === null || !isAlive(pid)) return
  try {
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(STATUS_OPTION)) process.kill(pid, 'SIGKILL')
  } catch {
    // It ended in the meantime.
  }
}

/** The first process of a process namespace ends after all others, and as a zombie it is the last. */
function isAlive(pid: number | null): boolean {
  if (pid === null) return false
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

function countInside(pid: number): number | null {
  try {
    return readdirSync(join('/proc', String(pid), 'root', 'proc')).filter((name) => /^\d+$/.test(name)).length
  } catch {
    return null
  }
}
