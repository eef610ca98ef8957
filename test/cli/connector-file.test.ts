import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { connectorFile, type ConnectorRequest } from '../../src/cli/connector-file.ts'
import { KiwiError } from '../../src/kernel/errors.ts'

const PLAIN: ConnectorRequest = {
  name: 'db',
  target: ['https://example.org/mcp'],
  header: [],
  env: [],
  program: [],
  tools: [],
  capability: [],
}

const configOf = (request: Partial<ConnectorRequest>): unknown =>
  (parse(connectorFile({ ...PLAIN, ...request }, {}).text) as { readonly config: unknown }).config

test('a URL becomes a connector over HTTP, whose secrets are named and not written', () => {
  const { file, connectorId, text } = connectorFile(
    { ...PLAIN, bearerEnv: 'DB_TOKEN', header: ['X-Team: a: ${TEAM}'], era: 'modern' },
    { DB_TOKEN: 'sbp_0123456789' },
  )
  assert.deepEqual([connectorId, file], ['db_connector', '.ai/tools/mcp/db/db_connector.yaml'])
  assert.deepEqual(parse(text), {
    tool_id: 'db_connector',
    tool_type: 'mcp_connector',
    version: '1.0.0',
    executor_id: 'mcp_connector',
    description: 'Write the tools of the MCP server db as signed files, and bring them up to date.',
    effect: 'idempotent',
    requires: [{ cap: 'mcp.connect', scope: { server: 'db' } }],
    config: {
      mcp_url: 'https://example.org/mcp',
      auth: { type: 'bearer', token: '${DB_TOKEN}' },
      headers: { 'X-Team': 'a: ${TEAM}' },
      server: 'db',
      output_dir: '.ai/tools/mcp/db',
      tool_prefix: 'db_',
      era: 'modern',
    },
  })
})

test('a command becomes a connector over stdio', () => {
  const request = {
    target: ['npx', '-y', 'server', '--flag'],
    env: ['TOKEN', 'MODE=fast=1'],
    program: ['node_modules'],
    cwd: 'sub',
    tools: ['get_*', 'query'],
    capability: ['query=db.query,fs.read', 'get_*=db.query', 'query=db.migrate'],
    prefix: 'db_eu_',
  }
  assert.deepEqual(configOf(request), {
    command: 'npx',
    args: ['-y', 'server', '--flag'],
    env: { TOKEN: '${TOKEN}', MODE: 'fast=1' },
    cwd: 'sub',
    program: ['node_modules'],
    server: 'db',
    output_dir: '.ai/tools/mcp/db',
    tool_prefix: 'db_eu_',
    tools: ['get_*', 'query'],
    capabilities: { query: ['db.query', 'fs.read', 'db.migrate'], 'get_*': ['db.query'] },
  })
})

const REFUSED: readonly (readonly [what: string, request: Partial<ConnectorRequest>, code: string])[] = [
  ['no name of a server', { name: 'My Server' }, 'INVALID_REQUEST'],
  ['a header that is none', { header: ['X-Key'] }, 'INVALID_REQUEST'],
  ['the value of a token', { bearerEnv: 'sbp-0123' }, 'INVALID_REQUEST'],
  ['an option of commands for a URL', { env: ['A=b'] }, 'INVALID_REQUEST'],
  ['an option of URLs for a command', { target: ['node'], bearerEnv: 'A' }, 'INVALID_REQUEST'],
  ['a variable that is none', { target: ['node'], env: ['A-B=c'] }, 'INVALID_REQUEST'],
  ['capabilities without pattern', { capability: ['=db.query'] }, 'INVALID_REQUEST'],
  ['a pattern without capabilities', { capability: ['query='] }, 'INVALID_REQUEST'],
  ['the prefix of another server', { prefix: 'files_' }, 'INVALID_REQUEST'],
  ['a header of no known form', { header: ['A B: c'] }, 'INVALID_REQUEST'],
  ['a URL of another scheme', { target: ['ftp://example.org'] }, 'INVALID_REQUEST'],
  ['a token typed into a header', { header: ['Authorization: Bearer abcdefgh'] }, 'INVALID_REQUEST'],
  ['a key typed into a variable', { target: ['node'], env: ['API_KEY=abcdefgh1'] }, 'INVALID_REQUEST'],
]

for (const [what, request, code] of REFUSED)
  test(`${what} is refused`, () => {
    assert.throws(
      () => configOf(request),
      (error) => error instanceof KiwiError && error.code === code,
    )
  })

test('a secret that the shell put in is refused, wherever it stands', () => {
  const secret = 'ghp_0123456789abcdef'
  const places: readonly Partial<ConnectorRequest>[] = [
    { header: [`X-Key: ${secret}`] },
    { target: [`https://example.org/mcp?key=${secret}`] },
    { target: ['node', `--token=${secret}`] },
    { target: ['node'], env: [`TOKEN=${secret}`] },
  ]
  for (const request of places)
    assert.throws(() => connectorFile({ ...PLAIN, ...request }, { GITHUB_TOKEN: secret }), /The value of GITHUB_TOKEN would be/)
})

test('what is wrong is told by the name of its option, for there is no file yet', () => {
  assert.throws(() => configOf({ prefix: 'files_' }), /: --prefix must begin with "db_"/)
})
