import { closeSync } from 'node:fs'

/** Descriptors that a process gets as 3, 4, …; ours are closed together. */
export interface HandedDescriptors {
  readonly inherit: readonly number[]
  /** Takes over an open descriptor and gives the number that the process knows it by. */
  hand(descriptor: number): string
  close(): void
}

const FIRST_AFTER_STDIO = 3

export function createHandedDescriptors(): HandedDescriptors {
  const inherit: number[] = []
  let closed = false
  return {
    inherit,
    hand: (descriptor) => String(FIRST_AFTER_STDIO + inherit.push(descriptor) - 1),
    close() {
      if (closed) return
      closed = true
      for (const descriptor of inherit) closeSync(descriptor)
    },
  }
}
