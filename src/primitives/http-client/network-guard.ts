import type { LookupFunction } from 'node:net'
import { pinnedLookup, resolveTarget } from '../network/guarded-lookup.ts'
import type { ResolvedTarget } from '../network/guarded-lookup.ts'
import type { Lookup } from '../network/lookup.ts'
import { describeTarget, targetOfUrl } from '../network/host.ts'
import type { NetworkGrant, NetworkPolicy, NetworkTarget } from '../sandbox/contract.ts'
import type { HttpError } from './contract.ts'
import { abortFailure, failure, networkFailure, timeoutFailure } from './failure.ts'
import type { Lifeline } from './lifeline.ts'

/** Whether one request may go out, and where to. `lookup` gives the socket the addresses that were checked. */
export type Admission =
  | { readonly kind: 'admitted'; readonly lookup: LookupFunction }
  | { readonly kind: 'refused'; readonly error: HttpError }

/** Asked before every single request of a guarded call: each attempt and each redirect. */
export interface NetworkGuard {
  /** Never rejects; ends when the lifeline is cut. `name` is what messages call the request. */
  admit(url: URL, protocol: NetworkTarget['protocol'], context: { name: string; lifeline: Lifeline }): Promise<Admission>
}

export interface GuardOptions {
  readonly isLive: (() => boolean) | undefined
  readonly lookup: Lookup | undefined
  readonly timeoutMs: number
}

/** The guard that a call's grant asks for; null where every host may be asked (the operator, and the host itself). */
export function createNetworkGuard(network: NetworkGrant | undefined, options: GuardOptions): NetworkGuard | null {
  if (network === undefined || network.kind === 'open') return null
  if (network.kind === 'none') return { admit: (_url, _protocol, { name }) => Promise.resolve(refused(noNetwork(name))) }
  const { policy } = network
  return {
    async admit(url, protocol, { name, lifeline }) {
      if (options.isLive?.() === false) return refused(revoked(name))
      const target = targetOfUrl(url, protocol)
      const resolved = await resolve(target, policy, { ...options, lifeline })
      // The thread can have been cancelled while the name was looked up.
      if (resolved.kind === 'allowed' && options.isLive?.() === false) return refused(revoked(name))
      if (resolved.kind === 'allowed') return { kind: 'admitted', lookup: pinnedLookup(resolved.addresses) }
      return refused(lifeline.failure() ?? errorOf(resolved, target, { name, timeoutMs: options.timeoutMs }))
    },
  }
}

async function resolve(
  target: NetworkTarget,
  policy: NetworkPolicy,
  { lookup, timeoutMs, lifeline }: GuardOptions & { readonly lifeline: Lifeline },
): Promise<ResolvedTarget> {
  const controller = new AbortController()
  lifeline.onCut(() => controller.abort())
  return await resolveTarget(target, {
    policy,
    signal: controller.signal,
    timeoutMs,
    ...(lookup === undefined ? {} : { lookup }),
  })
}

function errorOf(
  resolved: Exclude<ResolvedTarget, { kind: 'allowed' }>,
  target: NetworkTarget,
  { name, timeoutMs }: { readonly name: string; readonly timeoutMs: number },
): HttpError {
  switch (resolved.because) {
    case 'scope': {
      const missing = [`net.${target.protocol} "${describeTarget(target)}"`]
      const message = `${name}: not sent. ${resolved.reason} Use a host that is allowed, or add the permission to the directive.`
      return failure('PERMISSION_DENIED', message, { detail: { missing } })
    }
    case 'address':
    case 'host':
      return failure('ADDRESS_DENIED', `${name}: not sent. ${resolved.reason}`, {
        detail: { host: target.host, port: target.port },
      })
    case 'lookup':
      return networkFailure(name, resolved.error)
    case 'timeout':
      return timeoutFailure(name, 'connect', timeoutMs)
    case 'aborted':
      return abortFailure(name)
  }
}

function noNetwork(name: string): HttpError {
  const message = `${name}: not sent. This call was granted no network; a tool that sends requests must name \`net.http\` in its \`requires\`.`
  return failure('ADDRESS_DENIED', message)
}

function revoked(name: string): HttpError {
  return failure('ABORTED', `${name}: not sent. The thread that asks may no longer act.`)
}

function refused(error: HttpError): Admission {
  return { kind: 'refused', error }
}
