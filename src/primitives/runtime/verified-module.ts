/**
 * Imports a module so that what runs are bytes somebody has already checked, not whatever the file holds by then.
 *
 * V1. The main module's source comes from the caller's bytes; the file is never read again. Its relative imports are read from disk as usual.
 * V2. The URL carries the hash of the bytes, so changed bytes are another module and equal bytes are the same one.
 */
import { createHash } from 'node:crypto'
import { registerHooks } from 'node:module'
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'

export interface VerifiedSource {
  /** Absolute path of the `.ts` or `.js` file; both are read as ES modules whatever package.json says. */
  readonly path: string
  readonly bytes: Uint8Array
}

const HASH_PARAMETER = 'kiwi-sha256'

// Module loading is one per process, and so is this: the sources that imports under way may ask for.
const sources = new Map<string, VerifiedSource>()
let hooked = false
// Spares a hash and a trip through the loader where a caller keeps the bytes it checked.
const imported = new WeakMap<Uint8Array, { readonly path: string; readonly module: Readonly<Record<string, unknown>> }>()

/** The module's exports. Importing the same bytes from the same path again gives the same module. */
export async function importVerified(source: VerifiedSource): Promise<Readonly<Record<string, unknown>>> {
  const known = imported.get(source.bytes)
  if (known?.path === source.path) return known.module
  const module = await importSource(source)
  imported.set(source.bytes, { path: source.path, module })
  return module
}

async function importSource(source: VerifiedSource): Promise<Readonly<Record<string, unknown>>> {
  const url = pathToFileURL(source.path)
  url.searchParams.set(HASH_PARAMETER, createHash('sha256').update(source.bytes).digest('hex'))
  installHook()
  sources.set(url.href, source)
  try {
    // A namespace object is a record of exports.
    return (await import(url.href)) as Readonly<Record<string, unknown>>
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const hint = error.message.includes('export named') ? ' If that name is a type, write `import type`.' : ''
    throw new SyntaxError(`${basename(source.path)}: ${error.message}.${hint}`, { cause: error })
  } finally {
    // Imports of one URL share one load, which is over when any of them settles.
    sources.delete(url.href)
  }
}

function installHook(): void {
  if (hooked) return
  hooked = true
  registerHooks({
    load(url, context, nextLoad) {
      const source = sources.get(url)
      if (source !== undefined) {
        const format = source.path.endsWith('.ts') ? 'module-typescript' : 'module'
        return { format, source: Buffer.from(source.bytes), shortCircuit: true }
      }
      // V1: a second load of a verified URL must not fall through to the file.
      if (url.includes(`${HASH_PARAMETER}=`)) throw new Error(`The verified source of ${url} is no longer held.`)
      return nextLoad(url, context)
    },
  })
}
