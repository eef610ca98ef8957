import { randomBytes } from 'node:crypto'
import { open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Authorize, MetaToolRequest, SigningKeys } from '../contract.ts'
import type { JsonObject } from '../../json.ts'
import { KiwiError } from '../errors.ts'
import { describeProblems, findItem } from '../chain/trusted-items.ts'
import { checkIntegrity, hashToSign, signBytes, signedKindOf } from '../integrity/signature.ts'
import { directiveGaps } from '../items/directive-gaps.ts'
import type { ItemStore } from '../items/item-store.ts'
import type { Item } from '../items/item.ts'
import { assertPermitted, invalidRequest, type MetaTool, requiredItem } from './request.ts'

export interface SignOptions {
  /** Gives what a review rejects as unavailable. */
  readonly store: ItemStore
  readonly authorize: Authorize | undefined
  readonly keys: SigningKeys
  /** UTC milliseconds. */
  readonly now: () => number
}

/**
 * Validates an item and writes its signature line by the user's own key, so that it may run from now on, as it is. With `sha256` among the
 * parameters only content of that hash is signed (ITEM_CHANGED); with `__check_only` in the context nothing is, and the answer says what
 * would have been.
 */
export function createSign({ store, authorize, keys, now }: SignOptions): MetaTool {
  return async (request: MetaToolRequest, context) => {
    const { type, id } = requiredItem('sign', request)
    const { draft, sha256 } = readParameters(request.parameters ?? {})
    const found = await findItem(store, type, id, request.source ?? 'all')
    await assertPermitted(authorize, {
      verb: 'sign',
      itemType: type,
      itemId: id,
      category: found.category,
      parameters: request.parameters ?? {},
      context,
    })
    if (found.space === 'system')
      throw invalidRequest(
        `The ${type} "${id}" is shipped with the package and is not signed. Copy it to a project with load and destination first`,
      )
    const { item, bytes, imports } = await store.readVerified(found)
    assertSignable(item, draft)
    const kind = signedKindOf(item.path)
    if (kind === null) throw invalidRequest(`A file of this kind cannot be signed: ${item.file}`)
    const subject = { type, category: item.category, id: item.id, imports }
    const content = hashToSign(bytes, kind, subject)
    if (sha256 !== null && content !== sha256) throw changedSince(item, { expected: sha256, actual: content })
    const facts = { success: true, item_type: type, item_id: id, file: item.file } as const
    if (context.__check_only === true) return { ...facts, checked: true, sha256: content }
    const signed = await signBytes(bytes, kind, { nowMs: now(), subject, keys })
    await replaceFile(item, { expected: bytes, bytes: signed })
    const integrity = checkIntegrity(signed, kind, subject)
    if (integrity.kind !== 'signed') throw new KiwiError('INTERNAL', `The signature written to ${item.file} does not hold.`)
    return {
      ...facts,
      signed_at: integrity.signedAt,
      sha256: integrity.sha256,
      key_id: integrity.keyId,
      ...(imports.size === 0 ? {} : { imports: [...imports.keys()].toSorted() }),
      warnings: describeProblems(item.warnings),
    }
  }
}

interface SignParameters {
  readonly draft: boolean
  readonly sha256: string | null
}

function readParameters({ draft = false, sha256 = null, ...others }: JsonObject): SignParameters {
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw invalidRequest(`sign takes only the parameters draft and sha256; got \`${unknown}\``)
  if (typeof draft !== 'boolean') throw invalidRequest('sign takes the parameter draft, true or false')
  if (sha256 !== null && (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)))
    throw invalidRequest('`sha256` of sign is a hash of 64 hexadecimal digits in lower case')
  return { draft, sha256 }
}

function changedSince({ file }: Item, { expected, actual }: { readonly expected: string; readonly actual: string }): KiwiError {
  return new KiwiError('ITEM_CHANGED', `${file} is not signed: it is no longer what was to be signed.`, {
    facts: { expected, actual },
    suggestion: 'Read it as it is now, then sign that.',
  })
}

/** @throws {KiwiError} ITEM_UNAVAILABLE; DIRECTIVE_INVALID for a directive that lacks what a thread needs, unless it is a draft. */
export function assertSignable({ type, id, state, file }: Item, draft: boolean): void {
  if (state.kind === 'unavailable') {
    const problems = describeProblems(state.problems)
    throw new KiwiError('ITEM_UNAVAILABLE', `The ${type} "${id}" is not valid, so it was not signed: ${problems[0] ?? file}`, {
      suggestion: 'Correct the file and sign again.',
      facts: { item_type: type, item_id: id, problems },
    })
  }
  if (draft || state.definition.kind !== 'directive') return
  const gaps = directiveGaps(state.definition)
  if (gaps.length === 0) return
  throw new KiwiError(
    'DIRECTIVE_INVALID',
    `The directive "${id}" was not signed: it has ${gaps.map(({ reason }) => reason).join(', ')}.`,
    {
      suggestion: `${gaps.map(({ fix }) => fix).join('\n')}\nOr sign it as a draft, which cannot be spawned on a thread (parameters.draft: true, or --draft).`,
      facts: { missing: gaps.map(({ field }) => field) },
    },
  )
}

/** Old or new content at every moment, under the mode the file has. What changed since it was validated is not signed. */
export async function replaceFile(
  { path, file }: Item,
  { expected, bytes }: { readonly expected: Uint8Array; readonly bytes: Uint8Array },
): Promise<void> {
  const { mode } = await stat(path)
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  const handle = await open(temporary, 'wx', mode & 0o777)
  try {
    await handle.writeFile(bytes)
    // The mode given to open is cut by the process's mask.
    await handle.chmod(mode & 0o777)
    await handle.sync()
    await handle.close()
    if (!(await readFile(path)).equals(expected)) {
      throw new KiwiError('ITEM_CHANGED', `${file} changed while it was being signed.`, {
        retryable: true,
        suggestion: 'Read it again, then sign it.',
      })
    }
    await rename(temporary, path)
  } catch (error) {
    await handle.close().catch(() => undefined)
    await unlink(temporary).catch(() => undefined)
    throw error
  }
}
