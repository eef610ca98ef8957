/**
 * Scopes of network targets: `host`, `host:port`, `*.suffix`, `*.suffix:port`. Without a port the ports are 80 and 443. `*.example.com`
 * is every name below `example.com`, not the name itself, and never an IP address.
 *
 * An IP address and `localhost` are written with their port: only so may a scope open a private address, and that exact form must not
 * come into being by meeting a wider scope.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'
import { refuseScope, remembering } from './scope-outcome.ts'
import type { ScopeOutcome, ScopeRefusal } from './scope-outcome.ts'

export interface HostScope {
  /** Canonical: equal for equal scopes. */
  readonly text: string
  readonly kind: 'exact' | 'suffix'
  /** Lower-case ASCII name or IP address without brackets; for a suffix, what follows `*.`. */
  readonly host: string
  readonly ports: readonly number[]
}

/** An actual target. `host` as a URL names it, with or without the brackets of IPv6. */
export interface HostTarget {
  readonly host: string
  readonly port: number
}

const FIX = 'Write `example.com`, `example.com:8080` or `*.example.com`.'
const DEFAULT_PORTS: readonly number[] = [80, 443]
const MAX_HOST_LENGTH = 253
const NO_HOST_CHARACTER = /[^\p{L}\p{M}\p{N}._-]/u
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/
/** Forms that hide an IPv4 address from whoever reads a scope, and addresses that nothing opens. */
const EMBEDDED = subnets('ipv6', [
  ['::', 96],
  ['::ffff:0:0', 96],
  ['::ffff:0:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['2001::', 32],
])
const CLOSED_V4 = subnets('ipv4', [
  ['169.254.0.0', 16],
  ['0.0.0.0', 8],
  ['100.100.100.200', 32],
  ['192.0.0.192', 32],
])
const CLOSED_V6 = subnets('ipv6', [
  ['fe80::', 10],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
])

/** Reads one host scope. Remembered by text. */
export const parseHostScope: (text: string) => ScopeOutcome<HostScope> = remembering(readHostScope)

function readHostScope(text: string): ScopeOutcome<HostScope> {
  if (text === '') return refuseScope(0, 'a host scope is empty', FIX)
  if (text.startsWith('[')) return readIpv6(text)
  const kind = text.startsWith('*.') ? 'suffix' : 'exact'
  const start = kind === 'suffix' ? 2 : 0
  const colon = text.indexOf(':', start)
  const end = colon === -1 ? text.length : colon
  const name = text.slice(start, end)
  const scheme = text.indexOf('://')
  if (scheme !== -1) return refuseScope(scheme, 'a host scope is not a URL', 'Write the host alone, without `https://` and path.')
  if (colon !== -1 && text.includes(':', colon + 1))
    return refuseScope(colon, 'several `:` in a host scope', 'Write IPv6 addresses in brackets: `[::1]:8080`.')
  const host = canonicalName(name, start)
  if (typeof host !== 'string') return host
  const ports = colon === -1 ? DEFAULT_PORTS : readPort(text, colon + 1)
  if ('kind' in ports) return ports
  if (kind === 'suffix' && /(?:^|\.)\d+$/.test(host))
    return refuseScope(start, 'names below an IP address', 'Name the address itself with its port: `10.0.0.1:8080`.')
  if (kind === 'exact' && isAddress(host)) {
    if (isIPv4(host) && CLOSED_V4.check(host, 'ipv4'))
      return refuseScope(0, `\`${host}\` is closed to every tool`, 'Name another host.')
    if (colon === -1) return needsPort(text, host)
  }
  return { kind: 'scope', scope: hostScope(kind, host, ports) }
}

function readIpv6(text: string): ScopeOutcome<HostScope> {
  const end = text.indexOf(']')
  const written = end === -1 ? '' : text.slice(1, end)
  if (!isIPv6(written) || written.includes('%'))
    return refuseScope(1, 'no IPv6 address between the brackets', 'Write it as `[::1]:8080`.')
  const host = canonicalIpv6(written)
  if (EMBEDDED.check(host, 'ipv6') && host !== '::1') {
    return refuseScope(1, 'an IPv6 address that holds an IPv4 address, or none', 'Write the IPv4 address.')
  }
  if (CLOSED_V6.check(host, 'ipv6')) return refuseScope(1, `\`${host}\` is closed to every tool`, 'Name another host.')
  if (end === text.length - 1) return needsPort(text, `[${host}]`)
  if (text[end + 1] !== ':')
    return refuseScope(end + 1, 'something else than a port after the brackets', 'Write it as `[::1]:8080`.')
  const ports = readPort(text, end + 2)
  return 'kind' in ports ? ports : { kind: 'scope', scope: hostScope('exact', host, ports) }
}

function needsPort(text: string, host: string): ScopeRefusal {
  return refuseScope(text.length, `\`${host}\` without a port`, `Write the port that is meant, for example \`${host}:8080\`.`)
}

function readPort(text: string, offset: number): readonly number[] | ScopeRefusal {
  const written = text.slice(offset)
  const port = /^[1-9]\d{0,4}$/.test(written) ? Number(written) : Number.NaN
  if (port <= 65_535) return [port]
  return refuseScope(
    offset,
    `\`${written.slice(0, 40)}\` is not a port`,
    'Write one number from 1 to 65535, or leave it out for 80 and 443.',
  )
}

/** Lower case and punycode, or why the text is no name. Notations that only some programs read as an address are refused. */
function canonicalName(name: string, offset: number): string | ScopeRefusal {
  const odd = NO_HOST_CHARACTER.exec(name)
  if (odd !== null) {
    const reason = odd[0] === '*' ? '`*` in the middle of a host scope' : `${JSON.stringify(odd[0])} in a host scope`
    return refuseScope(offset + odd.index, reason, FIX)
  }
  const lower = name.toLowerCase()
  if (lower !== lower.normalize('NFKC'))
    return refuseScope(offset, 'a host name in an unusual form of Unicode', 'Write it in plain letters or in punycode.')
  const host = domainToASCII(lower)
  if (host === '' || host.length > MAX_HOST_LENGTH || (isIPv4(host) && host !== lower))
    return refuseScope(offset, `${JSON.stringify(name.slice(0, 80))} is not a host name`, FIX)
  let at = offset
  for (const label of lower.split('.')) {
    const ascii = domainToASCII(label)
    if (label === '')
      return refuseScope(at, 'an empty part in a host scope', 'Write one dot between two parts, and none at the end.')
    if (!isIPv4(host) && !LABEL.test(/^\d+$/.test(label) ? label : ascii))
      return refuseScope(at, `${JSON.stringify(label.slice(0, 80))} is not a part of a host name`, FIX)
    at += label.length + 1
  }
  return host
}

function hostScope(kind: 'exact' | 'suffix', host: string, ports: readonly number[]): HostScope {
  const name = kind === 'suffix' ? `*.${host}` : host.includes(':') ? `[${host}]` : host
  const [port] = ports
  return { text: ports.length === 1 && port !== undefined ? `${name}:${port}` : name, kind, host, ports }
}

function canonicalIpv6(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1)
}

/** Whether the scope lets this host be asked on this port. */
function hostScopeContains(scope: HostScope, target: HostTarget): boolean {
  return scope.ports.includes(target.port) && nameContains(scope, canonicalHost(target.host))
}

function nameContains(scope: HostScope, host: string): boolean {
  if (scope.kind === 'exact') return host === scope.host
  return host.endsWith(`.${scope.host}`) && host.length > scope.host.length + 1 && !host.startsWith('.') && !/\.\d+$/.test(host)
}

/** As a scope would have it. What is no host stays as it is, and no scope is equal to it. */
function canonicalHost(host: string): string {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  if (isIPv6(bare)) return bare.includes('%') ? bare : canonicalIpv6(bare)
  // eslint-disable-next-line no-control-regex
  return /^[\u0000-\u007f]*$/.test(host) ? host.toLowerCase() : domainToASCII(host)
}

/** Whether one of the scopes lets this target be asked. Texts that are no scope let nothing through. */
export function hostScopeAllows(scopes: readonly string[], target: HostTarget): boolean {
  return scopes.some((text) => {
    const outcome = parseHostScope(text)
    return outcome.kind === 'scope' && hostScopeContains(outcome.scope, target)
  })
}

/** Whether a scope names this very IP address, or `localhost`, with this very port: the only way to a private address. */
export function namesPrivateTarget(scopes: readonly string[], target: HostTarget): boolean {
  const host = canonicalHost(target.host)
  if (!isAddress(host)) return false
  return hostScopeAllows(
    scopes.filter((text) => !text.startsWith('*')),
    target,
  )
}

/** Whether every target of `inner` is one of `outer`. Exact for two scopes; `coversAll` also joins ports of several. */
export function hostScopeCovers(outer: HostScope, inner: HostScope): boolean {
  if (!inner.ports.every((port) => outer.ports.includes(port))) return false
  if (outer.kind === 'exact') return inner.kind === 'exact' && inner.host === outer.host
  return inner.kind === 'exact' ? nameContains(outer, inner.host) : `.${inner.host}`.endsWith(`.${outer.host}`)
}

/** The scope of the targets that both contain; null when there are none. Exact. */
export function meetHostScopes(left: HostScope, right: HostScope): HostScope | null {
  const anyPort = { ports: left.ports.filter((port) => right.ports.includes(port)) }
  const [wide, narrow] = [
    { ...left, ...anyPort },
    { ...right, ...anyPort },
  ]
  if (anyPort.ports.length === 0) return null
  const name = hostScopeCovers(wide, narrow) ? narrow : hostScopeCovers(narrow, wide) ? wide : null
  return name === null ? null : hostScope(name.kind, name.host, name.ports)
}

/** The same scope as one for each port, so that sets can be compared member by member. */
export function eachPort(scope: HostScope): readonly HostScope[] {
  return scope.ports.map((port) => hostScope(scope.kind, scope.host, [port]))
}

/** The other way round: the two default ports of one name become the form without a port. Addresses keep their ports. */
export function joinPorts(scopes: readonly HostScope[]): readonly HostScope[] {
  const nameOf = (scope: HostScope): string => `${scope.kind} ${scope.host}`
  const ports = new Map<string, Set<number>>()
  for (const scope of scopes) ports.set(nameOf(scope), new Set([...(ports.get(nameOf(scope)) ?? []), ...scope.ports]))
  return scopes.map((scope) => {
    const all = ports.get(nameOf(scope))
    const isDefault = scope.ports.every((port) => DEFAULT_PORTS.includes(port)) && DEFAULT_PORTS.every((port) => all?.has(port))
    return isDefault && !isAddress(scope.host) ? hostScope(scope.kind, scope.host, DEFAULT_PORTS) : scope
  })
}

function isAddress(host: string): boolean {
  return host === 'localhost' || isIPv4(host) || isIPv6(host)
}

function subnets(family: 'ipv4' | 'ipv6', ranges: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList()
  for (const [network, prefix] of ranges) list.addSubnet(network, prefix, family)
  return list
}
