import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { KiwiError } from '../errors.ts'
import { areUnchanged, NO_IMPORTS, readImports } from '../integrity/import-closure.ts'
import type { ImportClosure } from '../integrity/import-closure.ts'
import { checkIntegrity, signedKindOf } from '../integrity/signature.ts'
import type { Integrity } from '../integrity/signature.ts'
import { createCatalogs } from './catalogs.ts'
import type { Catalogs } from './catalogs.ts'
import { missingDependencies } from './dependency-check.ts'
import { readItemBytes } from './item-file.ts'
import type { Item, ItemProblem, ItemType, Space } from './item.ts'
import { createParseCache } from './parse-cache.ts'
import { createRecentFinds } from './recent-finds.ts'
import type { ParseCache } from './parse-cache.ts'
import type { ParsedFile } from './parsed-file.ts'
import type { CatalogFile } from './space-catalog.ts'

export interface ItemStoreOptions {
  /** Absolute folders; one that does not exist is an empty space. `project` is the `.ai` folder itself. */
  readonly spaces: Readonly<Record<Space, string>>
  readonly projectPath: string
  /** A second root of the system space that holds the built `.js` of its runtime tools, when they are not beside its other files. */
  readonly systemModules?: string
  /** How long a found item may be used after a look at its own file only; see `createRecentFinds`. Default 0. */
  readonly trustMs?: number
}

/** A file that holds an item, known without reading it. */
export interface ItemEntry {
  readonly type: ItemType
  /** The stem of the file name. */
  readonly id: string
  readonly space: Space
  readonly category: string
  /** Absolute; never shown. */
  readonly path: string
  /** As in `ItemProblem.file`. */
  readonly file: string
  /** Changes whenever the item that the entry gives may have changed: size, times, shadowing. */
  readonly stamp: string
}

/** What runs must be these bytes: `item` was parsed from them and `integrity` was computed over them. */
export interface VerifiedItem {
  readonly item: Item
  readonly bytes: Buffer
  /**
   * The local files that the module imports, by path relative to its folder; `integrity` was computed over them too. Empty for a shipped
   * module, whose imports are part of the package.
   */
  readonly imports: ReadonlyMap<string, Uint8Array>
  /** System items are `shipped`: trusted as part of the package. */
  readonly integrity: Integrity | { readonly kind: 'shipped' }
}

/** The items of the three spaces. Everything it answers is as fresh as the files were when it was asked. */
export interface ItemStore {
  readonly spaces: Readonly<Record<Space, string>>
  /**
   * The item that this type and id means: project, then user, then system, or only the space named. Locates by file name and parses
   * that one file. An unavailable item is returned, not passed over; a file that may not shadow a system item is passed over unless its
   * space is named. Null when there is none.
   */
  find(type: ItemType, id: string, source?: Space | 'all'): Promise<Item | null>
  /** Every item, shadowed ones too, ordered by type, id, then project before user before system. Parses what it has not seen. */
  list(type?: ItemType, source?: Space | 'all'): Promise<readonly Item[]>
  /** Like `list` without parsing: what a search index compares with what it has. */
  entries(type?: ItemType, source?: Space | 'all'): Promise<readonly ItemEntry[]>
  /** The parsed item of an entry. */
  load(entry: ItemEntry): Promise<Item>
  /** Grows whenever anything that `entries` answers may have changed; equal numbers mean equal answers. */
  revision(): Promise<number>
  /**
   * Reads the item's file once, checks its integrity and parses those bytes.
   *
   * @throws {KiwiError} `FILE_NOT_FOUND` when the file is gone.
   */
  readVerified(item: Item): Promise<VerifiedItem>
  /** The item as it would be if its file held these bytes. The file itself is not looked at, the files that it imports are. */
  verifyBytes(item: Item, bytes: Buffer): Promise<VerifiedItem>
  /** Whether the local files that it imports are still as they were read; its own file is not looked at. */
  hasSameImports(verified: VerifiedItem): boolean
  /** Every reason and warning of the three spaces, and what could not be walked. */
  problems(): Promise<readonly ItemProblem[]>
  /** Stops watching. The store still answers, by scanning. */
  close(): void
}

/** Files parsed between two turns of the event loop, so that a large space does not stop a host. */
const PARSED_A_TURN = 20

/** Finds, parses and caches items; see `ItemStore`. Reads nothing before it is asked. */
export function createItemStore(options: ItemStoreOptions): ItemStore {
  const catalogs = createCatalogs(options)
  const cache = createParseCache()
  const recent = createRecentFinds(options.trustMs ?? 0)
  const closures = createClosures()
  const toItem = (file: CatalogFile): Item => {
    const parsed = cache.parse(file)
    return buildItem(file, catalogs, { ...parsed, problems: [...parsed.problems, ...closures.of(file, parsed).problems] })
  }
  const loadAll = async (files: readonly CatalogFile[]): Promise<readonly Item[]> => {
    const items: Item[] = []
    for (const [index, file] of files.entries()) {
      if (index % PARSED_A_TURN === PARSED_A_TURN - 1) await nextTurn()
      items.push(toItem(file))
    }
    return items
  }
  return {
    spaces: options.spaces,
    async find(type, id, source = 'all') {
      const known = recent.get(type, id, source)
      if (known !== null) return known
      await catalogs.refresh(type)
      const file = catalogs.find(type, id, source)
      if (file === null) return null
      const item = toItem(file)
      recent.put(type, source, item)
      return item
    },
    async list(type, source = 'all') {
      await catalogs.refresh(type)
      return loadAll(catalogs.select(type, source))
    },
    async entries(type, source = 'all') {
      await catalogs.refresh(type)
      return catalogs.select(type, source).map((file) => toEntry(file, catalogs))
    },
    load: async (entry) => toItem(catalogs.fileOf(entry)),
    async revision() {
      await catalogs.refresh()
      return catalogs.revision()
    },
    readVerified: async (item) => readVerified(catalogs.fileOf(item), { catalogs, cache, closures }),
    verifyBytes: async (item, bytes) => verify(catalogs.fileOf(item), bytes, { catalogs, cache, closures }),
    hasSameImports: (verified) => closures.isCurrent(verified),
    async problems() {
      await catalogs.refresh()
      const items = await loadAll(catalogs.select(undefined, 'all'))
      const found = items.flatMap(({ state, warnings }) => [...(state.kind === 'unavailable' ? state.problems : []), ...warnings])
      return [...catalogs.skipped(), ...found]
    },
    close: () => catalogs.close(),
  }
}

function toEntry(file: CatalogFile, catalogs: Catalogs): ItemEntry {
  const { type, id, space, category, found } = file
  const marks = catalogs.issuesOf(file).map(({ reason }) => reason)
  const stamp = [file.tree.stamp(found) ?? 'gone', catalogs.packagesOf(file), ...marks].join('|')
  return { type, id, space, category, path: found.path, file: file.file, stamp }
}

function buildItem(file: CatalogFile, catalogs: Catalogs, parsed: ParsedFile): Item {
  const { type, id, space, category } = file
  const { definition, description, version, writtenCategory } = parsed
  const problems = [...catalogs.issuesOf(file), ...parsed.problems]
  if (definition?.kind === 'tool' && space !== 'system')
    problems.push(...missingDependencies(definition.dependencies, file.spaceRoot, id))
  const warnings = [...parsed.warnings]
  if (writtenCategory !== null && writtenCategory !== category) {
    const reason = `the file says category \`${writtenCategory}\`, its folder says \`${category}\`, which counts`
    warnings.push({ line: 1, column: 1, reason, fix: 'Move the file, or remove the category.' })
  }
  const named = (finding: Omit<ItemProblem, 'file'>): ItemProblem => ({ file: file.file, ...finding })
  return {
    type,
    id,
    space,
    category,
    description,
    version,
    path: file.found.path,
    file: file.file,
    state:
      definition === null || problems.length > 0
        ? { kind: 'unavailable', problems: problems.map(named) }
        : { kind: 'available', definition },
    warnings: warnings.map(named),
  }
}

interface Readers {
  readonly catalogs: Catalogs
  readonly cache: ParseCache
  readonly closures: Closures
}

function readVerified(file: CatalogFile, readers: Readers): VerifiedItem {
  const read = readItemBytes(file.found.path, file.found.isLink, file.spaceRoot)
  if (read.kind === 'gone') {
    throw new KiwiError('FILE_NOT_FOUND', `Reading ${file.file} found no file.`, { suggestion: 'Search for the item again.' })
  }
  if (read.kind === 'refused') {
    const { reason, fix } = read.finding
    throw new KiwiError('ITEM_UNAVAILABLE', `Reading ${file.file} failed: ${reason}.`, { suggestion: fix })
  }
  return verify(file, read.bytes, readers)
}

function verify(file: CatalogFile, bytes: Buffer, { catalogs, cache, closures }: Readers): VerifiedItem {
  const parsed = cache.parseBytes(file, bytes)
  const closure = readClosure(file, bytes)
  const item = buildItem(file, catalogs, { ...parsed, problems: [...parsed.problems, ...closure.problems] })
  const { imports } = closure
  const verified: VerifiedItem = { item, bytes, imports, integrity: integrityOf(file, bytes, imports) }
  closures.keep(verified, closure)
  return verified
}

function integrityOf(file: CatalogFile, bytes: Buffer, imports: ImportClosure['imports']): VerifiedItem['integrity'] {
  const { space, type, category, id } = file
  if (space === 'system') return { kind: 'shipped' }
  const kind = signedKindOf(file.found.name)
  return kind === null ? { kind: 'unsigned' } : checkIntegrity(bytes, kind, { type, category, id, imports })
}

/** Closures of what was parsed and verified. */
interface Closures {
  /** Read again only when a file of it changed. */
  of(file: CatalogFile, parsed: ParsedFile): ImportClosure
  keep(verified: VerifiedItem, closure: ImportClosure): void
  isCurrent(verified: VerifiedItem): boolean
}

function createClosures(): Closures {
  // A parse stands for the bytes of its file, so that equal keys have equal imports.
  const ofParses = new WeakMap<ParsedFile, ImportClosure>()
  const ofItems = new WeakMap<VerifiedItem, ImportClosure>()
  return {
    of(file, parsed) {
      if (parsed.definition === null || !mayImport(file)) return NO_IMPORTS
      const known = ofParses.get(parsed)
      if (known !== undefined && known.problems.length === 0 && areUnchanged(known.stamps)) return known
      const read = readItemBytes(file.found.path, file.found.isLink, file.spaceRoot)
      // What became of the file since it was parsed is found by whoever reads it to use it.
      const closure = read.kind === 'bytes' ? readClosure(file, read.bytes) : NO_IMPORTS
      ofParses.set(parsed, closure)
      return closure
    },
    keep: (verified, closure) => void ofItems.set(verified, closure),
    isCurrent: (verified) => areUnchanged(ofItems.get(verified)?.stamps ?? []),
  }
}

function readClosure(file: CatalogFile, bytes: Buffer): ImportClosure {
  const toolsRoot = join(file.spaceRoot, 'tools')
  return mayImport(file) ? readImports({ path: file.found.path, bytes, toolsRoot }) : NO_IMPORTS
}

/** Shipped modules import what the package holds, and are trusted with it. */
function mayImport({ type, space, found }: CatalogFile): boolean {
  return type === 'tool' && space !== 'system' && signedKindOf(found.name) === 'module'
}
