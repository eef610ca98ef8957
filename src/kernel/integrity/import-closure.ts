/**
 * The local files that a module loads, directly or through each other, read once so that they can be hashed and run as they were read.
 *
 * C1. A file is named by a relative path without links that stays in the tools folder of its space; anything else makes the module unusable.
 * C2. Packages and modules of Node are not followed: they are pinned by version, not by content.
 */
import { lstatSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'
import { readItemBytes } from '../items/item-file.ts'
import { isRacy } from '../items/racy-times.ts'
import { createSourceText, decodeSource, type Finding, type Position, type SourceText } from '../items/source-text.ts'
import { importsOf, mayImportFiles } from './module-imports.ts'

export interface ImportClosure {
  /** By path relative to the module's own folder, with `/`. The module itself is not in it. */
  readonly imports: ReadonlyMap<string, Buffer>
  /** Why the module cannot be used, at the import in it that leads to the reason. */
  readonly problems: readonly Finding[]
  /** As the files were when they were read. */
  readonly stamps: readonly FileStamp[]
}

interface FileStamp {
  readonly path: string
  /** Null when it changed too shortly before for its times to tell the next change. */
  readonly stamp: string | null
}

export const NO_IMPORTS: ImportClosure = { imports: new Map(), problems: [], stamps: [] }

const MAX_FILES = 64
const MAX_TOTAL_BYTES = 4 * 1024 * 1024
const MODULE = /\.(ts|js|mts|mjs)$/
const PLAIN_PATH = /^\.{1,2}\/[^?#%\\\0\r\n]+$/

/** Never throws. `path` is absolute, `bytes` its content, `toolsRoot` the folder that imports may not leave. */
export function readImports(module: {
  readonly path: string
  readonly bytes: Uint8Array
  readonly toolsRoot: string
}): ImportClosure {
  const main = decodeSource(module.bytes)
  // Whoever parses the module itself tells what is wrong with it.
  if (main.kind === 'invalid' || !mayImportFiles(main.source)) return NO_IMPORTS
  const folder = dirname(module.path)
  const walk: Walk = { ...module, folder, imports: new Map(), stamps: [], total: 0 }
  const start = keyOf(walk, module.path)
  const pending: Pending[] = [{ key: start, source: main.source, origin: null }]
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    const found = importsOf(next.source, /\.m?ts$/.test(next.key) ? 'ts' : 'js')
    if (found.kind === 'unreadable') {
      if (next.origin === null) return NO_IMPORTS
      const { line, reason, fix } = found.finding
      return failed(walk, { ...next.origin, reason: `\`${next.key}\`, line ${line}: ${reason}`, fix })
    }
    for (const { specifier, offset } of found.imports) {
      const origin = next.origin ?? next.source.position(offset)
      const step = follow(walk, { from: next.key, specifier, start })
      if (step.kind === 'refused') {
        const where = next.origin === null ? '' : ` (in \`${next.key}\`)`
        return failed(walk, { ...origin, reason: `the import \`${specifier}\`${where} ${step.reason}`, fix: step.fix })
      }
      if (step.kind === 'read') pending.push({ key: step.key, source: step.source, origin })
    }
  }
  return { imports: walk.imports, problems: [], stamps: walk.stamps }
}

/** Whether no file of the closure changed since it was read. Costs one look at each file. */
export function areUnchanged(stamps: readonly FileStamp[]): boolean {
  return stamps.every(({ path, stamp }) => stamp !== null && stampOf(path) === stamp)
}

interface Walk {
  readonly path: string
  readonly folder: string
  readonly toolsRoot: string
  readonly imports: Map<string, Buffer>
  readonly stamps: FileStamp[]
  total: number
}

interface Pending {
  readonly key: string
  readonly source: SourceText
  /** Where the module itself begins the way to this file; null for the module. */
  readonly origin: Position | null
}

type Step =
  | { readonly kind: 'known' }
  | { readonly kind: 'read'; readonly key: string; readonly source: SourceText }
  | { readonly kind: 'refused'; readonly reason: string; readonly fix: string }

function follow(walk: Walk, request: { readonly from: string; readonly specifier: string; readonly start: string }): Step {
  const { from, specifier, start } = request
  if (!PLAIN_PATH.test(specifier))
    return refused('is no plain relative path', 'Write it as `./name.ts`, or name a package or a `node:` module.')
  const key = posix.join(posix.dirname(from), specifier)
  if (key === start || walk.imports.has(key)) return { kind: 'known' }
  const path = join(walk.folder, ...key.split('/'))
  const place = checkPlace(walk, path)
  if (place !== null) return place
  if (!MODULE.test(key) && !key.endsWith('.json'))
    return refused('is neither a module nor JSON', 'Import a file that ends in .ts, .js, .mts, .mjs or .json.')
  if (walk.imports.size >= MAX_FILES) return refused(`is one of more than ${MAX_FILES} files`, 'Split the tool.')
  const stamp = stampOf(path)
  const read = readItemBytes(path, false, walk.toolsRoot)
  if (read.kind === 'gone') return refused('names a file that is not there', 'Restore the file, or remove the import.')
  if (read.kind === 'refused') return refused(`cannot be read: ${read.finding.reason}`, read.finding.fix)
  walk.total += read.bytes.length
  if (walk.total > MAX_TOTAL_BYTES) return refused(`brings the files to more than ${MAX_TOTAL_BYTES} bytes`, 'Split the tool.')
  const decoded = decodeSource(read.bytes)
  if (decoded.kind === 'invalid') return refused(`cannot be read: ${decoded.finding.reason}`, decoded.finding.fix)
  walk.imports.set(key, read.bytes)
  walk.stamps.push({ path, stamp })
  return { kind: 'read', key, source: MODULE.test(key) ? decoded.source : createSourceText('') }
}

/** C1. What a race puts in the place of a folder after this is read, hashed, and refused as changed. */
function checkPlace({ toolsRoot }: Walk, path: string): Step | null {
  const below = relative(toolsRoot, path)
  if (below === '' || below === '..' || below.startsWith(`..${sep}`))
    return refused('leaves the tools folder', 'Put the file below the tools folder.')
  let at = toolsRoot
  for (const part of below.split(sep)) {
    at = join(at, part)
    if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true)
      return refused('goes through a link', 'Put the file itself there.')
  }
  return null
}

function stampOf(path: string): string | null {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined || !stats.isFile() || isRacy(stats.mtimeMs, stats.ctimeMs)) return null
  return `${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}:${stats.ino}`
}

function keyOf({ folder }: Walk, path: string): string {
  return relative(folder, path).split(sep).join('/')
}

function failed({ stamps }: Walk, finding: Finding): ImportClosure {
  return { imports: new Map(), problems: [finding], stamps }
}

function refused(reason: string, fix: string): Step {
  return { kind: 'refused', reason, fix }
}
