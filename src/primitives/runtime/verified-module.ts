/**
 * Imports a module so that what runs are bytes somebody has already checked, not whatever the file holds by then.
 *
 * V1. The main module's source comes from the caller's bytes; the file is never read again.
 * V2. The URL carries a hash of the bytes, so changed bytes are another module and equal bytes are the same one.
 * V3. Local imports of a project or user module come from the caller's bytes too; one that is not among them is refused, never read from disk.
 *     Those of a shipped module are part of the package and are read from disk as usual.
 * V4. The names of this package lead to the modules of this very process, wherever the importing file is and whatever is installed there:
 *     a harness needs no `node_modules`, and shares the classes of its host.
 */
import { createHash, type Hash } from 'node:crypto'
import { registerHooks, type LoadFnOutput, type ResolveFnOutput } from 'node:module'
import { basename, dirname, join, posix, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ownEntries } from './own-entries.ts'

export interface VerifiedSource {
  /** Absolute path of the `.ts` or `.js` file; both are read as ES modules whatever package.json says. */
  readonly path: string
  readonly bytes: Uint8Array
  readonly space: 'project' | 'user' | 'system'
  /** The local files that it imports, by path relative to its own folder, with `/`. Not looked at for a shipped module (V3). */
  readonly imports: ReadonlyMap<string, Uint8Array>
}

type Module = Readonly<Record<string, unknown>>

const HASH_PARAMETER = 'kiwi-sha256'
/** Anything but a package or a module of Node: a path, a `file:` URL, an alias of package.json. */
const LOCAL = /^(?:[./#]|file:)/

// Module loading is one per process, and so is this: by hash, the sources that imports under way may ask for. A module with local imports
// stays, since it may load them long after it was imported itself.
const sources = new Map<string, VerifiedSource>()
let hooked = false
let entries: ReadonlyMap<string, string> | null = null
// Spares a hash and a trip through the loader where a caller keeps the bytes it checked.
const imported = new WeakMap<Uint8Array, { readonly source: VerifiedSource; readonly module: Module }>()

/** The module's exports. Importing the same bytes from the same path again gives the same module. */
export async function importVerified(source: VerifiedSource): Promise<Module> {
  const known = imported.get(source.bytes)
  if (known !== undefined && known.source.path === source.path && known.source.imports === source.imports) return known.module
  const module = await importSource(source)
  imported.set(source.bytes, { source, module })
  return module
}

async function importSource(source: VerifiedSource): Promise<Module> {
  const hash = hashOf(source)
  installHook()
  sources.set(hash, source)
  try {
    // A namespace object is a record of exports.
    return (await import(urlOf(source, basename(source.path), hash))) as Module
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const hint = error.message.includes('export named') ? ' If that name is a type, write `import type`.' : ''
    throw new SyntaxError(`${basename(source.path)}: ${error.message}.${hint}`, { cause: error })
  } finally {
    // Imports of one URL share one load, which is over when any of them settles.
    if (source.space === 'system' || source.imports.size === 0) sources.delete(hash)
  }
}

function installHook(): void {
  if (hooked) return
  hooked = true
  registerHooks({
    resolve: (specifier, context, nextResolve) =>
      resolveVerified(specifier, context.parentURL) ?? nextResolve(specifier, context),
    load: (url, context, nextLoad) => loadVerified(url) ?? nextLoad(url, context),
  })
}

/** Null for what is not ours to decide. */
function resolveVerified(specifier: string, parentUrl: string | undefined): ResolveFnOutput | null {
  const hash = hashIn(parentUrl)
  if (parentUrl === undefined || hash === null) return resolveMain(specifier)
  if (!LOCAL.test(specifier)) return resolveOwn(specifier)
  const source = sources.get(hash)
  if (source?.space === 'system') return null
  const from = source === undefined ? null : keyOf(source, parentUrl)
  const key = from === null ? specifier : posix.join(posix.dirname(from), specifier)
  if (source === undefined || bytesOf(source, key) === undefined) {
    const importer = basename(fileURLToPath(parentUrl))
    throw new Error(
      `${importer} imports "${specifier}", which is not among the files that were signed with it. Name it in an import of a literal path, then sign the tool again.`,
    )
  }
  return { url: urlOf(source, key, hash), shortCircuit: true }
}

/** V4 */
function resolveOwn(specifier: string): ResolveFnOutput | null {
  const url = (entries ??= ownEntries()).get(specifier)
  return url === undefined ? null : { url, shortCircuit: true }
}

/** The file itself may be gone by now; a shipped one is there, and is known by its real path. */
function resolveMain(specifier: string): ResolveFnOutput | null {
  const source = sources.get(hashIn(specifier) ?? '')
  return source === undefined || source.space === 'system' ? null : { url: specifier, shortCircuit: true }
}

function loadVerified(url: string): LoadFnOutput | null {
  const hash = hashIn(url)
  if (hash === null) return null
  const source = sources.get(hash)
  const key = source === undefined ? '' : keyOf(source, url)
  const bytes = source === undefined ? undefined : bytesOf(source, key)
  // V1: a second load of a verified URL must not fall through to the file.
  if (bytes === undefined) throw new Error(`The verified source of ${url} is no longer held.`)
  const format = key.endsWith('.json') ? 'json' : /\.m?ts$/.test(key) ? 'module-typescript' : 'module'
  return { format, source: Buffer.from(bytes), shortCircuit: true }
}

function bytesOf(source: VerifiedSource, key: string): Uint8Array | undefined {
  return key === basename(source.path) ? source.bytes : source.imports.get(key)
}

function keyOf({ path }: VerifiedSource, url: string): string {
  return relative(dirname(path), fileURLToPath(url)).split(sep).join('/')
}

function urlOf({ path }: VerifiedSource, key: string, hash: string): string {
  const url = pathToFileURL(join(dirname(path), ...key.split('/')))
  url.searchParams.set(HASH_PARAMETER, hash)
  return url.href
}

function hashIn(url: string | undefined): string | null {
  const place = url?.lastIndexOf(`?${HASH_PARAMETER}=`) ?? -1
  return url === undefined || place === -1 ? null : url.slice(place + HASH_PARAMETER.length + 2)
}

/** V2. Over the path too, and each part by its length, so that no two sources share a hash. */
function hashOf({ path, bytes, space, imports }: VerifiedSource): string {
  const hash = createHash('sha256').update(space)
  addPart(hash, Buffer.from(path))
  addPart(hash, bytes)
  if (space === 'system') return hash.digest('hex')
  for (const [key, content] of [...imports].toSorted(([left], [right]) => (left < right ? -1 : 1))) {
    addPart(hash, Buffer.from(key))
    addPart(hash, content)
  }
  return hash.digest('hex')
}

function addPart(hash: Hash, part: Uint8Array): void {
  hash.update(`\n${part.byteLength}\n`).update(part)
}
