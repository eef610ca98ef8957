import { readFileSync, globSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

import { parseSync } from 'oxc-parser'

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))

export interface SourceFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string
  readonly text: string
}

export interface ImportEdge {
  readonly from: string
  /** A file of ours (relative to the root), or a package or built-in module as written. */
  readonly to: string
  readonly ours: boolean
}

export function readSources(globs: readonly string[]): readonly SourceFile[] {
  const paths = globSync([...globs], { cwd: ROOT }).toSorted()
  return paths.map((path) => ({ path: path.split('\\').join('/'), text: readFileSync(join(ROOT, path), 'utf8') }))
}

/** Every import of every kind: static, `import type`, `export … from`, `import()`, `import('…').Type`, and `new URL('….ts', …)`. */
export function importsOf(file: SourceFile): readonly ImportEdge[] {
  const { module, errors } = parseSync(file.path, file.text)
  if (errors.length > 0) throw new Error(`${file.path} does not parse: ${errors[0]?.message}`)
  const requests = [
    ...module.staticImports.map((found) => found.moduleRequest.value),
    ...module.staticExports.flatMap((found) => found.entries.map((entry) => entry.moduleRequest?.value)),
    // Type imports and module URLs are not in the parser's module record, so these two kinds are read from the text.
    ...Array.from(file.text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g), (match) => match[1]),
    ...Array.from(file.text.matchAll(/new URL\(\s*['"](\.[^'"]+\.ts)['"]/g), (match) => match[1]),
  ]
  return [...new Set(requests)].filter((request) => request !== undefined).map((request) => edge(file.path, request))
}

function edge(from: string, request: string): ImportEdge {
  if (!request.startsWith('.')) return { from, to: request, ours: false }
  return { from, to: posix.normalize(posix.join(posix.dirname(from), request)), ours: true }
}

/** Groups of files that import each other in a ring; type-only imports count. Tarjan's algorithm. */
export function findCycles(edges: readonly ImportEdge[]): readonly (readonly string[])[] {
  const targets = new Map<string, string[]>()
  for (const { from, to, ours } of edges) if (ours) targets.set(from, [...(targets.get(from) ?? []), to])
  const state = {
    index: new Map<string, number>(),
    low: new Map<string, number>(),
    stack: [] as string[],
    cycles: [] as string[][],
  }

  function visit(node: string): void {
    const index = state.index.size
    state.index.set(node, index)
    state.low.set(node, index)
    state.stack.push(node)
    for (const next of targets.get(node) ?? []) {
      if (!state.index.has(next)) visit(next)
      if (state.stack.includes(next)) state.low.set(node, Math.min(state.low.get(node) ?? index, state.low.get(next) ?? index))
    }
    if (state.low.get(node) !== index) return
    const ring = state.stack.splice(state.stack.indexOf(node))
    if (ring.length > 1 || (targets.get(node) ?? []).includes(node)) state.cycles.push(ring.toSorted())
  }

  for (const node of targets.keys()) if (!state.index.has(node)) visit(node)
  return state.cycles
}

/** Files of the checkout that are text and ours: no dependencies, no builds, no thread data. */
export function readTexts(): readonly SourceFile[] {
  const ignored = new Set(['node_modules', 'dist', '.git', 'threads', 'out'])
  const paths = globSync('**/*.{ts,mjs,js,json,yaml,yml,md,sh,html,css}', {
    cwd: ROOT,
    exclude: (path) => ignored.has(posix.basename(path)) && !isSource(path),
  })
  const hidden = globSync(['.*.json', '.ci/*', '.gitignore'], { cwd: ROOT })
  return [...paths, ...hidden].toSorted().map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

function isSource(path: string): boolean {
  const folder = dirname(relative(ROOT, join(ROOT, path)))
  return folder.startsWith('src') || folder.startsWith('test') || folder.startsWith('system')
}
