import { statSync } from 'node:fs'
import { join } from 'node:path'

/** Whether the packages of a space are the same ones as before. */
export interface InstalledPackages {
  /** True when packages came, went or changed since the last look. `place` is what `WatchedPlace` says of the space. */
  look(place: string | null): boolean
  /** Changes with the packages; empty for none. */
  stamp(): string
}

export function createInstalledPackages(spaceRoot: string): InstalledPackages {
  let known = { place: null as string | null, stamp: '' }
  return {
    look(place) {
      // Where there were none, there are none as long as the names in the folder are the same.
      if (place !== null && known.place === place && known.stamp === '') return false
      const before = known.stamp
      known = { place, stamp: stampOf(join(spaceRoot, 'node_modules')) }
      return known.stamp !== before
    },
    stamp: () => known.stamp,
  }
}

function stampOf(modules: string): string {
  const folder = statSync(modules, { throwIfNoEntry: false })
  if (folder === undefined) return ''
  const { mtimeMs } = statSync(join(modules, '.package-lock.json'), { throwIfNoEntry: false }) ?? folder
  return String(mtimeMs)
}
