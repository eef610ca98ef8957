import type { Json, JsonObject } from '../../json.ts'
import { parseText, TemplateError, type TextPart } from './placeholder.ts'
import { joinUrl, UrlTextError, type UrlPiece, type UrlShape } from './url-text.ts'

/** What one rendering may see. Own properties of `parameters` only. */
export interface TemplateScope {
  readonly parameters: JsonObject
  /** An absent optional parameter removes its key or array element; an absent other one is an error. */
  readonly isOptional: (name: string) => boolean
  /** Told where in the configuration the value goes. */
  readonly env: (name: string, path: Path) => string | undefined
}

/** A configuration whose texts are already parsed. Rendering shares every part that holds no placeholder. */
export interface CompiledTemplate {
  /** Every name that is used, with the first place that uses it. */
  readonly parameterPaths: ReadonlyMap<string, readonly (string | number)[]>
  /** @throws {TemplateError} with the path of the value that could not be rendered. */
  render(scope: TemplateScope): JsonObject
}

type Path = readonly (string | number)[]

/** What a text is used for, which decides how values enter it. */
type Use = 'text' | 'header' | 'query' | 'sink' | UrlShape

type Render = (scope: TemplateScope) => Json | typeof ABSENT

type Node = { readonly kind: 'literal'; readonly value: Json } | { readonly kind: 'dynamic'; readonly render: Render }

const ABSENT: unique symbol = Symbol('absent')

const USE_OF_KEY: ReadonlyMap<string, Use> = new Map([
  ['url', 'url'],
  ['base_url', 'url'],
  ['mcp_url', 'url'],
  ['path', 'path'],
  ['query', 'query'],
  ['headers', 'header'],
  ['stream', 'sink'],
])

// Node writes header bytes as latin1, where U+010A would become a line feed: anything above U+00FF is refused, not cut.
const HEADER_TEXT = /^[\t\u0020-\u007e\u0080-\u00ff]*$/
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/
const SCHEMES: ReadonlySet<string> = new Set(['http:', 'https:', 'ws:', 'wss:'])
const SINK_VALUE = /^[A-Za-z0-9_-]+$/

/**
 * Compiles every text below a merged configuration; keys are never templated.
 *
 * A lone `{name}` keeps the value's type and passes it by reference. The top-level keys `url`, `base_url`, `path`, `query`,
 * `headers` and `stream` have rules of their own: see `url-text.ts` for URLs, of which a lone `{name}` under `url` is a whole one; header
 * values take printable latin1 only; values in sink paths must match `[A-Za-z0-9_-]+`.
 *
 * @throws {TemplateError}
 */
export function compileTemplate(config: JsonObject): CompiledTemplate {
  const names = new Map<string, Path>()
  const entries = Object.entries(config).map(([key, value]) => {
    const use = USE_OF_KEY.get(key) ?? 'text'
    return [key, compileValue(value, use, { path: [key], names })] as const
  })
  return { parameterPaths: names, render: (scope) => renderMap(entries, scope) }
}

interface Compilation {
  readonly path: Path
  readonly names: Map<string, Path>
}

function compileValue(value: Json, use: Use, at: Compilation): Node {
  if (typeof value === 'string') return compileString(value, use, at)
  if (value === null || typeof value !== 'object') return { kind: 'literal', value }
  if (isList(value)) {
    const nodes = value.map((child, index) => compileValue(child, use, { ...at, path: [...at.path, index] }))
    const literals = nodes.flatMap((node) => (node.kind === 'literal' ? [node.value] : []))
    if (literals.length === nodes.length) return { kind: 'literal', value: Object.freeze(literals) }
    return {
      kind: 'dynamic',
      render: (scope) => nodes.map((node) => renderNode(node, scope)).filter((child) => child !== ABSENT),
    }
  }
  const entries = Object.entries(value).map(([key, child]) => {
    const childUse = use === 'sink' && key === 'url' ? 'url' : use
    return [key, compileValue(child, childUse, { ...at, path: [...at.path, key] })] as const
  })
  const literals = entries.flatMap(([key, node]) => (node.kind === 'literal' ? [[key, node.value] as const] : []))
  if (literals.length === entries.length) return { kind: 'literal', value: Object.freeze(Object.fromEntries(literals)) }
  return { kind: 'dynamic', render: (scope) => renderMap(entries, scope) }
}

function compileString(value: string, use: Use, at: Compilation): Node {
  const parts = parseText(value, at.path)
  for (const part of parts) if (part.kind === 'parameter' && !at.names.has(part.name)) at.names.set(part.name, at.path)
  const [first] = parts
  if (parts.every((part) => part.kind === 'text') && use !== 'url' && use !== 'path' && use !== 'header') {
    return { kind: 'literal', value: parts.map((part) => part.text).join('') }
  }
  if (parts.length === 1 && first?.kind === 'parameter' && (isField(at.path, 'url') || isField(at.path, 'headers'))) {
    return { kind: 'dynamic', render: wholeField(first.name, use, at.path) }
  }
  if (use === 'url' || use === 'path')
    return { kind: 'dynamic', render: (scope) => renderUrl(parts, use, { scope, path: at.path }) }
  if (parts.length === 1 && first?.kind === 'parameter' && use !== 'sink') {
    return { kind: 'dynamic', render: (scope) => checkUse(parameterValue(first.name, scope, at.path), use, at.path) }
  }
  return { kind: 'dynamic', render: (scope) => renderText(parts, use, { scope, path: at.path }) }
}

/** A tool that says `url: "{url}"` or `headers: "{headers}"` leaves all of it to its caller; who may ask which host is checked after rendering. */
function wholeField(name: string, use: Use, path: Path): Render {
  return (scope) => {
    const value = parameterValue(name, scope, path)
    if (value === ABSENT || value === null) return ABSENT
    return use === 'url' ? wholeUrl(name, value, path) : wholeHeaders(name, value, path)
  }
}

function wholeUrl(name: string, value: Json, path: Path): string {
  const url = typeof value === 'string' && !CONTROL.test(value) && URL.canParse(value) ? new URL(value) : null
  if (typeof value === 'string' && url !== null && SCHEMES.has(url.protocol) && url.username === '' && url.password === '')
    return value
  throw new TemplateError(
    `{${name}} stands for a whole URL and is none that begins with http://, https://, ws:// or wss:// and a host, without user and password: as part of one it would name the scheme, user, host or port.`,
    path,
  )
}

function wholeHeaders(name: string, value: Json, path: Path): JsonObject {
  if (typeof value !== 'object' || value === null || isList(value))
    throw new TemplateError(`{${name}} stands for all headers and must be a map of names to values.`, path)
  const entries = Object.entries(value).flatMap(([key, header]) => {
    const checked = checkUse(header, 'header', [...path, key])
    return checked === ABSENT ? [] : [[key, checked] as const]
  })
  return Object.fromEntries(entries)
}

function isField(path: Path, name: string): boolean {
  return path.length === 1 && path[0] === name
}

function renderMap(entries: readonly (readonly [string, Node])[], scope: TemplateScope): JsonObject {
  const rendered: [string, Json][] = []
  for (const [key, node] of entries) {
    const value = renderNode(node, scope)
    if (value !== ABSENT) rendered.push([key, value])
  }
  // fromEntries defines own properties, so even a key named `__proto__` stays a key.
  return Object.fromEntries(rendered)
}

function renderNode(node: Node, scope: TemplateScope): Json | typeof ABSENT {
  return node.kind === 'literal' ? node.value : node.render(scope)
}

interface Rendering {
  readonly scope: TemplateScope
  readonly path: Path
}

function renderText(parts: readonly TextPart[], use: Use, { scope, path }: Rendering): Json | typeof ABSENT {
  let text = ''
  for (const part of parts) {
    if (part.kind !== 'parameter') {
      text += ownText(part, scope, path)
      continue
    }
    const value = parameterValue(part.name, scope, path)
    if (value === ABSENT || value === null) return ABSENT
    const piece = asText(value)
    if (use === 'sink' && !SINK_VALUE.test(piece)) {
      throw new TemplateError(
        `{${part.name}} stands in the path of a sink and must match [A-Za-z0-9_-]+, got ${quote(piece)}.`,
        path,
      )
    }
    text += piece
  }
  return checkUse(text, use, path)
}

function renderUrl(parts: readonly TextPart[], shape: UrlShape, { scope, path }: Rendering): Json | typeof ABSENT {
  const pieces: UrlPiece[] = []
  for (const [index, part] of parts.entries()) {
    if (part.kind !== 'parameter') {
      pieces.push({ kind: 'own', text: ownText(part, scope, path) })
      continue
    }
    const value = parameterValue(part.name, scope, path)
    if (value !== ABSENT && value !== null) pieces.push({ kind: 'value', name: part.name, text: asText(value) })
    else if (parts.length === 1) return ABSENT
    else if (!dropQueryName(pieces, parts[index + 1])) {
      throw new TemplateError(`{${part.name}} is absent, and only a whole query value of a URL may be.`, path)
    }
  }
  try {
    return joinUrl(pieces, shape)
  } catch (error) {
    if (error instanceof UrlTextError) throw new TemplateError(error.message, path)
    throw error
  }
}

/** Takes `?name=` or `&name=` of an absent value off the end of the URL so far; false where the value is more than that. */
function dropQueryName(pieces: UrlPiece[], next: TextPart | undefined): boolean {
  const before = pieces.at(-1)
  if (before?.kind !== 'own' || !pieces.some((piece) => piece.text.includes('?'))) return false
  if (next !== undefined && !(next.kind === 'text' && /^[&#]/.test(next.text))) return false
  const match = /[?&][^?&=#]*=$/.exec(before.text)
  if (match === null) return false
  // A `?` stays: the next pair may follow it, and a URL may end with it.
  pieces[pieces.length - 1] = { kind: 'own', text: before.text.slice(0, match.index) + (match[0].startsWith('?') ? '?' : '') }
  return true
}

function ownText(part: TextPart & { kind: 'text' | 'environment' }, scope: TemplateScope, path: Path): string {
  if (part.kind === 'text') return part.text
  const value = scope.env(part.name, path)
  if (value !== undefined && (value !== '' || part.fallback === null)) return value
  if (part.fallback !== null) return part.fallback
  throw new TemplateError(
    `The environment variable ${part.name} is not set. Set it, or write \${${part.name}:-default} in the tool file.`,
    path,
  )
}

function parameterValue(name: string, { parameters, isOptional }: TemplateScope, path: Path): Json | typeof ABSENT {
  const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined
  if (value !== undefined) return value
  if (isOptional(name)) return ABSENT
  throw new TemplateError(`The parameter ${name} is required here and was not given.`, path)
}

function checkUse(value: Json | typeof ABSENT, use: Use, path: Path): Json | typeof ABSENT {
  if (value === ABSENT || value === null) return use === 'text' || use === 'query' ? value : ABSENT
  if (use === 'header') {
    if (typeof value === 'object') throw new TemplateError('A header value must be text, a number or a boolean.', path)
    const text = String(value)
    if (!HEADER_TEXT.test(text))
      throw new TemplateError('A header value must not hold control characters or characters beyond latin1.', path)
    return text
  }
  if (use === 'query' && [value].flat().some((one) => typeof one === 'string' && CONTROL.test(one))) {
    throw new TemplateError('A query value of the URL holds a control character.', path)
  }
  return value
}

function asText(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
