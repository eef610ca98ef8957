/** Reads what a token carries. A signature proves who wrote it, not its form, so every field is checked. */
import type { Capabilities, CategoryRule, Grants, TokenClaims } from '../contract.ts'

/** The claims as they stand in a token, besides `iss` and `aud`. */
export interface WireClaims {
  readonly [name: string]: unknown
  readonly jti: string
  readonly sub: string
  readonly iat: string
  readonly nbf: string
  readonly exp: string
  readonly parent: string | null
  readonly directive: string
  readonly grants: Grants
}

/** Names that every token must carry. */
export const REQUIRED_CLAIMS: readonly string[] = [
  'iss',
  'aud',
  'sub',
  'jti',
  'iat',
  'nbf',
  'exp',
  'parent',
  'directive',
  'grants',
]

export function toWire(claims: TokenClaims): WireClaims {
  const issuedAt = new Date(claims.issuedAtMs).toISOString()
  return {
    jti: claims.jti,
    sub: claims.threadId,
    iat: issuedAt,
    nbf: issuedAt,
    exp: new Date(claims.expiresAtMs).toISOString(),
    parent: claims.parentJti,
    directive: claims.directiveId,
    grants: claims.grants,
  }
}

/** @throws {TypeError} naming the claim that is not of its form. */
export function readClaims(claims: Readonly<Record<string, unknown>>): TokenClaims {
  return {
    jti: text(claims, 'jti'),
    parentJti: claims['parent'] === null ? null : text(claims, 'parent'),
    threadId: text(claims, 'sub'),
    directiveId: text(claims, 'directive'),
    grants: readGrants(claims['grants']),
    issuedAtMs: time(claims, 'iat'),
    expiresAtMs: time(claims, 'exp'),
  }
}

function readGrants(value: unknown): Grants {
  const grants = object(value, 'grants')
  const orchestration = grants['orchestration']
  return {
    capabilities: readCapabilities(grants['capabilities']),
    orchestration: orchestration === null ? null : rules(orchestration, 'orchestration'),
    knowledge: rules(grants['knowledge'], 'knowledge'),
    directives: rules(grants['directives'], 'directives'),
  }
}

// A parsed `__proto__` is an own key; a capability id has no such form.
const CAPABILITY_ID = /^[a-z][a-z0-9_.-]*$/

function readCapabilities(value: unknown): Capabilities {
  const capabilities: Record<string, readonly string[] | true> = {}
  for (const [id, scopes] of Object.entries(object(value, 'capabilities'))) {
    if (!CAPABILITY_ID.test(id)) throw malformed('capabilities')
    capabilities[id] = scopes === true ? true : texts(scopes, 'capabilities')
  }
  return capabilities
}

function rules(value: unknown, name: string): readonly CategoryRule[] {
  if (!Array.isArray(value)) throw malformed(name)
  return value.map((entry: unknown) => {
    const rule = object(entry, name)
    return {
      allowCategories: rule['allowCategories'] === null ? null : texts(rule['allowCategories'], name),
      denyCategories: texts(rule['denyCategories'], name),
      allowIds: rule['allowIds'] === null ? null : texts(rule['allowIds'], name),
      denyIds: texts(rule['denyIds'], name),
    }
  })
}

function texts(value: unknown, name: string): readonly string[] {
  if (!Array.isArray(value)) throw malformed(name)
  return value.map((entry: unknown) => {
    if (typeof entry !== 'string') throw malformed(name)
    return entry
  })
}

function object(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(name)
  // Neither null nor an array: an object that JSON.parse made.
  return value as Readonly<Record<string, unknown>>
}

function text(claims: Readonly<Record<string, unknown>>, name: string): string {
  const value = claims[name]
  if (typeof value !== 'string' || value === '') throw malformed(name)
  return value
}

function time(claims: Readonly<Record<string, unknown>>, name: string): number {
  const ms = Date.parse(text(claims, name))
  if (!Number.isFinite(ms)) throw malformed(name)
  return ms
}

function malformed(name: string): TypeError {
  return new TypeError(`Its claim ${name} is not of the expected form.`)
}
