import { readFileSync } from 'node:fs'
import type { SandboxLimits } from './contract.ts'

const MEBIBYTE = 1024 * 1024

/** Enough for a build with its tests; what a runaway process needs to be stopped by. */
export const DEFAULT_LIMITS: SandboxLimits = {
  processes: 512,
  fileBytes: 2_048 * MEBIBYTE,
  cpuSeconds: 600,
  openFiles: 1_024,
  memoryBytes: 4_096 * MEBIBYTE,
  addressSpaceBytes: null,
  tmpBytes: 512 * MEBIBYTE,
}

/** Nobody may ask for more than this process may have itself, and asking for it would fail. */
export function withinHostLimits(limits: SandboxLimits): SandboxLimits {
  const text = readFileSync('/proc/self/limits', 'utf8')
  const hard = (name: string): number => {
    const value = new RegExp(`^${name}\\s+\\S+\\s+(\\d+)`, 'm').exec(text)?.[1]
    return value === undefined ? Infinity : Number(value)
  }
  return {
    ...limits,
    processes: Math.min(limits.processes, hard('Max processes')),
    fileBytes: Math.min(limits.fileBytes, hard('Max file size')),
    cpuSeconds: Math.min(limits.cpuSeconds, hard('Max cpu time')),
    openFiles: Math.min(limits.openFiles, hard('Max open files')),
    memoryBytes: Math.min(limits.memoryBytes, hard('Max data size')),
    addressSpaceBytes: limits.addressSpaceBytes === null ? null : Math.min(limits.addressSpaceBytes, hard('Max address space')),
  }
}

/** For the outer process, whose environment nobody else writes, so that nothing can run before they hold. */
export function outerLimits(limits: SandboxLimits): readonly string[] {
  const { fileBytes, cpuSeconds, openFiles, memoryBytes } = limits
  return [`--fsize=${fileBytes}`, `--cpu=${cpuSeconds}`, `--nofile=${openFiles}`, `--data=${memoryBytes}`, '--core=0']
}

/**
 * Inside: processes are counted per user *and* user namespace, so outside this limit would count everything else that the user runs.
 * The system does not hold root to it: see process-group-limit.ts.
 */
export function innerLimits(limits: SandboxLimits): readonly string[] {
  const { processes, addressSpaceBytes } = limits
  return addressSpaceBytes === null ? [`--nproc=${processes}`] : [`--nproc=${processes}`, `--as=${addressSpaceBytes}`]
}
