/**
 * Serves the tool's modules from the bytes that the host verified.
 *
 * S1. No module of the tool is read from disk, and a local import that is not among the verified files is refused.
 * S2. Bare imports are built-in modules, or packages below the one folder of dependencies.
 */
import { registerHooks } from 'node:module'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Sources {
  /** By URL. */
  readonly files: ReadonlyMap<string, Buffer>
  readonly dependencies: string | null
}

/** From now on this process loads nothing but these files, their dependencies and built-in modules. */
export function serveVerifiedSources({ files, dependencies }: Sources): void {
  const isDependency = (url: string): boolean => dependencies !== null && url.startsWith(dependencies)
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const parent = context.parentURL
      if (files.has(specifier)) return { url: specifier, shortCircuit: true }
      if (parent !== undefined && files.has(parent) && isLocal(specifier)) {
        const url = new URL(specifier, parent).href
        if (files.has(url)) return { url, shortCircuit: true }
        throw notVerified(specifier, parent)
      }
      const resolved = nextResolve(specifier, context)
      if (resolved.url.startsWith('node:') || isDependency(resolved.url)) return resolved
      throw notVerified(specifier, parent)
    },
    load(url, context, nextLoad) {
      const source = files.get(url)
      if (source !== undefined) return { format: formatOf(url), source, shortCircuit: true }
      // S1: whatever a hook of the tool itself resolved to.
      if (!url.startsWith('node:') && !isDependency(url)) throw notVerified(url, undefined)
      return nextLoad(url, context)
    },
  })
}

function isLocal(specifier: string): boolean {
  return /^(?:\.{1,2}\/|\/|file:)/.test(specifier)
}

function formatOf(url: string): string {
  if (url.endsWith('.json')) return 'json'
  return /\.m?ts$/.test(url) ? 'module-typescript' : 'module'
}

function notVerified(specifier: string, parent: string | undefined): Error {
  const importer = parent?.startsWith('file:') === true ? `${basename(fileURLToPath(parent))} imports` : 'The tool imports'
  return new Error(
    `${importer} "${specifier}", which is not part of the signed tool. Import built-in modules, files that are signed with the tool, or packages named in DEPENDENCIES.`,
  )
}
