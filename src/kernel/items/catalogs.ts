import { setImmediate as nextTurn } from 'node:timers/promises'
import { KiwiError } from '../errors.ts'
import { createInstalledPackages } from './installed-packages.ts'
import type { Item, ItemProblem, ItemType, Space } from './item.ts'
import { isProtectedSystemItem } from './shadowing.ts'
import type { Finding } from './source-text.ts'
import { createSpaceCatalog } from './space-catalog.ts'
import type { CatalogFile, SpaceCatalog } from './space-catalog.ts'
import { createWatchedPlace } from './watched-place.ts'

/** Also the order in which spaces answer for an id. */
const SPACES: readonly Space[] = ['project', 'user', 'system']
/** Nothing shipped needs a package of its space. */
const OPEN_SPACES: readonly Space[] = ['project', 'user']
const TYPES: readonly ItemType[] = ['directive', 'knowledge', 'tool']

/** The files of all spaces and what one space means for another. */
export interface Catalogs {
  /** Looks for changes, of one type only when it is given. */
  refresh(type?: ItemType): Promise<void>
  /** Grows with each change that a refresh found. */
  revision(): number
  find(type: ItemType, id: string, source: Space | 'all'): CatalogFile | null
  /** By type, id, then project before user before system. */
  select(type: ItemType | undefined, source: Space | 'all'): readonly CatalogFile[]
  /** What is wrong with a file before it is read. */
  issuesOf(file: CatalogFile): readonly Finding[]
  /** Changes with the installed packages, for a file that may depend on some. */
  packagesOf(file: CatalogFile): string
  /** The file behind an entry or item. Throws `KiwiError` `FILE_NOT_FOUND` when the last refresh did not see it. */
  fileOf(place: Pick<Item, 'type' | 'id' | 'space' | 'path' | 'file'>): CatalogFile
  skipped(): readonly ItemProblem[]
  close(): void
}

export interface CatalogsOptions {
  readonly spaces: Readonly<Record<Space, string>>
  readonly systemModules?: string
}

export function createCatalogs(options: CatalogsOptions): Catalogs {
  const catalogs = openCatalogs(options)
  const all = [...catalogs.values()]
  const places = new Map(rootsOf(options).map((root) => [root, createWatchedPlace(root)]))
  const packages = new Map(OPEN_SPACES.map((space) => [space, createInstalledPackages(options.spaces[space])]))
  let revision = 0
  /** Looks that were asked for in this turn of the loop: all links of a chain share one. */
  const joinable = new Map<ItemType | undefined, Promise<void>>()
  const of = (space: Space, type: ItemType): SpaceCatalog => {
    const catalog = catalogs.get(`${space}/${type}`)
    if (catalog === undefined) throw new TypeError(`Expected a space and an item type, got ${space} and ${type}.`)
    return catalog
  }
  const isShadowing = (file: CatalogFile): boolean => {
    const shipped = file.space === 'system' ? null : of('system', file.type).byId(file.id)
    return shipped !== null && isProtectedSystemItem(shipped)
  }
  const look = async (type: ItemType | undefined): Promise<void> => {
    // Two turns: the first may end before the loop has polled, the second cannot, so the events of earlier changes are in.
    await nextTurn()
    // From here on a new question would have too few turns before its look.
    joinable.delete(type)
    await nextTurn()
    const asked = type === undefined ? all : SPACES.map((space) => of(space, type))
    const seen = new Map([...places].map(([root, place]) => [root, place.look()]))
    const changed = asked.map((catalog) => catalog.refresh((root) => seen.get(root) ?? null)).includes(true)
    const installed = [...packages].map(([space, each]) => each.look(seen.get(options.spaces[space]) ?? null)).includes(true)
    if (changed || installed) revision += 1
  }
  return {
    refresh(type) {
      const begun = joinable.get(type)
      if (begun !== undefined) return begun
      const looking = look(type)
      joinable.set(type, looking)
      return looking
    },
    revision: () => revision,
    find(type, id, source) {
      if (source !== 'all') return of(source, type).byId(id)
      const files = SPACES.map((space) => of(space, type).byId(id))
      return files.find((file) => file !== null && !isShadowing(file)) ?? null
    },
    select: (type, source) =>
      TYPES.filter((each) => type === undefined || type === each).flatMap((each) =>
        sortById((source === 'all' ? SPACES : [source]).flatMap((space) => of(space, each).files())),
      ),
    issuesOf(file) {
      if (!isShadowing(file)) return file.issues
      const reason = `the shipped ${file.type} \`${file.id}\` cannot be replaced`
      return [...file.issues, { line: 1, column: 1, reason, fix: 'Give the file, and the id in it, another name.' }]
    },
    packagesOf: ({ found, space }) => (/\.[tj]s$/.test(found.name) ? (packages.get(space)?.stamp() ?? '') : ''),
    fileOf({ type, id, space, path, file }) {
      const catalog = of(space, type)
      const first = catalog.byId(id)
      const found = first?.found.path === path ? first : catalog.files().find((each) => each.found.path === path)
      if (found !== undefined) return found
      throw new KiwiError('FILE_NOT_FOUND', `Reading ${file} found no file.`, { suggestion: 'Search for the item again.' })
    },
    skipped: () => all.flatMap((catalog) => catalog.skipped()),
    close() {
      for (const each of [...all, ...places.values()]) each.close()
    },
  }
}

function rootsOf(options: CatalogsOptions): readonly string[] {
  return SPACES.flatMap((space) => rootsOfSpace(options, space))
}

function rootsOfSpace({ spaces, systemModules }: CatalogsOptions, space: Space): readonly string[] {
  return [spaces[space], ...(space === 'system' && systemModules !== undefined ? [systemModules] : [])]
}

function openCatalogs(options: CatalogsOptions): ReadonlyMap<string, SpaceCatalog> {
  const catalogs = new Map<string, SpaceCatalog>()
  for (const space of SPACES) {
    const roots = rootsOfSpace(options, space)
    for (const type of TYPES) catalogs.set(`${space}/${type}`, createSpaceCatalog({ type, space, roots }))
  }
  return catalogs
}

function sortById(files: readonly CatalogFile[]): readonly CatalogFile[] {
  // Stable, so that the order of the spaces is kept among equals.
  return files.toSorted((left, right) => (left.id < right.id ? -1 : left.id > right.id ? 1 : 0))
}
