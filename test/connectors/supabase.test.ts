import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { errorOf, valueOf } from '../kernel/project.ts'
import { type ConnectedProject, createConnectedProject, failureOf, outcomes } from './connected-project.ts'
import { type StandIn, startStandIn } from './stand-in-server.ts'

const SHIPPED = join(import.meta.dirname, '../../system/tools/connectors/supabase_connector.yaml')
const TOKEN = 'sbp_0123456789abcdef'
const TOOLS = [
  { name: 'execute_sql', inputSchema: { properties: { query: { type: 'string' } }, required: ['query'] } },
  { name: 'apply_migration', inputSchema: { properties: { name: { type: 'string' }, query: { type: 'string' } } } },
  { name: 'list_tables', annotations: { readOnlyHint: true } },
  { name: 'get_logs', annotations: { readOnlyHint: true } },
]

/** The shipped file in a project of its own, with the stand-in in place of the real server. */
async function setup(t: TestContext): Promise<{ readonly project: ConnectedProject; readonly server: StandIn }> {
  const server = await startStandIn(TOOLS, { token: TOKEN })
  t.after(async () => await server[Symbol.asyncDispose]())
  const project = await createConnectedProject(t)
  const text = await readFile(SHIPPED, 'utf8')
  const copy = text.replace('https://mcp.supabase.com/mcp', server.url).replace('[1000, 4000]', '[1, 1]')
  await project.item('tools/connectors/supabase_connector.yaml', copy)
  return { project, server }
}

test('the shipped connector makes tools that require what they do to a database', async (t) => {
  const { project, server } = await setup(t)
  project.env.set('SUPABASE_ACCESS_TOKEN', TOKEN)
  assert.deepEqual(
    outcomes(await project.run('supabase_connector')),
    TOOLS.map(({ name }) => `${name} created`),
  )
  const tools = await project.connectors.tools('supabase_connector')
  assert.deepEqual(
    tools.map(({ file, requires }) => [file, requires]),
    [
      ['.ai/tools/mcp/supabase/supabase_apply_migration.yaml', ['mcp.supabase', 'db.migrate']],
      ['.ai/tools/mcp/supabase/supabase_execute_sql.yaml', ['mcp.supabase', 'db.query']],
      ['.ai/tools/mcp/supabase/supabase_get_logs.yaml', ['mcp.supabase']],
      ['.ai/tools/mcp/supabase/supabase_list_tables.yaml', ['mcp.supabase', 'db.query']],
    ],
  )
  assert.match(JSON.stringify(valueOf(await project.execute('supabase_execute_sql', { query: 'select 1' }))), /select 1/)
  assert.deepEqual(new Set(server.authorizations), new Set([`Bearer ${TOKEN}`]))
})

test('without its token in the environment it asks for nothing', async (t) => {
  const { project, server } = await setup(t)
  assert.match((await failureOf(project.run('supabase_connector'))).message, /SUPABASE_ACCESS_TOKEN/)
  assert.deepEqual(server.authorizations, [])
})

for (const status of [401, 403])
  test(`an answer of ${status} is told at once, and nothing is tried again or written`, async (t) => {
    const { project, server } = await setup(t)
    project.env.set('SUPABASE_ACCESS_TOKEN', 'sbp_wrong_wrong_wrong')
    server.refuse = { status, times: 100 }
    const { code, context } = await failureOf(project.run('supabase_connector'))
    assert.equal(code, 'MCP_CONNECTION_FAILED')
    assert.equal(context.retryable, false)
    assert.equal(context.facts?.['endpoint'], server.url)
    assert.equal(typeof context.facts['remediation'], 'string')
    assert.doesNotMatch(JSON.stringify(context), /sbp_wrong/)
    assert.deepEqual(await project.files('supabase'), [])
    assert.equal(server.authorizations.length, 1)
    const executed = await project.kernel.execute(
      { item_type: 'tool', item_id: 'supabase_connector' },
      { services: { connectors: project.connectors } },
    )
    assert.equal(errorOf(executed).code, 'MCP_CONNECTION_FAILED')
  })

test('a server that is not there for a moment is asked again, as the file says', async (t) => {
  const { project, server } = await setup(t)
  project.env.set('SUPABASE_ACCESS_TOKEN', TOKEN)
  server.refuse = { status: 503, times: 1 }
  assert.equal((await project.run('supabase_connector')).length, TOOLS.length)
  server.refuse = { status: 503, times: 1_000 }
  // Another process would have no session to this server yet.
  project.env.set('SUPABASE_ACCESS_TOKEN', `${TOKEN}2`)
  const { code, context } = await failureOf(project.run('supabase_connector'))
  assert.deepEqual([code, context.retryable], ['MCP_CONNECTION_FAILED', true])
})
