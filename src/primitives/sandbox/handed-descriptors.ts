import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'

/** Descriptors that a process gets as 3, 4, …; ours are closed together. */
export interface HandedDescriptors {
  readonly inherit: readonly number[]
  /** Takes over an open descriptor and gives the number that the process knows it by. */
  hand(descriptor: number): string
  /** After the last `hand`: puts nothing in the place of what the process would inherit without anybody's intention. */
  cover(strays: readonly number[]): void
  close(): void
}

const FIRST_AFTER_STDIO = 3
const CLOSE_ON_EXEC = 0o2000000

export function createHandedDescriptors(): HandedDescriptors {
  const inherit: number[] = []
  const open: number[] = []
  const hand = (descriptor: number): string => {
    open.push(descriptor)
    return String(FIRST_AFTER_STDIO + inherit.push(descriptor) - 1)
  }
  let closed = false
  return {
    inherit,
    hand,
    cover(strays) {
      const last = Math.max(0, ...strays)
      if (last < FIRST_AFTER_STDIO + inherit.length) return
      const nothing = openSync('/dev/null', 'r')
      open.push(nothing)
      while (FIRST_AFTER_STDIO + inherit.length <= last) inherit.push(nothing)
    },
    close() {
      if (closed) return
      closed = true
      for (const descriptor of open) closeSync(descriptor)
    },
  }
}

let strays: readonly number[] | undefined

/**
 * Descriptors that whoever started this process left open in it, and that its children would get too. Node closes its own, so there come
 * no others, and they are looked for once: a look at each open file is a good part of the start of a sandbox.
 */
export function strayDescriptors(): readonly number[] {
  strays ??= readdirSync('/proc/self/fd')
    .map(Number)
    .filter((descriptor) => descriptor >= FIRST_AFTER_STDIO && isInherited(descriptor))
  return strays
}

function isInherited(descriptor: number): boolean {
  try {
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1] ?? '0'
    return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0
  } catch {
    // The one that listed the folder.
    return false
  }
}
