import { randomBytes } from 'node:crypto'
import { closeSync, renameSync } from 'node:fs'
import { codeOf } from '../files/system-error.ts'
import type { ClosedEntries, ClosedEntry } from './closed-entries.ts'
import { openEntry, placeIn } from './project-entry.ts'
import type { ProjectView } from './project-mounts.ts'

/**
 * Gives another name to what has a closed name now and had not when the command began, so that no program obeys it (a hook in `.git`,
 * a variable in `.env`). Renamed, not deleted, because the owner of the project may have made it meanwhile.
 */
export async function moveAsideNewlyClosed(
  { root, closedEntries }: { readonly root: string; readonly closedEntries: ClosedEntries },
  { writable, closed }: Pick<ProjectView, 'writable' | 'closed'>,
): Promise<readonly { readonly from: string; readonly to: string }[]> {
  if (writable.length === 0) return []
  const paths = new Set(closed.map(pathKey))
  const identities = new Set(closed.filter(({ type }) => type !== 'link').map(({ identity }) => identity))
  const moved: { from: string; to: string }[] = []
  for (const entry of await closedEntries.below(writable)) {
    if (paths.has(pathKey(entry)) || identities.has(entry.identity) || entry.type === 'socket') continue
    const to = moveAside(root, entry.path)
    if (to !== null) moved.push({ from: entry.path.join('/'), to: to.join('/') })
  }
  return moved
}

/** A closed file or folder cannot be replaced from inside, so whatever has its name is the owner's; a link can be. */
const pathKey = ({ path, type, target }: ClosedEntry): string =>
  [type === 'link' ? `link to ${target}` : 'kept', ...path].join('/')

function moveAside(root: string, path: readonly string[]): readonly string[] | null {
  const folder = openEntry(root, path.slice(0, -1), { create: false })
  const name = path.at(-1)
  if (folder === null || name === undefined) return null
  // Not `.env.something`, which would be obeyed again.
  const aside = `refused-${randomBytes(4).toString('hex')}${name.slice(0, 200)}`
  try {
    renameSync(placeIn(folder.fd, name), placeIn(folder.fd, aside))
    return [...path.slice(0, -1), aside]
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  } finally {
    closeSync(folder.fd)
  }
}
