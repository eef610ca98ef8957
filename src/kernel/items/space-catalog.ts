import { join } from 'node:path'
import { createFolderTree } from './folder-tree.ts'
import type { FolderTree, FoundFile } from './folder-tree.ts'
import { idOf, isItemFile } from './item-file.ts'
import type { ItemProblem, ItemType, Space } from './item.ts'
import { ITEM_ID } from './names.ts'
import type { Finding } from './source-text.ts'

const TYPE_FOLDERS: Readonly<Record<ItemType, string>> = { tool: 'tools', directive: 'directives', knowledge: 'knowledge' }
const SHOWN_ROOTS: Readonly<Record<Space, string>> = { project: '.ai', user: '~/.ai', system: 'system' }

/** A file that should hold an item, and what its name or place alone makes wrong. */
export interface CatalogFile {
  readonly type: ItemType
  readonly id: string
  readonly space: Space
  readonly category: string
  readonly found: FoundFile
  readonly tree: FolderTree
  /** As in `ItemProblem.file`. */
  readonly file: string
  readonly spaceRoot: string
  readonly issues: readonly Finding[]
}

/** The files of one type in one space, by id. */
export interface SpaceCatalog {
  /** Looks for changes; true when anything may have changed. `placeOf` tells what `WatchedPlace` says of each root. */
  refresh(placeOf: (root: string) => string | null): boolean
  files(): readonly CatalogFile[]
  byId(id: string): CatalogFile | null
  skipped(): readonly ItemProblem[]
  close(): void
}

export interface SpaceCatalogOptions {
  readonly type: ItemType
  readonly space: Space
  /** Folders of the space; where two give the same id, the first one does. */
  readonly roots: readonly string[]
}

export function createSpaceCatalog(options: SpaceCatalogOptions): SpaceCatalog {
  const { type, space, roots } = options
  const folder = TYPE_FOLDERS[type]
  const trees = roots.map((root) => ({
    root,
    // A project folder can come from anybody; where the user's own folders lie is the user's business.
    tree: createFolderTree({
      root: join(root, folder),
      accepts: (name) => isItemFile(type, name),
      mayLinkOut: space !== 'project',
    }),
  }))
  let before: readonly (readonly FoundFile[])[] = []
  let files: readonly CatalogFile[] = []
  let ids = new Map<string, CatalogFile>()
  const build = (): void => {
    const known = new Map<string, CatalogFile[]>()
    for (const { root, tree } of trees) {
      const fromEarlier = new Set(known.keys())
      for (const found of tree.files()) {
        const file = toCatalogFile(options, found, { tree, root, folder })
        if (!fromEarlier.has(file.id)) known.set(file.id, [...(known.get(file.id) ?? []), file])
      }
    }
    files = [...known.values()].flatMap(markDuplicates)
    ids = new Map(files.toReversed().map((file) => [file.id, file]))
  }
  return {
    refresh(placeOf) {
      const changed = trees.map(({ root, tree }) => tree.refresh(placeOf(root))).includes(true)
      const now = trees.map(({ tree }) => tree.files())
      if (now.some((list, index) => list !== before[index])) {
        before = now
        build()
      }
      return changed
    },
    files: () => files,
    byId: (id) => ids.get(id) ?? null,
    skipped: () =>
      trees.flatMap(({ tree }) =>
        tree.skipped().map(({ folder: name, reason, fix }) => ({
          file: `${SHOWN_ROOTS[space]}/${folder}/${name}`,
          line: 1,
          column: 1,
          reason,
          fix,
        })),
      ),
    close() {
      for (const { tree } of trees) tree.close()
    },
  }
}

interface Placement {
  readonly tree: FolderTree
  readonly root: string
  readonly folder: string
}

function toCatalogFile(options: SpaceCatalogOptions, found: FoundFile, placement: Placement): CatalogFile {
  const { type, space } = options
  const { tree, root, folder } = placement
  const id = idOf(found.name)
  const file = [SHOWN_ROOTS[space], folder, found.folder, found.name].filter((part) => part !== '').join('/')
  const fix = 'Rename the file with letters, digits, `_`, `-` and `.`.'
  const issues = ITEM_ID.test(id) ? [] : [{ line: 1, column: 1, reason: `the file name ${JSON.stringify(id)} is not an id`, fix }]
  return { type, id, space, category: found.folder, found, tree, file, spaceRoot: root, issues }
}

/** Two files with one id: neither is used, so that it never depends on their order which one is. */
function markDuplicates(files: readonly CatalogFile[]): readonly CatalogFile[] {
  if (files.length < 2) return files
  return files.map((file, index) => {
    const other = files[index === 0 ? 1 : 0]
    const reason = `${other?.file ?? 'another file'} has the same id`
    return { ...file, issues: [...file.issues, { line: 1, column: 1, reason, fix: 'Rename or remove one of the two files.' }] }
  })
}
