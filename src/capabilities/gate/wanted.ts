/** What the `requires` of one part of a call come to, with the values that the part is really called with. */
import type { Json, JsonObject } from '../../json.ts'
import type { Requirement } from '../../kernel/items/item.ts'
import { parseText, TemplateError, type TextPart } from '../../kernel/template/placeholder.ts'
import type { CapabilityInfo, Vocabulary } from '../contract.ts'
import { namedCapability, scopeKeys } from '../permissions/vocabulary.ts'
import { pathSegments } from '../scopes/path-scope.ts'
import { remembering } from '../scopes/scope-outcome.ts'
import { parseScope } from '../scopes/scope-sets.ts'
import { type Missing, missingCapability, refusal } from './missing.ts'

export type Wanted =
  /** A capability without scope. */
  | { readonly kind: 'flag'; readonly id: string }
  /** One actual path, id or `host:port`. Never read as a pattern. */
  | { readonly kind: 'value'; readonly id: string; readonly value: string }
  /** Everything in a scope. */
  | { readonly kind: 'scope'; readonly id: string; readonly scope: string }
  /** Cannot be granted as it stands. */
  | { readonly kind: 'refused'; readonly missing: Missing }

export function wantedBy(requirement: Requirement, parameters: JsonObject, vocabulary: Vocabulary): readonly Wanted[] {
  const name = typeof requirement === 'string' ? requirement : requirement.cap
  const named = namedCapability(name, vocabulary)
  if (named === null) {
    const missing = missingCapability(name)
    const remedy = {
      kind: 'advice',
      text: `No trusted capability module declares ${name}; correct the tool's requires.`,
    } as const
    return [{ kind: 'refused', missing: { ...missing, remedy } }]
  }
  const { info, scope } = named
  if (info.scope === null) return [{ kind: 'flag', id: info.id }]
  if (scope !== null) return [{ kind: 'value', id: info.id, value: scope }]
  if (typeof requirement === 'string') return [byParameter(info, parameters)]
  const entries = Object.entries(requirement.scope)
  if (entries.length === 0) return [refused(info, 'its scope is empty', 'Correct the requires of the tool.')]
  return entries.map(([key, template]) => byTemplate(info, { key, template }, parameters))
}

function byParameter(info: CapabilityInfo, parameters: JsonObject): Wanted {
  const { defaultParameter: name } = info
  if (name === null) return refused(info, 'no parameter carries its scope', 'Correct the requires of the tool: name the scope.')
  const value = ownValue(parameters, name)
  if (typeof value !== 'string') return notGiven(info, name, value)
  if (info.scope === 'path') return pathValue(info, value)
  if (info.scope === 'host') return hostValue(info, value) ?? { kind: 'value', id: info.id, value }
  return { kind: 'value', id: info.id, value }
}

function pathValue(info: CapabilityInfo, value: string): Wanted {
  const segments = pathSegments(value)
  if (segments === null) return refusedPath(info, value)
  return { kind: 'value', id: info.id, value: segments.join('/') || '.' }
}

/** The target of a URL; null for a text that is none. The scheme decides which of the two `net` capabilities it takes. */
function hostValue(info: CapabilityInfo, value: string): Wanted | null {
  if (!value.includes('://')) return null
  const url = URL.canParse(value) ? new URL(value) : null
  const scheme = url === null ? undefined : SCHEMES.get(url.protocol)
  if (url === null || scheme === undefined || url.hostname === '')
    return refused(info, `${JSON.stringify(value.slice(0, 200))} is not an http, https, ws or wss URL`, 'Name a full URL.')
  const id = NET.has(info.id) ? scheme.capability : info.id
  return { kind: 'value', id, value: `${url.hostname}:${url.port === '' ? scheme.port : url.port}` }
}

const NET: ReadonlySet<string> = new Set(['net.http', 'net.websocket'])
const SCHEMES: ReadonlyMap<string, { readonly port: number; readonly capability: string }> = new Map([
  ['http:', { port: 80, capability: 'net.http' }],
  ['https:', { port: 443, capability: 'net.http' }],
  ['ws:', { port: 80, capability: 'net.websocket' }],
  ['wss:', { port: 443, capability: 'net.websocket' }],
])

function byTemplate(
  info: CapabilityInfo,
  { key, template }: { readonly key: string; readonly template: string },
  parameters: JsonObject,
): Wanted {
  if (info.scope === null || !scopeKeys(info).includes(key))
    return refused(
      info,
      `its scope has the unknown key ${key}`,
      `Correct the requires of the tool: write ${scopeKeys(info).join(' or ')}.`,
    )
  const parts = templateParts(template)
  if (parts === null) return refused(info, 'its scope is not a template of parameters', 'Correct the requires of the tool.')
  let text = ''
  for (const part of parts) {
    const rendered = renderPart(info, part, parameters)
    if (typeof rendered !== 'string') return rendered
    text += rendered
  }
  if (info.scope === 'path') text = ofWholeProject(text, parts)
  const host = info.scope === 'host' ? hostValue(info, text) : null
  if (host !== null) return host
  const outcome = parseScope(text, info.scope)
  if (outcome.kind === 'scope') return { kind: 'scope', id: info.id, scope: outcome.scope }
  return refused(info, `${JSON.stringify(text.slice(0, 200))} is not a scope: ${outcome.reason}`, outcome.fix)
}

const templateParts = remembering((template: string): readonly TextPart[] | null => {
  try {
    const parts = parseText(template, [])
    return parts.some(({ kind }) => kind === 'environment') ? null : parts
  } catch (error) {
    if (error instanceof TemplateError) return null
    throw error
  }
})

function renderPart(info: CapabilityInfo, part: TextPart, parameters: JsonObject): string | Wanted {
  if (part.kind === 'text') return part.text
  const value = ownValue(parameters, part.name)
  // A port is a number.
  if (info.scope === 'host' && typeof value === 'number') return String(value)
  if (typeof value !== 'string') return notGiven(info, part.name, value)
  if (info.scope !== 'path') return value
  return pathSegments(value)?.join('/') ?? refusedPath(info, value)
}

/** The project itself is an empty path, so that `{path}/**` in it begins with a slash, and `{path}` is nothing. */
function ofWholeProject(text: string, parts: readonly TextPart[]): string {
  if (text === '') return '**'
  return text.startsWith('/') && parts[0]?.kind === 'parameter' ? text.slice(1) : text
}

function ownValue(parameters: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(parameters, name) ? parameters[name] : undefined
}

function notGiven(info: CapabilityInfo, name: string, value: Json | undefined): Wanted {
  const found = value === undefined ? 'is absent' : 'is not text'
  return refused(info, `the parameter ${name} ${found}`, `Give ${name} as text: what is permitted depends on it.`)
}

function refusedPath(info: CapabilityInfo, value: string): Wanted {
  const text = `${info.id} ${JSON.stringify(value.slice(0, 200))}`
  const advice = 'Give the path relative to the project, without "..", in portable names.'
  return { kind: 'refused', missing: { ...refusal(text, advice), capability: info.id } }
}

function refused(info: CapabilityInfo, why: string, advice: string): Wanted {
  return { kind: 'refused', missing: { ...refusal(`${info.id} (${why})`, advice), capability: info.id } }
}
