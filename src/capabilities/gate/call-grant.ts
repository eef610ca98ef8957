/** What a call that was permitted may reach: of all that is granted, only what its chain requires. */
import { createHash } from 'node:crypto'
import type { Requirement } from '../../kernel/items/item.ts'
import type { Grant, NetworkGrant, PathRule } from '../../primitives/sandbox/contract.ts'
import type { Capabilities, TokenClaims } from '../contract.ts'
import { hostScopeAllows, namesPrivateTarget } from '../scopes/host-scope.ts'
import { toPathRule } from '../scopes/path-scope.ts'
import { tollOfSegments } from './ai-folder.ts'

/** Kinds of reach of one chain. */
interface Reach {
  readonly read: boolean
  readonly write: boolean
  readonly remove: boolean
  readonly net: boolean
}

/** A shell command can do anything with files and network, so it gets all of both; what it may do is what the directive may. */
function reachOf(chainRequires: readonly Requirement[]): Reach {
  const ids = new Set(chainRequires.map((requirement) => (typeof requirement === 'string' ? requirement : requirement.cap)))
  const isShell = ids.has('process.exec')
  return {
    read: isShell || ids.has('fs.read'),
    write: isShell || ids.has('fs.write'),
    remove: ids.has('fs.delete'),
    net: isShell || ids.has('net.http') || ids.has('net.websocket'),
  }
}

const keyOf = ({ read, write, remove, net }: Reach): number =>
  Number(read) + 2 * Number(write) + 4 * Number(remove) + 8 * Number(net)

/** Grants of threads, each made once for one token and kind of reach. `isLive` is asked for the thread at each effect. */
export function createThreadGrants(isLive: (threadId: string) => boolean): {
  of(claims: TokenClaims, chainRequires: readonly Requirement[]): Grant
} {
  const made = new WeakMap<TokenClaims, Map<number, Grant>>()
  return {
    of(claims, chainRequires) {
      const reach = reachOf(chainRequires)
      const known = made.get(claims) ?? new Map<number, Grant>()
      made.set(claims, known)
      const grant = known.get(keyOf(reach)) ?? threadGrant(claims, reach, isLive)
      known.set(keyOf(reach), grant)
      return grant
    },
  }
}

function threadGrant({ threadId, grants }: TokenClaims, reach: Reach, isLive: (threadId: string) => boolean): Grant {
  const { capabilities } = grants
  const scopes = (wanted: boolean, id: string): readonly string[] => (wanted ? scopesOf(capabilities, id) : [])
  const written = scopes(reach.write, 'fs.write')
  const read = [...scopes(reach.read, 'fs.read'), ...scopes(reach.read, 'fs.write')]
  const removed = scopes(reach.remove, 'fs.delete')
  const http = scopes(reach.net, 'net.http')
  const websocket = scopes(reach.net, 'net.websocket')
  const reached = [threadId, sorted(read), sorted(written), sorted(removed), sorted(http), sorted(websocket)]
  return {
    id: createHash('sha256').update(JSON.stringify(reached)).digest('base64url'),
    threadId,
    read: rulesOf(read).filter(({ base }) => tollOfSegments(base, 'read').kind !== 'closed'),
    // Who removes a file has its folder open for writing.
    write: rulesOf([...written, ...removed]).flatMap((rule) => paidRules(rule, capabilities)),
    network: networkOf(http, websocket),
    isLive: () => isLive(threadId),
  }
}

/** The operator's own call: everything that the chain is about, nothing that it is not. */
export function operatorGrant(chainRequires: readonly Requirement[]): Grant {
  return chainRequires.length === 0 ? NOTHING_REACHED : grantOfOperator(chainRequires)
}

function grantOfOperator(chainRequires: readonly Requirement[]): Grant {
  const reach = reachOf(chainRequires)
  const everything: readonly PathRule[] = [{ kind: 'tree', base: [] }]
  return {
    id: `operator:${keyOf(reach)}`,
    threadId: null,
    read: reach.read ? everything : [],
    write: reach.write || reach.remove ? everything : [],
    network: reach.net ? { kind: 'open' } : { kind: 'none' },
    isLive: () => true,
  }
}

/** Asked for each item that a search finds. */
const NOTHING_REACHED: Grant = grantOfOperator([])

/** A rule below `.ai/` needs the capability for what lies there; without it the scope alone opens nothing. */
function paidRules(rule: PathRule, capabilities: Capabilities): readonly PathRule[] {
  const toll = tollOfSegments(rule.base, 'write')
  if (toll.kind === 'free' || (toll.kind === 'capability' && holds(capabilities, toll.id))) return [rule]
  // Of the whole of `.ai/` there remain the folders that are paid for.
  if (rule.kind !== 'tree' || rule.base.length !== 1) return []
  return ITEM_FOLDERS.flatMap((folder) => paidRules({ kind: 'tree', base: [...rule.base, folder] }, capabilities))
}

const ITEM_FOLDERS: readonly string[] = ['tools', 'directives', 'knowledge']

function networkOf(http: readonly string[], websocket: readonly string[]): NetworkGrant {
  if (http.length === 0 && websocket.length === 0) return { kind: 'none' }
  const scopes = { http, websocket }
  return {
    kind: 'scoped',
    policy: {
      allows: (target) => hostScopeAllows(scopes[target.protocol], target),
      allowsPrivate: (target) => namesPrivateTarget(scopes[target.protocol], target),
    },
  }
}

/** Whether a capability without scope is held. */
export function holds(capabilities: Capabilities, id: string): boolean {
  return Object.hasOwn(capabilities, id) && capabilities[id] === true
}

/** The scopes of a capability; none when it is not held. */
export function scopesOf(capabilities: Capabilities, id: string): readonly string[] {
  const scopes = Object.hasOwn(capabilities, id) ? capabilities[id] : undefined
  return scopes === undefined || scopes === true ? [] : scopes
}

function rulesOf(scopes: readonly string[]): readonly PathRule[] {
  return [...new Set(scopes)].flatMap((scope) => toPathRule(scope) ?? [])
}

const sorted = (texts: readonly string[]): readonly string[] => [...new Set(texts)].toSorted()
