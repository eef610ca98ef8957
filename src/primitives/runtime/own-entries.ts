import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { pathToFileURL } from 'node:url'

/**
 * The names under which this package can be imported, each with the URL of the module that this very process would load: the sources in a
 * checkout, the build in an installed package. Read from the `exports` of package.json.
 */
export function ownEntries(): ReadonlyMap<string, string> {
  const path = findPackageJSON(import.meta.url)
  if (path === undefined) return new Map()
  // Written by us, and read by Node in the same shape.
  const { name, exports } = JSON.parse(readFileSync(path, 'utf8')) as PackageJson
  const root = pathToFileURL(path)
  const fromSources = import.meta.url.endsWith('.ts')
  return new Map(
    Object.entries(exports).map(([entry, { default: built }]) => {
      const file = fromSources ? built.replace('./dist/', './').replace(/\.js$/, '.ts') : built
      return [`${name}${entry.slice(1)}`, new URL(file, root).href]
    }),
  )
}

interface PackageJson {
  readonly name: string
  readonly exports: Readonly<Record<string, { readonly default: string }>>
}
