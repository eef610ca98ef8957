import { isIPv4, isIPv6 } from 'node:net'
import type { NetworkTarget } from '../sandbox/contract.ts'

/** A host in the one form that scopes are compared with: a lower-case name, or an IP literal without brackets. */
export interface Host {
  readonly kind: 'name' | 'address'
  readonly text: string
}

const MAX_NAME_CHARS = 253
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/
/** A name that ends in a number is an IPv4 address in one of its odd notations (octal, hex, integer, short) to some resolver. */
const NUMBER = /^(?:\d+|0x[0-9a-f]*)$/

/**
 * Reads a host as it stands, with or without the brackets of IPv6. Null for everything that is neither a plain name nor an address in its
 * usual notation: nothing is guessed, because the next program on the way could guess otherwise.
 */
export function readHost(written: string): Host | null {
  const text = written.toLowerCase()
  if (isIPv4(text)) return { kind: 'address', text }
  const inside = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  // The URL parser knows the one canonical notation of an IPv6 address.
  if (isIPv6(inside))
    return inside.includes('%') ? null : { kind: 'address', text: new URL(`http://[${inside}]`).hostname.slice(1, -1) }
  const labels = text.split('.')
  const isName = text.length <= MAX_NAME_CHARS && labels.every((label) => LABEL.test(label)) && !NUMBER.test(labels.at(-1) ?? '')
  return isName ? { kind: 'name', text } : null
}

/**
 * What a request to this URL would connect to. The host is what the URL parser made of it: odd notations of IPv4 addresses are resolved
 * there, before a socket sees them.
 */
export function targetOfUrl(url: URL, protocol: NetworkTarget['protocol']): NetworkTarget {
  const isSecure = url.protocol === 'https:' || url.protocol === 'wss:'
  const port = url.port === '' ? (isSecure ? 443 : 80) : Number(url.port)
  return { host: readHost(url.hostname)?.text ?? url.hostname, port, protocol }
}

/** `host` or `host:port` as a scope would name it; the ports of http and https are not written. */
export function describeTarget({ host, port }: NetworkTarget): string {
  const name = host.includes(':') ? `[${host}]` : host
  return port === 80 || port === 443 ? name : `${name}:${port}`
}
