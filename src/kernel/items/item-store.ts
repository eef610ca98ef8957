import type { Integrity } from '../integrity/signature.ts'
import type { Item, ItemProblem, ItemType, Space } from './item.ts'

export interface ItemStoreOptions {
  /** Absolute folders; one that does not exist is an empty space. `project` is the `.ai` folder itself. */
  readonly spaces: Readonly<Record<Space, string>>
  readonly projectPath: string
  /** A second root of the system space that holds the built `.js` of its runtime tools, when they are not beside its other files. */
  readonly systemModules?: string
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
  /** Every reason and warning of the three spaces, and what could not be walked. */
  problems(): Promise<readonly ItemProblem[]>
  /** Stops watching. The store still answers, by scanning. */
  close(): void
}

export function createItemStore(_options: ItemStoreOptions): ItemStore {
  throw new Error('not built yet')
}
