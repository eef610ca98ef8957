/**
 * Decides whether a connection may be made, and to which addresses.
 *
 * G1. A host that no scope allows is refused before its name is looked up: no packet leaves for it.
 * G2. A name is looked up once, all answers are judged, and one bad answer refuses the name.
 * G3. The connection goes to the addresses that were judged and to no other: `pinnedLookup` hands them to the socket in place of a second
 *     lookup, while the Host header and the name that TLS checks stay the caller's.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { isIPv4 } from 'node:net'
import type { NetworkPolicy, NetworkTarget } from '../sandbox/contract.ts'
import { classifyAddress, isGrantable } from './address.ts'
import type { AddressKind } from './address.ts'
import { describeTarget, readHost } from './host.ts'
import type { Lookup } from './lookup.ts'

export interface CheckedAddress {
  readonly address: string
  readonly family: 4 | 6
}

export type ResolvedTarget =
  | { readonly kind: 'allowed'; readonly addresses: readonly CheckedAddress[] }
  /** `scope`: no scope names the host; `address`: it leads to an address that must not be asked; `host`: it is no host. `reason` is a sentence. */
  | { readonly kind: 'denied'; readonly because: 'scope' | 'address' | 'host'; readonly reason: string }
  | { readonly kind: 'failed'; readonly because: 'lookup'; readonly error: Error }
  | { readonly kind: 'failed'; readonly because: 'timeout' | 'aborted' }

export interface ResolveOptions {
  readonly policy: NetworkPolicy
  /** Default: the system's resolver. */
  readonly lookup?: Lookup
  readonly signal?: AbortSignal
  /** For the lookup. Default 10,000. */
  readonly timeoutMs?: number
}

const LOOKUP_TIMEOUT_MS = 10_000

/** Judges one target under a policy. Never rejects. */
export async function resolveTarget(target: NetworkTarget, options: ResolveOptions): Promise<ResolvedTarget> {
  const { policy } = options
  const host = readHost(target.host)
  if (host === null) {
    const reason = `"${target.host}" is neither a plain host name nor an IP address in its usual notation.`
    return { kind: 'denied', because: 'host', reason }
  }
  const known: NetworkTarget = { ...target, host: host.text }
  // G1
  if (!policy.allows(known)) {
    return {
      kind: 'denied',
      because: 'scope',
      reason: `No net permission allows "${describeTarget(known)}" (${target.protocol}).`,
    }
  }
  if (host.kind === 'address') return judge(known, [host.text], policy)
  const found = await addressesOf(host.text, options)
  return found.kind === 'found' ? judge(known, found.addresses, policy) : found
}

/** A `lookup` for sockets that answers with these addresses, whatever is asked. */
export function pinnedLookup(addresses: readonly CheckedAddress[]): LookupFunction {
  return (name, options, callback) => {
    const [first] = addresses
    if (first === undefined) callback(new Error(`no address was allowed for "${name}"`), '')
    else if (options.all === true) callback(null, [...addresses])
    else callback(null, first.address, first.family)
  }
}

// G2
function judge(target: NetworkTarget, addresses: readonly string[], policy: NetworkPolicy): ResolvedTarget {
  for (const address of addresses) {
    const kind = classifyAddress(address)
    if (kind !== 'public' && !(isGrantable(kind) && policy.allowsPrivate(target)))
      return { kind: 'denied', because: 'address', reason: refusalOf(target, address, kind) }
  }
  return { kind: 'allowed', addresses: addresses.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 })) }
}

/** Which address a name has inside a network is not told to whoever may not go there. */
function refusalOf(target: NetworkTarget, address: string, kind: AddressKind): string {
  const subject = target.host === address ? `"${describeTarget(target)}" is` : `The name "${target.host}" leads to`
  const remedy = isGrantable(kind)
    ? 'only a net permission that names this very address with its port allows it'
    : 'no permission can allow it'
  return `${subject} ${KIND_TEXT[kind]} address; ${remedy}.`
}

const KIND_TEXT: Readonly<Record<AddressKind, string>> = {
  public: 'a public',
  loopback: 'a loopback',
  private: 'a private',
  shared: 'a private (carrier NAT)',
  unique_local: 'a private (unique-local)',
  benchmark: 'a private (benchmark)',
  link_local: 'a link-local',
  metadata: 'a cloud metadata',
  multicast: 'a multicast',
  broadcast: 'the broadcast',
  unspecified: 'an unspecified',
  translated: 'a translated',
  reserved: 'a reserved',
}

type Found =
  | { readonly kind: 'found'; readonly addresses: readonly string[] }
  | Extract<ResolvedTarget, { readonly kind: 'failed' }>

const lookupAll: Lookup = async (name) => await systemLookup(name, { all: true })

/** A lookup cannot be stopped; what is stopped is the wait for it. */
function addressesOf(
  name: string,
  { lookup = lookupAll, signal, timeoutMs = LOOKUP_TIMEOUT_MS }: ResolveOptions,
): Promise<Found> {
  if (signal?.aborted === true) return Promise.resolve({ kind: 'failed', because: 'aborted' })
  return new Promise((resolve) => {
    const finish = (found: Found): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      resolve(found)
    }
    const onAbort = (): void => finish({ kind: 'failed', because: 'aborted' })
    const timer = setTimeout(() => finish({ kind: 'failed', because: 'timeout' }), timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    void ask(name, lookup).then(finish)
  })
}

async function ask(name: string, lookup: Lookup): Promise<Found> {
  try {
    const answers = await lookup(name)
    if (answers.length > 0) return { kind: 'found', addresses: answers.map(({ address }) => address) }
    return {
      kind: 'failed',
      because: 'lookup',
      error: Object.assign(new Error(`no address for "${name}"`), { code: 'ENOTFOUND' }),
    }
  } catch (error) {
    return { kind: 'failed', because: 'lookup', error: error instanceof Error ? error : new Error(String(error)) }
  }
}
