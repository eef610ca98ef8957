import type { ConfigIssue } from '../primitives/http-client/config-reader.ts'
import type { McpAuth } from './contract.ts'

/** Names that the protocol or the connection itself says. */
const RESERVED: ReadonlySet<string> = new Set([
  'accept',
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// Anything above U+00FF would be cut to a byte, and U+010A to a line feed.
const VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/
const TOKEN = /^[\u0021-\u007e]+$/
const MAX_TOKEN_CHARACTERS = 16_384

/** Headers by lower-case name; those without a value are left out. What is wrong goes to `issues`, without the value. */
export function readHeaders(given: unknown, auth: McpAuth | null, issues: ConfigIssue[]): Readonly<Record<string, string>> {
  if (given === undefined || given === null) return {}
  if (typeof given !== 'object' || Array.isArray(given)) {
    issues.push({ field: 'headers', error: 'must be a map of names to texts' })
    return {}
  }
  const headers = new Map<string, string>()
  const authName = auth === null ? null : auth.type === 'bearer' ? 'authorization' : auth.name.toLowerCase()
  for (const [name, value] of Object.entries(given)) {
    if (value === null) continue
    const key = name.toLowerCase()
    const error = headerError(key, value) ?? (headers.has(key) || key === authName ? 'is given twice' : null)
    if (error !== null) issues.push({ field: `headers.${shown(name)}`, error })
    headers.set(key, String(value))
  }
  return Object.fromEntries(headers)
}

/** `{type: bearer, token}` or `{type: header, name, value}`; null and undefined are none. */
export function readAuth(given: unknown, issues: ConfigIssue[]): McpAuth | null {
  const report = (field: string, error: string): null => {
    issues.push({ field: field === '' ? 'rpc.auth' : `rpc.auth.${field}`, error })
    return null
  }
  if (given === undefined || given === null) return null
  if (!isRecord(given)) return report('', 'must be {type: bearer, token} or {type: header, name, value}')
  const { type } = given
  if (type !== 'bearer' && type !== 'header') return report('type', 'must be bearer or header')
  const fields = type === 'bearer' ? ['type', 'token'] : ['type', 'name', 'value']
  const unknown = Object.keys(given).find((field) => !fields.includes(field))
  if (unknown !== undefined) return report(shown(unknown), `is unknown; expected ${fields.join(', ')}`)
  if (type === 'bearer') {
    const { token } = given
    if (typeof token === 'string' && TOKEN.test(token) && token.length <= MAX_TOKEN_CHARACTERS) return { type, token }
    return report('token', `must be text of visible ASCII characters, of at most ${MAX_TOKEN_CHARACTERS}`)
  }
  const { name, value } = given
  const error = typeof name === 'string' ? headerError(name.toLowerCase(), value) : 'must name a header'
  if (typeof name !== 'string' || typeof value !== 'string' || error !== null)
    return report('', error === null ? 'must have a name and a value that are texts' : `: the header ${error}`)
  return { type, name, value }
}

function headerError(name: string, value: unknown): string | null {
  if (!NAME.test(name)) return 'is not a header name'
  if (RESERVED.has(name)) return 'belongs to the protocol and cannot be set'
  if (!['string', 'number', 'boolean'].includes(typeof value)) return 'must be text, a number or a boolean'
  const text = String(value)
  return VALUE.test(text) ? null : 'must not hold control characters or characters beyond latin1'
}

function shown(name: string): string {
  return /^[\w.-]{1,60}$/.test(name) ? name : JSON.stringify(name.slice(0, 60))
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
