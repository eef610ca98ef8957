import type { NetworkPolicy, NetworkTarget } from '../sandbox/contract.ts'
import { resolveTarget } from './guarded-lookup.ts'
import type { CheckedAddress } from './guarded-lookup.ts'
import type { Lookup } from './lookup.ts'
import { describeTarget, targetOfUrl } from './host.ts'

/** What the proxy decided about one request. `reason` is one line. */
export type Passage =
  | { readonly kind: 'open'; readonly target: NetworkTarget; readonly addresses: readonly CheckedAddress[] }
  | { readonly kind: 'closed'; readonly status: 403 | 502 | 504; readonly reason: string }

export type Decide = (target: NetworkTarget, signal: AbortSignal) => Promise<Passage>

export interface PassageOptions {
  readonly policy: NetworkPolicy
  readonly isLive: () => boolean
  readonly lookup: Lookup | undefined
  readonly timeoutMs: number
  /** Told `host` or `host:port` of what the policy refused. */
  readonly onDenied: (target: string) => void
}

/** A host in a request can be as long as a head. */
const MAX_SHOWN_CHARS = 300

/** Decides about one target after the other; nothing is remembered. The decision never rejects. */
export function createDecision({ policy, isLive, lookup, timeoutMs, onDenied }: PassageOptions): Decide {
  const revoked = closed(403, 'The thread that asks may no longer act.')
  return async (target, signal) => {
    if (!isLive()) return revoked
    const resolved = await resolveTarget(target, { policy, signal, timeoutMs, ...(lookup === undefined ? {} : { lookup }) })
    // The thread can have been cancelled while the name was looked up.
    if (resolved.kind === 'allowed') return isLive() ? { kind: 'open', target, addresses: resolved.addresses } : revoked
    if (resolved.kind === 'denied') {
      onDenied(describeTarget(target).slice(0, MAX_SHOWN_CHARS))
      return closed(403, resolved.reason)
    }
    if (resolved.because === 'timeout')
      return closed(504, `The lookup of "${target.host}" was not answered within ${timeoutMs} ms.`)
    return closed(502, `The name "${target.host}" could not be looked up.`)
  }
}

/** A request that is not let through. */
export function closed(status: 403 | 502 | 504, reason: string): Passage & { readonly kind: 'closed' } {
  return { kind: 'closed', status, reason: reason.slice(0, 2 * MAX_SHOWN_CHARS) }
}

/** The `host:port` of a CONNECT request; null for anything else. A tunnel counts as `http`: what goes through it cannot be seen. */
export function readAuthority(text: string): NetworkTarget | null {
  const [, host, digits] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port, protocol: 'http' } : null
}

/** The URL of a request in absolute form, with what it would connect to; null for any other form, for https and for credentials. */
export function readAbsoluteForm(text: string): { readonly url: URL; readonly target: NetworkTarget } | null {
  if (!/^http:\/\//i.test(text) || !URL.canParse(text)) return null
  const url = new URL(text)
  return url.username === '' && url.password === '' ? { url, target: targetOfUrl(url, 'http') } : null
}
