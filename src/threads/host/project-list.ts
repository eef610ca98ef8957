import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'

/** Projects that may have unfinished threads. Only the holder of the host's lock writes it. */
export interface ProjectList {
  paths(): readonly string[]
  add(projectPath: string): void
  remove(projectPath: string): void
}

/** A list that cannot be read is an empty one: a project comes back with the next wake for it. */
export function openProjectList(path: string, onProblem: (error: unknown) => void): ProjectList {
  const paths = new Set(read(path, onProblem))

  function save(): void {
    const draft = `${path}.tmp`
    // Written beside and renamed, so that a host that dies here leaves the old list.
    writeFileSync(draft, `${JSON.stringify({ version: 1, projects: [...paths] }, null, 2)}\n`, { mode: 0o600 })
    renameSync(draft, path)
  }

  return {
    paths: () => [...paths],
    add(projectPath) {
      if (paths.has(projectPath)) return
      paths.add(projectPath)
      save()
    },
    remove(projectPath) {
      if (paths.delete(projectPath)) save()
    },
  }
}

function read(path: string, onProblem: (error: unknown) => void): readonly string[] {
  try {
    const list: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof list !== 'object' || list === null || !('projects' in list) || !Array.isArray(list.projects)) return []
    return list.projects.filter((entry): entry is string => typeof entry === 'string' && isAbsolute(entry))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) onProblem(error)
    return []
  }
}
