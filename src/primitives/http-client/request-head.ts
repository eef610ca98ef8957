import type { ConfigIssue, ConfigReader } from './config-reader.ts'

/**
 * URL and headers of a request. Nothing that could end a line of the request early gets past here: CR, LF, NUL and other control characters, and
 * characters beyond latin1, which a socket would cut to one byte (U+010A becomes LF).
 */

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const UNSAFE_IN_URL = /[\u0000-\u0020\u007f]|[^\u0000-\u00ff]/
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const UNSAFE_IN_HEADER = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Set by the client from the body and the connection; a second voice here is how requests are smuggled. */
const OWN_HEADERS = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'upgrade',
  'expect',
  'te',
  'trailer',
])

/** `url`, with `path` appended to its path and `query` to its query; null when there is an issue. */
export function readUrl(root: ConfigReader, protocols: readonly string[], issues: ConfigIssue[]): URL | null {
  const base = readText(root, 'url', issues)
  const path = root.has('path') ? readText(root, 'path', issues) : ''
  if (base === null || path === null) return null
  const url = URL.canParse(base) ? new URL(base) : null
  if (url === null) return report(issues, 'url', 'must be an absolute URL such as https://api.example.com/v1')
  if (!protocols.includes(url.protocol))
    return report(issues, 'url', `must start with ${protocols.map((name) => `${name}//`).join(' or ')}`)
  if (url.username !== '' || url.password !== '')
    return report(issues, 'url', 'must not hold a user name or password; send them in `headers`')
  if (path !== '') appendPath(url, path)
  appendQuery(url, root, issues)
  url.hash = ''
  return url
}

function readText(root: ConfigReader, field: string, issues: ConfigIssue[]): string | null {
  const value = root.value(field)
  if (typeof value !== 'string' || value === '') return report(issues, field, 'must be a non-empty string')
  if (UNSAFE_IN_URL.test(value)) {
    return report(
      issues,
      field,
      'holds a space, a control character (CR, LF, NUL) or a character beyond latin1; percent-encode it',
    )
  }
  return value
}

/** Done on the parts, not by resolving a reference: a `path` can never change the host. */
function appendPath(url: URL, path: string): void {
  const cut = path.indexOf('?')
  const pathname = cut < 0 ? path : path.slice(0, cut)
  url.pathname = `${url.pathname.replace(/\/$/, '')}${pathname.startsWith('/') ? '' : '/'}${pathname}`
  if (cut >= 0) url.search = joinQuery(url.search, path.slice(cut + 1))
}

function appendQuery(url: URL, root: ConfigReader, issues: ConfigIssue[]): void {
  const query = root.value('query')
  if (query === undefined || query === null) return
  if (typeof query !== 'object' || Array.isArray(query)) {
    report(issues, 'query', 'must be an object of names and values')
    return
  }
  const pairs: string[] = []
  for (const [name, value] of Object.entries(query)) {
    for (const entry of Array.isArray(value) ? value : [value]) {
      if (entry === null || entry === undefined) continue
      if (typeof entry === 'object') report(issues, `query.${name}`, 'must be a string, number, boolean or a list of these')
      else pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(String(entry))}`)
    }
  }
  if (pairs.length > 0) url.search = joinQuery(url.search, pairs.join('&'))
}

function joinQuery(search: string, more: string): string {
  return search === '' ? `?${more}` : `${search}&${more}`
}

/** Headers with lower-case names; null values are left out. */
export function readHeaders(value: unknown, issues: ConfigIssue[]): Record<string, string> {
  const headers: Record<string, string> = {}
  if (value === undefined || value === null) return headers
  if (typeof value !== 'object' || Array.isArray(value)) {
    report(issues, 'headers', 'must be an object of names and values')
    return headers
  }
  for (const [name, content] of Object.entries(value)) {
    if (content === null || content === undefined) continue
    const problem = problemOfHeader(name, content)
    if (problem !== null) report(issues, `headers.${name.replaceAll(/[^\u0021-\u007e]/g, '?')}`, problem)
    else headers[name.toLowerCase()] = String(content)
  }
  return headers
}

function problemOfHeader(name: string, content: unknown): string | null {
  if (!HEADER_NAME.test(name) || name === '__proto__') return 'is not a legal header name'
  if (OWN_HEADERS.has(name.toLowerCase())) return 'is set by the client and cannot be configured'
  if (typeof content !== 'string' && typeof content !== 'number' && typeof content !== 'boolean')
    return 'must be a string, number or boolean'
  if (UNSAFE_IN_HEADER.test(String(content))) return 'holds a control character (CR, LF, NUL) or a character beyond latin1'
  return null
}

function report(issues: ConfigIssue[], field: string, error: string): null {
  issues.push({ field, error })
  return null
}
