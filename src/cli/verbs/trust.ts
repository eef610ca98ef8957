import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findInstallKey, openInstallKey } from '../../capabilities/keys/install-key.ts'
import { type ItemSignature, itemSignatures } from '../../capabilities/keys/item-signatures.ts'
import { createSigningKeys, keyFolderOf, rotateInstallKey } from '../../capabilities/keys/signing-keys.ts'
import { createTrustStore, isServerName, type TrustedKey } from '../../capabilities/keys/trust-store.ts'
import { CONFIG_SUBJECT } from '../../config/config-file.ts'
import { userSpaceOf } from '../../config/user-space.ts'
import type { SigningKeys } from '../../kernel/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { isKeyId } from '../../kernel/integrity/ed25519.ts'
import { checkIntegrity, type Integrity } from '../../kernel/integrity/signature.ts'
import type { CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { fields, table } from '../format.ts'
import { packageRoot } from '../package-root.ts'

export interface AddOptions {
  readonly label?: string
  /** The key is a connector's: it vouches for the tools of this server only. */
  readonly connector?: string
}

/** `kiwi trust list`: the keys whose signatures are accepted, the user's own first. */
export async function trustList(context: CliContext): Promise<ExitCode> {
  const { folder, place } = placeOf(context)
  const own = findInstallKey(folder, place)?.keyId ?? null
  const keys = createTrustStore(folder, place).keys()
  context.output.data({ success: true, own, keys }, () => {
    const first = own === null ? [] : [['own', own, 'this installation', '']]
    const rows = keys.map((key) => [purposeOf(key), key.key_id, key.label, key.added_at.slice(0, 10)])
    if (first.length + rows.length === 0) return 'No key yet: your own is made when you first sign something.'
    return table(['FOR', 'KEY', 'LABEL', 'ADDED'], [...first, ...rows])
  })
  return EXIT.ok
}

/** `kiwi trust show`: the public half of the user's own key, made if there is none, for others to trust. */
export async function trustShow(context: CliContext): Promise<ExitCode> {
  const { folder, place } = placeOf(context)
  const { keyId } = openInstallKey(folder, place)
  const command = `kiwi trust add ${keyId}`
  context.output.data({ success: true, key_id: keyId, add: command }, () =>
    fields([
      ['key', keyId],
      ['others trust it with', command],
    ]),
  )
  return EXIT.ok
}

/** `kiwi trust add KEY`: from now on what this key signed may run, in every project. */
export async function trustAdd(context: CliContext, keyId: string, { label, connector }: AddOptions): Promise<ExitCode> {
  assertKeyId(keyId)
  if (connector !== undefined && !isServerName(connector)) {
    throw new KiwiError('INVALID_REQUEST', `Expected the name of a server, got ${JSON.stringify(connector)}.`, {
      suggestion: 'Use lower-case letters, digits, "_", "-" and ".", as in `kiwi trust add KEY --connector github`.',
    })
  }
  const { folder, place } = placeOf(context)
  if (findInstallKey(folder, place)?.keyId === keyId) {
    throw new KiwiError('INVALID_REQUEST', 'This is your own key, which is trusted already.')
  }
  const added: TrustedKey = {
    key_id: keyId,
    purpose: connector === undefined ? 'item' : 'connector',
    ...(connector === undefined ? {} : { server: connector }),
    label: label ?? '',
    added_at: new Date().toISOString(),
  }
  const isSame = (key: TrustedKey): boolean =>
    key.key_id === keyId && key.purpose === added.purpose && key.server === added.server
  createTrustStore(folder, place).update((keys) => [...keys.filter((key) => !isSame(key)), added])
  const what = connector === undefined ? 'whatever it signs may run' : `the tools of ${connector} that it signs may run`
  context.output.data({ success: true, added }, () => `Trusted ${keyId}: ${what}.`)
  return EXIT.ok
}

/** `kiwi trust remove KEY`: from now on nothing that only this key signed runs. */
export async function trustRemove(context: CliContext, keyId: string): Promise<ExitCode> {
  assertKeyId(keyId)
  const { folder, place } = placeOf(context)
  if (findInstallKey(folder, place)?.keyId === keyId) {
    throw new KiwiError('INVALID_REQUEST', 'This is your own key: it signs what you sign, so it cannot be removed.', {
      suggestion: 'To replace it: kiwi trust rotate. To trust it no longer: kiwi trust remove, after that.',
    })
  }
  const store = createTrustStore(folder, place)
  if (!store.keys().some((key) => key.key_id === keyId)) {
    throw new KiwiError('INVALID_REQUEST', `The key ${keyId} is not among those you trust.`, {
      suggestion: 'kiwi trust list shows them.',
    })
  }
  store.update((keys) => keys.filter((key) => key.key_id !== keyId))
  context.output.data({ success: true, removed: keyId }, () => `No longer trusted: ${keyId}.`)
  return EXIT.ok
}

/** `kiwi trust rotate`: a new key signs, the present one stays accepted, and one that was retired before falls away. */
export async function trustRotate(context: CliContext): Promise<ExitCode> {
  const { place } = placeOf(context)
  const { keyId, retired, dropped } = rotateInstallKey(place, Date.now())
  const orphans = dropped.length === 0 ? [] : await signedBy(context, dropped)
  context.output.data({ success: true, key_id: keyId, retired, dropped, sign_again: orphans }, () =>
    [
      `New key: ${keyId}`,
      `Still accepted: ${retired}`,
      ...dropped.map((key) => `No longer accepted: ${key}`),
      ...orphans.map(({ type, id }) => `Sign again: kiwi sign ${type}${type === 'config' ? '' : ` ${id}`}`),
      ...(dropped.length === 0 ? [] : ['In your other projects, kiwi trust project tells what is to be signed again.']),
    ].join('\n'),
  )
  return EXIT.ok
}

/** `kiwi trust project`: whose signatures this project's items have, and which of them the user trusts. Runs and changes nothing. */
export async function trustProject(context: CliContext): Promise<ExitCode> {
  const { place } = placeOf(context)
  const keys = createSigningKeys(place)
  const found = await signaturesIn(context)
  const signers = new Map<string, Signer>()
  const unsigned: ShownItem[] = []
  for (const { signature, shown, toolType } of found) {
    if (signature.kind !== 'signed') {
      unsigned.push({ ...shown, reason: signature.kind })
      continue
    }
    const { keyId } = signature
    const trust = keys.trust(keyId, { type: shown.type, id: shown.id, toolType })
    const before = signers.get(`${keyId} ${trust}`)
    signers.set(`${keyId} ${trust}`, { key_id: keyId, trust, items: [...(before?.items ?? []), shown] })
  }
  const rows = [...signers.values()]
  context.output.data({ success: true, keys: rows, unsigned }, () => projectText(rows, unsigned))
  return EXIT.ok
}

interface ShownItem {
  readonly type: string
  readonly id: string
  readonly file: string
  readonly reason?: string
}

interface Signer {
  readonly key_id: string
  readonly trust: ReturnType<SigningKeys['trust']>
  readonly items: readonly ShownItem[]
}

interface FoundSignature {
  readonly signature: Integrity
  readonly shown: ShownItem & { readonly type: 'directive' | 'tool' | 'knowledge' | 'config' }
  readonly toolType: string | null
}

const TRUST_TEXT: Readonly<Record<Signer['trust'], string>> = {
  trusted: 'trusted',
  untrusted: 'NOT TRUSTED',
  other_purpose: 'trusted for something else',
}

function projectText(signers: readonly Signer[], unsigned: readonly ShownItem[]): string {
  if (signers.length + unsigned.length === 0) return 'This project has no items of its own.'
  const rows = signers.map(({ key_id: key, trust, items }) => [key, String(items.length), TRUST_TEXT[trust]])
  const strangers = signers.filter(({ trust }) => trust === 'untrusted')
  return [
    ...(rows.length === 0 ? [] : [table(['KEY', 'ITEMS', 'TRUST'], rows)]),
    ...unsigned.map(({ type, id, reason = '' }) => `${type} ${id}: ${reason}, does not run`),
    ...strangers.map(({ key_id: key }) => `To trust all that ${key} signs: kiwi trust add ${key}`),
  ].join('\n')
}

async function signedBy(context: CliContext, keyIds: readonly string[]): Promise<readonly ShownItem[]> {
  const found = [...(await signaturesIn(context)), ...(await itemsIn(context, 'user'))]
  return found
    .filter(({ signature }) => signature.kind === 'signed' && keyIds.includes(signature.keyId))
    .map(({ shown }) => shown)
}

/** Of the project's own items and its configuration. */
async function signaturesIn(context: CliContext): Promise<readonly FoundSignature[]> {
  const config = configSignature(context)
  return [...(config === null ? [] : [config]), ...(await itemsIn(context, 'project'))]
}

async function itemsIn(context: CliContext, space: 'project' | 'user'): Promise<readonly FoundSignature[]> {
  const { place } = placeOf(context)
  const spaces = { project: join(place.projectPath, '.ai'), user: place.userSpace, system: join(packageRoot(), 'system') }
  const found = await itemSignatures({ spaces, projectPath: place.projectPath })
  return found.filter(({ item }) => item.space === space).map(toFound)
}

function toFound({ item, integrity }: ItemSignature): FoundSignature {
  const { type, id, file, state } = item
  const tool = state.kind === 'available' && state.definition.kind === 'tool' ? state.definition : null
  return { signature: integrity, shown: { type, id, file }, toolType: tool?.toolType ?? null }
}

function configSignature({ projectPath }: CliContext): FoundSignature | null {
  let bytes: Buffer
  try {
    bytes = readFileSync(join(projectPath, '.ai', 'config.yaml'))
  } catch {
    // Without a configuration there is nothing to trust; what cannot be read is told by whoever uses it.
    return null
  }
  const shown = { type: 'config', id: 'config', file: '.ai/config.yaml' } as const
  return { signature: checkIntegrity(bytes, 'yaml', CONFIG_SUBJECT), shown, toolType: null }
}

function placeOf({ projectPath, env }: Pick<CliContext, 'projectPath' | 'env'>): {
  readonly folder: string
  readonly place: { readonly userSpace: string; readonly projectPath: string }
} {
  const userSpace = userSpaceOf(env)
  return { folder: keyFolderOf(userSpace), place: { userSpace, projectPath } }
}

function purposeOf({ purpose, server, retired }: TrustedKey): string {
  if (retired === true) return 'retired'
  return purpose === 'item' ? 'items' : `tools of ${server ?? ''}`
}

/** A beginning of a key is no key: it could be the beginning of another one too. */
function assertKeyId(text: string): void {
  if (isKeyId(text)) return
  throw new KiwiError('INVALID_REQUEST', `Expected a whole key id of 43 characters, got ${JSON.stringify(text.slice(0, 80))}.`, {
    suggestion: 'Its holder sees it with: kiwi trust show',
  })
}
