/**
 * Whether a folder is still the one that it was, with the same names in it, without asking the file system each time.
 *
 * The rules of `folder-tree.ts` hold: the first look only asks (F1), the watch starts before the folder is asked about (F2) and is not believed
 * for long (F3), and what is not watched, or is reached over a link, counts as changed each time (F4).
 */
import { lstatSync, statSync, watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'

/** How long a watch is believed: network and host-mounted file systems deliver no events. */
export const TRUST_MS = 5000

export interface WatchedPlace {
  /**
   * A text that stays the same as long as the folder is surely the same one and no name in it came or went; null while there is no such folder. A move of a
   * folder above it is seen within `TRUST_MS`.
   */
  look(): string | null
  close(): void
}

export function createWatchedPlace(path: string): WatchedPlace {
  const state: PlaceState = { path, identity: null, version: 0, watcher: null, isDirty: true, lookedAtMs: 0, isClosed: false }
  return {
    look() {
      if (state.watcher === null || state.isDirty || performance.now() - state.lookedAtMs >= TRUST_MS) lookAgain(state)
      return state.identity === null ? null : `${state.identity}#${state.version}`
    },
    close() {
      state.isClosed = true
      stopWatch(state)
    },
  }
}

interface PlaceState {
  readonly path: string
  identity: string | null
  version: number
  watcher: FSWatcher | null
  isDirty: boolean
  lookedAtMs: number
  isClosed: boolean
}

function lookAgain(state: PlaceState): void {
  state.version += 1
  state.isDirty = false
  state.lookedAtMs = performance.now()
  const before = state.identity
  const mayWatch = before !== null && !state.isClosed && !isSymbolicLink(state.path)
  if (mayWatch && state.watcher === null) startWatch(state)
  state.identity = folderIdentity(state.path)
  if (state.identity !== before || !mayWatch) stopWatch(state)
}

function startWatch(state: PlaceState): void {
  try {
    const watcher = watch(state.path, { persistent: false }, (event, name) => {
      if (event === 'rename' || name === null) state.isDirty = true
    })
    watcher.on('error', () => stopWatch(state))
    state.watcher = watcher
  } catch {
    // Too many watches, or a file system without them: F4 holds.
    state.watcher = null
  }
}

function stopWatch(state: PlaceState): void {
  state.watcher?.close()
  state.watcher = null
}

/** Tells a folder from another one that was put in its place; null when there is none. */
export function folderIdentity(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stats?.isDirectory() === true ? `${stats.dev}:${stats.ino}` : null
}

export function isSymbolicLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
}
