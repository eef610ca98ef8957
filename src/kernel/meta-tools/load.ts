import { basename, posix } from 'node:path'
import { openFile, writeWhole } from '../../primitives/files/confined-fs.ts'
import { ConfinedPathError } from '../../primitives/files/relative-path.ts'
import { mkdir } from 'node:fs/promises'
import type { Authorize, MetaToolRequest, SigningKeys } from '../contract.ts'
import { KiwiError } from '../errors.ts'
import { describeProblems, findItem, trustIn } from '../chain/trusted-items.ts'
import type { ItemStore, VerifiedItem } from '../items/item-store.ts'
import type { Definition, DirectiveHook, Item, ItemType, Space } from '../items/item.ts'
import { isProtectedSystemItem } from '../items/shadowing.ts'
import { assertPermitted, invalidRequest, type MetaTool, onlyFlag, permissionMark, requiredItem } from './request.ts'

export interface LoadOptions {
  readonly store: ItemStore
  readonly spaces: Readonly<Record<Space, string>>
  readonly authorize: Authorize | undefined
  readonly keys: Pick<SigningKeys, 'trust'>
}

/** What a reader can take in; the whole file is a file. */
const MAX_TEXT_BYTES = 30_000

const FOLDER_OF: Readonly<Record<ItemType, string>> = { directive: 'directives', tool: 'tools', knowledge: 'knowledge' }

/** Shows an item, unsigned and unavailable ones too, and copies its file and what it imports to another space where `destination` says so. */
export function createLoad({ store, spaces, authorize, keys }: LoadOptions): MetaTool {
  return async (request: MetaToolRequest, context) => {
    const { type, id } = requiredItem('load', request)
    const overwrite = onlyFlag('load', request.parameters, 'overwrite')
    const found = await findItem(store, type, id, request.source ?? 'all')
    await assertPermitted(authorize, {
      verb: 'load',
      itemType: type,
      itemId: id,
      category: found.category,
      parameters: request.parameters ?? {},
      ...(request.destination === undefined ? {} : { destination: request.destination }),
      context,
    })
    const verified = await store.readVerified(found)
    const copied =
      request.destination === undefined ? {} : await copyItem(verified, { spaces, destination: request.destination, overwrite })
    return {
      success: true,
      ...describe(verified),
      ...describeSignature(verified, keys),
      ...(await permissionMark(authorize, { itemType: type, itemId: id, category: found.category }, context)),
      ...copied,
    }
  }
}

function describe({ item, bytes }: VerifiedItem): Readonly<Record<string, unknown>> {
  const { type, id, space, category, description, version, file, state, warnings } = item
  const truncated = bytes.length > MAX_TEXT_BYTES
  return {
    item_type: type,
    item_id: id,
    space,
    category,
    description,
    version,
    file,
    available: state.kind === 'available',
    definition: state.kind === 'available' ? shownDefinition(state.definition) : null,
    problems: state.kind === 'unavailable' ? describeProblems(state.problems) : [],
    warnings: describeProblems(warnings),
    // A character cut in half becomes a replacement mark.
    text: bytes.subarray(0, MAX_TEXT_BYTES).toString('utf8'),
    text_bytes: bytes.length,
    text_truncated: truncated,
    ...(truncated
      ? {
          note: `Only the first ${MAX_TEXT_BYTES} of ${bytes.length} bytes are shown; read_file shows the rest of a project file.`,
        }
      : {}),
  }
}

/** What stands between the item and running it (`signed` and `shipped`: nothing), and whose signature it has. */
function describeSignature(
  { item, integrity, imports }: VerifiedItem,
  keys: Pick<SigningKeys, 'trust'>,
): Readonly<Record<string, unknown>> {
  const files = imports.size === 0 ? {} : { imports: [...imports.keys()].toSorted() }
  if (integrity.kind !== 'signed' && integrity.kind !== 'forged') return { integrity: integrity.kind, ...files }
  const { keyId, signedAt } = integrity
  const trust = integrity.kind === 'signed' ? trustIn(keys, item, keyId) : 'trusted'
  const shown = trust === 'trusted' ? integrity.kind : trust === 'untrusted' ? 'untrusted_key' : 'other_purpose'
  return { integrity: shown, signed_by: { key_id: keyId, signed_at: signedAt }, ...files }
}

function shownDefinition(definition: Definition): unknown {
  if (definition.kind === 'knowledge') {
    const { content: _shownAsText, ...rest } = definition
    return rest
  }
  const shown = definition.kind === 'directive' ? { ...definition, hooks: definition.hooks.map(shownHook) } : definition
  return JSON.stringify(shown).length > MAX_TEXT_BYTES ? null : shown
}

/** With its condition as written, not as parsed. */
function shownHook({ source, directive, inputs, line }: DirectiveHook): unknown {
  return { when: source, directive, inputs, line }
}

interface Copy {
  readonly spaces: Readonly<Record<Space, string>>
  readonly destination: 'project' | 'user'
  readonly overwrite: boolean
}

/** Copies the item's file, and before it the local files that it imports: a file that is there already with the same bytes stays. */
async function copyItem(
  { item, bytes, imports }: VerifiedItem,
  { spaces, destination, overwrite }: Copy,
): Promise<Readonly<Record<string, unknown>>> {
  if (item.space === destination) throw invalidRequest(`The ${item.type} "${item.id}" is in the ${destination} space already`)
  if (item.space === 'system' && isProtectedSystemItem(item)) {
    throw invalidRequest(
      `The ${item.type} "${item.id}" belongs to the core, and a copy in another space would be passed over. Copy it by hand under another id`,
    )
  }
  // Where an import is missing, a copy would lack it too.
  if (item.type === 'tool' && item.state.kind === 'unavailable')
    throw new KiwiError(
      'ITEM_UNAVAILABLE',
      `The tool "${item.id}" is not valid, so it was not copied: ${describeProblems(item.state.problems)[0] ?? item.file}`,
      {
        suggestion: 'Correct the file first.',
      },
    )
  const root = spaces[destination]
  const path = targetPath(item)
  const besides = [...imports].map(([name, content]) => ({ path: posix.join(posix.dirname(path), name), bytes: content }))
  const files = [...besides, { path, bytes }]
  const shown = (name: string): string => `${destination === 'project' ? '.ai' : '~/.ai'}/${name}`
  try {
    await mkdir(root, { recursive: true })
    for (const file of overwrite ? files : await filesToMake(root, files)) {
      const existing = overwrite ? 'replace' : 'refuse'
      await writeWhole({ path: root, userSpace: null }, file.path, { bytes: file.bytes, existing })
    }
  } catch (error) {
    if (!(error instanceof ConfinedPathError)) throw error
    const suggestion = error.code === 'ITEM_EXISTS' ? 'Set parameters.overwrite to true (--overwrite) to replace it.' : undefined
    throw new KiwiError(error.code, `Copying to the ${destination} space: ${error.message}`, {
      error,
      ...(suggestion === undefined ? {} : { suggestion }),
    })
  }
  return {
    copied_to: shown(path),
    ...(besides.length === 0 ? {} : { copied_imports: besides.map((file) => shown(file.path)).toSorted() }),
  }
}

interface CopiedFile {
  /** Below the space. */
  readonly path: string
  readonly bytes: Uint8Array
}

/** Without the imports that are there as they are. What stands there with other bytes is an error before anything is written. */
async function filesToMake(root: string, files: readonly CopiedFile[]): Promise<readonly CopiedFile[]> {
  const made: CopiedFile[] = []
  for (const [index, file] of files.entries()) {
    const present = await bytesAt(root, file.path)
    if (present === null) made.push(file)
    else if (index === files.length - 1 || !present.equals(file.bytes))
      throw new ConfinedPathError('ITEM_EXISTS', `${JSON.stringify(file.path)} exists already.`, file.path)
  }
  return made
}

async function bytesAt(root: string, path: string): Promise<Buffer | null> {
  try {
    await using file = await openFile({ path: root, userSpace: null }, path)
    return await file.handle.readFile()
  } catch (error) {
    if (error instanceof ConfinedPathError && error.code === 'FILE_NOT_FOUND') return null
    throw error
  }
}

function targetPath({ type, category, path }: Item): string {
  return [FOLDER_OF[type], category, basename(path)].filter((part) => part !== '').join('/')
}
