/** A piece of a URL with its values known: `own` is the tool's text and environment, `value` came from a caller. */
export type UrlPiece =
  | { readonly kind: 'own'; readonly text: string }
  | { readonly kind: 'value'; readonly name: string; readonly text: string }

/** `url` starts with scheme and host, `path` is only what follows the host. */
export type UrlShape = 'url' | 'path'

type Component = 'authority' | 'path' | 'query' | 'fragment'

const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/

/** A URL that a value would have changed beyond its own component; the message says which value and why. */
export class UrlTextError extends Error {
  override readonly name = 'UrlTextError'
}

/**
 * Joins a URL so that a caller's value stays inside the path segment, query value or fragment in which it stands.
 *
 * Values are percent-encoded for that component; scheme, user, host and port take no value at all. Dot segments, empty path
 * values and control characters are refused rather than encoded, because servers normalise them in different ways.
 *
 * @throws {UrlTextError}
 */
export function joinUrl(pieces: readonly UrlPiece[], shape: UrlShape): string {
  let url = ''
  let hasPathValue = false
  for (const piece of pieces) {
    if (CONTROL.test(piece.text))
      throw new UrlTextError(`${describe(piece)} holds a control character, which a URL cannot carry.`)
    if (piece.kind === 'own') {
      url += piece.text
      continue
    }
    const component = componentAt(url, shape)
    if (component === 'authority') {
      throw new UrlTextError(
        `{${piece.name}} stands in the scheme, user, host or port of the URL. Only the tool's own text or \${ENV} may name a host.`,
      )
    }
    if (component === 'path') hasPathValue = true
    if (component === 'path' && piece.text === '')
      throw new UrlTextError(`{${piece.name}} is empty, which would change the path of the URL.`)
    url += encode(piece)
  }
  if (hasPathValue && pathSegments(url, shape).some((segment) => DOT_SEGMENT.test(segment))) {
    throw new UrlTextError('A path segment of the URL became "." or "..", which would lead to another path.')
  }
  return url
}

function describe(piece: UrlPiece): string {
  return piece.kind === 'own' ? 'The text of the URL' : `{${piece.name}}`
}

function encode(piece: UrlPiece & { kind: 'value' }): string {
  if (!piece.text.isWellFormed()) throw new UrlTextError(`{${piece.name}} is not well-formed Unicode.`)
  return encodeURIComponent(piece.text)
}

function componentAt(before: string, shape: UrlShape): Component {
  if (before.includes('#')) return 'fragment'
  if (before.includes('?')) return 'query'
  return shape === 'path' || pathStart(before) >= 0 ? 'path' : 'authority'
}

/** Where the path begins; -1 while the host may still go on. */
function pathStart(url: string): number {
  const scheme = url.indexOf('://')
  // WHATWG URLs read a backslash as a slash, so either ends the host.
  return scheme < 0 ? -1 : url.slice(scheme + 3).search(/[/\\]/) < 0 ? -1 : scheme + 3 + url.slice(scheme + 3).search(/[/\\]/)
}

function pathSegments(url: string, shape: UrlShape): readonly string[] {
  const from = shape === 'path' ? 0 : pathStart(url)
  const path = from < 0 ? '' : url.slice(from)
  return (path.split(/[?#]/, 1)[0] ?? '').split(/[/\\]/)
}
