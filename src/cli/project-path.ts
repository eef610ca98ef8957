import { existsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { KiwiError } from '../kernel/errors.ts'

/**
 * The project a command works on: `given`, else the nearest folder at or above `cwd` that holds `.ai/`, else `cwd`.
 *
 * `home` is skipped on the way up, because `~/.ai` is the user's own space and not a project; it is still used when it is `cwd` itself.
 *
 * @throws KiwiError INVALID_REQUEST when `given` is not an existing folder.
 */
export function projectPathOf(options: {
  readonly given: string | undefined
  readonly cwd: string
  readonly home: string | undefined
}): string {
  const { given, cwd, home } = options
  if (given !== undefined) {
    const path = resolve(cwd, given)
    if (!isFolder(path)) {
      throw new KiwiError('INVALID_REQUEST', `The project folder \`${given}\` does not exist or is not a folder.`, {
        suggestion: 'Give an existing folder to -C/--project.',
      })
    }
    return path
  }
  for (let folder = cwd; ; folder = dirname(folder)) {
    if (isFolder(join(folder, '.ai')) && (folder !== home || folder === cwd)) return folder
    if (dirname(folder) === folder || existsSync(join(folder, '.git'))) return cwd
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
