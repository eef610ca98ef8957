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

/** For the outer process, whose environment nobody else writes, so that nothing can run before they hold. */
export function outerLimits(limits: SandboxLimits): readonly string[] {
  return [
    ...[`--fsize=${limits.fileBytes}`, `--cpu=${limits.cpuSeconds}`, `--nofile=${limits.openFiles}`],
    ...[`--data=${limits.memoryBytes}`, '--core=0'],
  ]
}

/**
 * Inside: processes are counted per user *and* user namespace, so outside this limit would count everything else that the user runs.
 * The system does not hold root to it; the runner of a command counts for itself.
 */
export function innerLimits(limits: SandboxLimits): readonly string[] {
  return [`--nproc=${limits.processes}`, ...(limits.addressSpaceBytes === null ? [] : [`--as=${limits.addressSpaceBytes}`])]
}
