import { realpathSync } from 'node:fs'
import { isAbsolute, relative, sep } from 'node:path'
import type { MetaToolResult } from '../contract.ts'

/** Folders that an error must not name, each with what stands for it in a message. Longest first, so that nested ones come out right. */
export type ShownAs = readonly (readonly [folder: string, shown: string])[]

/**
 * Prepares the replacements: `folder/x` is shown as `shown/x`, or as `x` where `shown` is empty. A folder that is reached by a link is also
 * known by its real path.
 */
export function shownFolders(folders: Readonly<Record<string, string>>): ShownAs {
  const real = Object.entries(folders).map(([folder, shown]) => [realPathOf(folder), shown] as const)
  return Object.entries({ ...Object.fromEntries(real), ...folders })
    .filter(([folder]) => folder.length > 1)
    .toSorted(([one], [other]) => other.length - one.length)
}

/** Where `path` lies below `folder`, relative and with slashes; null when it is not below. Both by their real paths. */
export function pathBelow(folder: string, path: string): string | null {
  const found = relative(realPathOf(folder), realPathOf(path))
  return found === '' || isAbsolute(found) || found.split(sep)[0] === '..' ? null : found.replaceAll(sep, '/')
}

function realPathOf(folder: string): string {
  try {
    return realpathSync(folder)
  } catch {
    // Not there yet: no error can name its real path.
    return folder
  }
}

/** The same result with absolute paths made relative in every text of its error; what succeeded is returned as it is. */
export function withRelativePaths(result: MetaToolResult, folders: ShownAs): MetaToolResult {
  if (result.success) return result
  // Only strings inside change, so the shape is the one it was.
  return { ...result, error: rewrite(result.error, folders) as typeof result.error }
}

function rewrite(value: unknown, folders: ShownAs): unknown {
  if (typeof value === 'string') return rewriteText(value, folders)
  if (Array.isArray(value)) return value.map((child) => rewrite(child, folders))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, rewrite(child, folders)]))
}

function rewriteText(text: string, folders: ShownAs): string {
  let result = text.replaceAll('file:///', '/')
  for (const [folder, shown] of folders) {
    result = result.replaceAll(`${folder}/`, shown === '' ? '' : `${shown}/`)
    const bare = new RegExp(`${RegExp.escape(folder)}(?![\\w.-])`, 'g')
    result = result.replaceAll(bare, shown === '' ? '.' : shown)
  }
  return result
}
