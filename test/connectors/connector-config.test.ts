import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertDistinct, categoryOf, endpointOf, readConnectorConfig } from '../../src/connectors/connector-config.ts'
import type { JsonObject } from '../../src/json.ts'
import { KiwiError } from '../../src/kernel/errors.ts'

const HTTP = { mcp_url: 'https://example.org/mcp' }
const STDIO = { command: 'node' }

/** The wrong fields that the error names. */
function wrongFields(config: JsonObject, connectorId = 'db_connector'): readonly string[] {
  try {
    readConnectorConfig(connectorId, config)
  } catch (error) {
    assert.ok(error instanceof KiwiError)
    assert.equal(error.code, 'CONFIG_VALIDATION_ERROR')
    return (error.context.failedAt?.validation_errors ?? []).map(({ field }) => field)
  }
  return []
}

test('defaults come from the id of the connector', () => {
  assert.deepEqual(readConnectorConfig('db_connector', HTTP), {
    server: 'db',
    transport: { kind: 'http', mcpUrl: 'https://example.org/mcp', headers: {}, auth: null },
    era: null,
    outputDir: '.ai/tools/mcp/db',
    toolPrefix: 'db_',
    capabilities: [],
    tools: null,
  })
  const { transport, server } = readConnectorConfig('my-tools', STDIO)
  assert.equal(server, 'my-tools')
  assert.deepEqual(transport, { kind: 'stdio', command: 'node', args: [], env: {}, cwd: '.', program: [] })
})

test('everything that may be said is read as it is written', () => {
  const config = readConnectorConfig('db_connector', {
    mcp_url: '${DB_URL:-https://example.org}/mcp?x=${X}',
    headers: { 'X-Team': 'a ${TEAM}' },
    auth: { type: 'header', name: 'X-Key', value: '${KEY}' },
    server: 'data',
    era: 'modern',
    output_dir: '.ai/tools/remote/data/',
    tool_prefix: 'data_eu_',
    tools: ['get_*', 'query'],
    capabilities: { query: ['db.query', { cap: 'fs.read', scope: { path: '{file}' } }], '*': ['db.migrate'] },
    timeout_ms: 90_000,
    retry: { max_attempts: 2 },
  })
  assert.deepEqual(
    [config.server, config.toolPrefix, config.outputDir, config.era],
    ['data', 'data_eu_', '.ai/tools/remote/data', 'modern'],
  )
  assert.equal(categoryOf(config), 'remote/data')
  assert.deepEqual(config.capabilities, [
    { pattern: 'query', requires: ['db.query', { cap: 'fs.read', scope: { path: '{file}' } }] },
    { pattern: '*', requires: ['db.migrate'] },
  ])
})

const WRONG: readonly (readonly [what: string, config: JsonObject, fields: readonly string[]])[] = [
  ['neither a URL nor a command', {}, ['config.mcp_url']],
  ['both', { ...HTTP, ...STDIO }, ['config.mcp_url']],
  ['a field that nothing reads', { ...HTTP, mcp_tool: 'x' }, ['config.mcp_tool']],
  ['a field of the other kind', { ...HTTP, args: [] }, ['config.args']],
  ['a field of the other kind', { ...STDIO, auth: { type: 'bearer', token: 'x' } }, ['config.auth']],
  ['a URL of another protocol', { mcp_url: 'file:///etc/passwd' }, ['config.mcp_url']],
  ['no URL', { mcp_url: 'example.org' }, ['config.mcp_url']],
  ['credentials in a URL', { mcp_url: 'https://me:secret@example.org/mcp' }, ['config.mcp_url']],
  ['a line feed in a URL', { mcp_url: 'https://example.org/\nx' }, ['config.mcp_url']],
  ['a parameter', { mcp_url: 'https://{host}/mcp' }, ['config.mcp_url']],
  ['a parameter deep inside', { ...STDIO, env: { A: '{b}' } }, ['config.env']],
  ['no name of a header', { ...HTTP, headers: { 'A B': 'x' } }, ['config.headers.A B']],
  ['a header that is no text', { ...HTTP, headers: { A: 1 } }, ['config.headers.A']],
  ['an unknown type of auth', { ...HTTP, auth: { type: 'oauth' } }, ['config.auth.type']],
  ['bearer without token', { ...HTTP, auth: { type: 'bearer' } }, ['config.auth.token']],
  ['a field of another auth', { ...HTTP, auth: { type: 'bearer', token: 'x', name: 'y' } }, ['config.auth.name']],
  ['arguments that are no list', { ...STDIO, args: 'x' }, ['config.args']],
  ['a NUL in an argument', { ...STDIO, args: ['a\0b'] }, ['config.args']],
  ['no name of a variable', { ...STDIO, env: { 'A-B': 'x' } }, ['config.env.A-B']],
  ['a folder outside', { ...STDIO, cwd: '../x' }, ['config.cwd']],
  ['a program outside', { ...STDIO, program: ['/usr/lib'] }, ['config.program[0]']],
  ['an unknown era', { ...HTTP, era: '2026' }, ['config.era']],
  ['the folder of all tools', { ...HTTP, output_dir: '.ai/tools' }, ['config.output_dir']],
  ['another folder', { ...HTTP, output_dir: '.ai/directives/x' }, ['config.output_dir']],
  ['a folder outside of it', { ...HTTP, output_dir: '.ai/tools/../../x' }, ['config.output_dir']],
  ['a hidden folder', { ...HTTP, output_dir: '.ai/tools/.x' }, ['config.output_dir']],
  ['a folder of packages', { ...HTTP, output_dir: '.ai/tools/node_modules' }, ['config.output_dir']],
  ['the prefix of another server', { ...HTTP, tool_prefix: 'files_' }, ['config.tool_prefix']],
  ['a prefix that is only alike', { ...HTTP, tool_prefix: 'db' }, ['config.tool_prefix']],
  ['a prefix in other letters', { ...HTTP, tool_prefix: 'db_Ä' }, ['config.tool_prefix']],
  ['a pattern with a star in the middle', { ...HTTP, tools: ['a*b'] }, ['config.tools']],
  ['capabilities that are no list', { ...HTTP, capabilities: { x: 'db.query' } }, ['config.capabilities.x']],
  ['what is no capability', { ...HTTP, capabilities: { x: ['query'] } }, ['config.capabilities.x']],
  [
    'a scope that is no text',
    { ...HTTP, capabilities: { x: [{ cap: 'fs.read', scope: { path: 1 } }] } },
    ['config.capabilities.x'],
  ],
  ['no time', { ...HTTP, timeout_ms: -1 }, ['config.timeout_ms']],
  ['several', { mcp_url: 'x', era: 'y', tools: 'z' }, ['config.mcp_url', 'config.era', 'config.tools']],
]

for (const [what, config, fields] of WRONG)
  test(`a connector file with ${what} is refused, naming ${fields.join(', ')}`, () => {
    assert.deepEqual(wrongFields(config), fields)
  })

test('an id that is no name of a server asks for one', () => {
  assert.deepEqual(wrongFields(HTTP, 'My_connector'), ['config.server'])
})

test('an endpoint is told without query and credentials, and a command without its last arguments', () => {
  const { transport } = readConnectorConfig('db_connector', { mcp_url: 'https://example.org/mcp?key=${KEY}' })
  assert.equal(endpointOf({ transport }), 'https://example.org/mcp')
  const command = readConnectorConfig('db_connector', { command: 'npx', args: ['-y', 'server', 'a', 'b'] })
  assert.equal(endpointOf(command), 'npx -y server a …')
})

// Fails when `areAmbiguous` compares equal names only.
test('threat row 32: names of servers that begin alike are ambiguous, and others are not', () => {
  const clash = (server: string, other: string): boolean => {
    try {
      assertDistinct({ connectorId: 'one', server }, [{ connectorId: 'two', server: other }])
      return false
    } catch {
      return true
    }
  }
  for (const [one, other] of [
    ['a', 'a'],
    ['a', 'a_b'],
    ['a_b', 'a'],
    ['a', 'a.b'],
    ['a.b', 'a'],
  ] as const)
    assert.equal(clash(one, other), true, `${one} ${other}`)
  for (const [one, other] of [
    ['a', 'ab'],
    ['a', 'a-b'],
    ['git', 'github'],
    ['a_b', 'a_c'],
  ] as const)
    assert.equal(clash(one, other), false, `${one} ${other}`)
})

test('an argument of a command that may be a credential is not shown, nor what follows it', () => {
  // Fails when the endpoint is made of all arguments as they are.
  const transport = { kind: 'stdio', command: 'serve', args: ['--token', 'abc'], env: {}, cwd: '.', program: [] } as const
  assert.equal(endpointOf({ transport }), 'serve …')
})
