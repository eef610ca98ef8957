import { isIPv4, isIPv6 } from 'node:net'

/**
 * What an IP address is for. `public` can be asked by anybody; every other kind leads to this machine, to its neighbours, to the cloud
 * that it runs in, or nowhere.
 */
export type AddressKind =
  | 'public'
  | 'loopback'
  | 'private'
  /** 100.64.0.0/10: behind a carrier's NAT. */
  | 'shared'
  | 'unique_local'
  | 'benchmark'
  | 'link_local'
  /** Hands out credentials of a cloud, outside the link-local range. */
  | 'metadata'
  | 'multicast'
  | 'broadcast'
  | 'unspecified'
  /** Holds another address that a gateway would go to, which nobody here can see: 6to4, Teredo, local NAT64, SIIT. */
  | 'translated'
  /** Documentation, not assigned, or no address at all. */
  | 'reserved'

/** Kinds that a scope may open by naming the very address. The others are never reached: no service of a user answers there. */
const GRANTABLE: ReadonlySet<AddressKind> = new Set(['loopback', 'private', 'shared', 'unique_local', 'benchmark'])

/** Whether a scope that names an address of this kind with its port can allow it. */
export function isGrantable(kind: AddressKind): boolean {
  return GRANTABLE.has(kind)
}

/**
 * The kind of one IPv4 or IPv6 address in text. What is no address, or has a zone (`fe80::1%eth0`), is `reserved`.
 *
 * IPv6 forms that carry an IPv4 address (mapped, compatible, NAT64) are of that address's kind.
 *
 * @see https://www.iana.org/assignments/iana-ipv4-special-registry
 * @see https://www.iana.org/assignments/iana-ipv6-special-registry
 */
export function classifyAddress(address: string): AddressKind {
  if (isIPv4(address)) return kindOfIpv4(ipv4Number(address))
  return isIPv6(address) && !address.includes('%') ? kindOfIpv6(hextetsOf(address)) : 'reserved'
}

interface Ipv4Range {
  readonly network: number
  readonly bits: number
  readonly kind: AddressKind
}

/** The first match decides. */
const IPV4_RANGES: readonly Ipv4Range[] = [
  // Addresses where clouds give out credentials although the range around them is ordinary: Azure, Alibaba, Oracle.
  { network: 0xa83f8110, bits: 32, kind: 'metadata' },
  { network: 0x646464c8, bits: 32, kind: 'metadata' },
  { network: 0xc00000c0, bits: 32, kind: 'metadata' },
  // 0.0.0.0 connects to this machine on Linux.
  { network: 0x00000000, bits: 8, kind: 'unspecified' },
  { network: 0x0a000000, bits: 8, kind: 'private' },
  { network: 0x64400000, bits: 10, kind: 'shared' },
  { network: 0x7f000000, bits: 8, kind: 'loopback' },
  { network: 0xa9fe0000, bits: 16, kind: 'link_local' },
  { network: 0xac100000, bits: 12, kind: 'private' },
  { network: 0xc0000000, bits: 24, kind: 'reserved' },
  { network: 0xc0000200, bits: 24, kind: 'reserved' },
  { network: 0xc0586300, bits: 24, kind: 'translated' },
  { network: 0xc0a80000, bits: 16, kind: 'private' },
  { network: 0xc6120000, bits: 15, kind: 'benchmark' },
  { network: 0xc6336400, bits: 24, kind: 'reserved' },
  { network: 0xcb007100, bits: 24, kind: 'reserved' },
  { network: 0xe0000000, bits: 4, kind: 'multicast' },
  { network: 0xffffffff, bits: 32, kind: 'broadcast' },
  { network: 0xf0000000, bits: 4, kind: 'reserved' },
]

function kindOfIpv4(address: number): AddressKind {
  const range = IPV4_RANGES.find(({ network, bits }) => address >>> (32 - bits) === network >>> (32 - bits))
  return range?.kind ?? 'public'
}

function ipv4Number(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

type Ipv6Meaning = AddressKind | 'embeds_ipv4' | 'embeds_ipv4_only_if_special'

interface Ipv6Range {
  readonly prefix: readonly number[]
  readonly bits: number
  readonly kind: Ipv6Meaning
}

/** The first match decides; what is not listed and not within 2000::/3 is not assigned. */
const IPV6_RANGES: readonly Ipv6Range[] = [
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0], bits: 128, kind: 'unspecified' },
  { prefix: [0, 0, 0, 0, 0, 0, 0, 1], bits: 128, kind: 'loopback' },
  { prefix: [0, 0, 0, 0, 0, 0xffff], bits: 96, kind: 'embeds_ipv4' },
  // With DNS64 this is how a network without IPv4 names every host that has only IPv4.
  { prefix: [0x64, 0xff9b, 0, 0, 0, 0], bits: 96, kind: 'embeds_ipv4' },
  // IPv4-compatible addresses were given up; a system that still understands them goes to the address inside.
  { prefix: [0, 0, 0, 0, 0, 0], bits: 96, kind: 'embeds_ipv4_only_if_special' },
  { prefix: [0, 0, 0, 0, 0xffff, 0], bits: 96, kind: 'translated' },
  { prefix: [0x64, 0xff9b, 1], bits: 48, kind: 'translated' },
  { prefix: [0x2001, 0], bits: 32, kind: 'translated' },
  { prefix: [0x2002], bits: 16, kind: 'translated' },
  // Instance metadata of AWS, and of Google Cloud over IPv6.
  { prefix: [0xfd00, 0x0ec2], bits: 32, kind: 'metadata' },
  { prefix: [0xfd20, 0x00ce], bits: 32, kind: 'metadata' },
  { prefix: [0xfc00], bits: 7, kind: 'unique_local' },
  { prefix: [0xfe80], bits: 10, kind: 'link_local' },
  // Site-local, the forerunner of unique-local.
  { prefix: [0xfec0], bits: 10, kind: 'private' },
  { prefix: [0xff00], bits: 8, kind: 'multicast' },
  { prefix: [0x2001, 2, 0], bits: 48, kind: 'benchmark' },
  { prefix: [0x2001, 0], bits: 23, kind: 'reserved' },
  { prefix: [0x2001, 0x0db8], bits: 32, kind: 'reserved' },
  { prefix: [0x3fff, 0], bits: 20, kind: 'reserved' },
  { prefix: [0x2000], bits: 3, kind: 'public' },
]

function kindOfIpv6(hextets: readonly number[]): AddressKind {
  const kind = IPV6_RANGES.find((range) => isWithin(hextets, range))?.kind ?? 'reserved'
  if (kind !== 'embeds_ipv4' && kind !== 'embeds_ipv4_only_if_special') return kind
  const embedded = kindOfIpv4((hextets[6] ?? 0) * 0x10000 + (hextets[7] ?? 0))
  return embedded === 'public' && kind === 'embeds_ipv4_only_if_special' ? 'reserved' : embedded
}

function isWithin(hextets: readonly number[], { prefix, bits }: Ipv6Range): boolean {
  return prefix.every((part, index) => {
    const ignored = 16 - Math.min(16, bits - 16 * index)
    return (hextets[index] ?? 0) >>> ignored === part >>> ignored
  })
}

/** The eight parts of a valid IPv6 address. */
function hextetsOf(address: string): readonly number[] {
  const [before = '', after] = address.split('::')
  const head = partsOf(before)
  if (after === undefined) return head
  const tail = partsOf(after)
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail]
}

function partsOf(text: string): readonly number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)]
    const number = ipv4Number(part)
    return [Math.floor(number / 0x10000), number % 0x10000]
  })
}
