import { lstatSync, readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../files/system-error.ts'
import { type ClosedEntries, createClosedEntries } from '../sandbox/closed-entries.ts'
import type { Grant, PathRule } from '../sandbox/contract.ts'

/**
 * Texts that are equal as long as a sandbox made now would show what one made earlier shows. A warm worker keeps the mounts that it was
 * started with: a file that was replaced since is the old one in it, and a `.env` that was made since is open.
 */
export interface ViewFingerprints {
  /** @throws {SandboxError} LIMIT_EXCEEDED where the sandbox would refuse too. */
  of(grant: Grant | undefined, projectPath: string): Promise<string>
}

export function createViewFingerprints(): ViewFingerprints {
  // What is closed in a project is looked for again only where a folder has changed.
  const projects = new Map<string, ClosedEntries>()
  return {
    async of(grant, projectPath) {
      if (grant === undefined || grant.read.length + grant.write.length === 0) return ''
      const root = realpathSync(projectPath)
      const closedEntries = projects.get(root) ?? createClosedEntries(root, { hidden: [] })
      projects.set(root, closedEntries)
      const rules = [...grant.read, ...grant.write]
      const closed = await closedEntries.below(rules.filter(({ kind }) => kind === 'tree').map(({ base }) => base))
      return JSON.stringify([
        rules.map((rule) => identityOf(rule, root)),
        closed.map(({ path, type, identity }) => [path, type, identity]),
      ])
    },
  }
}

/** What is mounted is a file or folder, not a name. */
function identityOf({ kind, base }: PathRule, root: string): unknown {
  const place = join(root, ...base)
  if (kind === 'exact' || kind === 'tree') return entryIdentity(place)
  return namesIn(place).map((name) => [name, entryIdentity(join(place, name))])
}

function entryIdentity(place: string): string | null {
  const stats = lstatSync(place, { throwIfNoEntry: false })
  return stats === undefined ? null : `${stats.dev}:${stats.ino}:${stats.mode}:${stats.nlink > 1}`
}

function namesIn(place: string): readonly string[] {
  try {
    return readdirSync(place).toSorted()
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    // Absent, no folder or not readable: nothing of it is mounted.
    return []
  }
}
