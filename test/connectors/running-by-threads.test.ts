import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operatorGrant } from '../../src/capabilities/gate/call-grant.ts'
import { errorOf } from '../kernel/project.ts'
import { createConnectedProject } from './connected-project.ts'
import { startStandIn } from './stand-in-server.ts'

// Fails when mcp_connector.ts does not require tool.modify, or the list is not asked for as the caller.
test('who runs a connector needs its server, tool.modify, and the tool that asks the server', async (t) => {
  const server = await startStandIn([{ name: 'query' }])
  t.after(async () => await server[Symbol.asyncDispose]())
  const denied = new Set<string>()
  const project = await createConnectedProject(t, {
    authorize: async ({ itemId, requires, chainRequires }) => {
      const ids = [itemId, ...requires.map((one) => (typeof one === 'string' ? one : one.cap))]
      const missing = ids.filter((one) => denied.has(one))
      if (missing.length > 0) return { permitted: false, missing, suggestion: 'Ask for it.' }
      return { permitted: true, grant: operatorGrant(chainRequires) }
    },
  })
  const id = await project.connector('db', { mcp_url: server.url })
  const execute = async () =>
    await project.kernel.execute(
      { item_type: 'tool', item_id: id },
      { services: { connectors: project.connectors }, __thread_id: 'one' },
    )
  for (const capability of ['mcp.connect', 'tool.modify', 'mcp_http', 'net.http']) {
    denied.clear()
    denied.add(capability)
    const { code, ...error } = errorOf(await execute())
    assert.deepEqual([code, error['missing']], ['PERMISSION_DENIED', [capability]])
    assert.deepEqual(await project.files('db'), ['db_connector.yaml'])
  }
  assert.deepEqual(server.authorizations, [])
  denied.clear()
  assert.equal((await execute()).success, true)
  assert.deepEqual(await project.files('db'), ['db_connector.yaml', 'db_query.yaml'])
})
