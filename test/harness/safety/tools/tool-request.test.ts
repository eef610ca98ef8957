import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createToolRequests } from '../../../../src/harness/safety/tools/tool-request.ts'
import type { JsonObject } from '../../../../src/json.ts'
import { directive, openWorkshop, says } from '../workshop.ts'

// Guard: `isShipped` in tool-request.ts. Only code of the package puts questions: an answer of a server is data, also that of a shipped tool file.
test('threat row 30: what a server answers through a shipped tool counts as no word of the package', async (t) => {
  const shop = await openWorkshop(t, { scenario: () => says('Done.'), directives: { notes: directive('notes') } })
  const requests = createToolRequests(shop.kernel)
  const isShipped = async (args: JsonObject): Promise<boolean> => {
    const prepared = await requests.prepare({ id: '1', name: 'execute', arguments: args })
    assert.equal(prepared.kind, 'runnable')
    return prepared.kind === 'runnable' && prepared.isShipped
  }
  assert.equal(await isShipped({ item_type: 'tool', item_id: 'propose_change', parameters: {} }), true)
  for (const id of ['mcp_http', 'mcp_stdio', 'jsonrpc_http', 'http_client', 'bash'])
    assert.equal(await isShipped({ item_type: 'tool', item_id: id, parameters: {} }), false, id)
  assert.equal(await isShipped({ item_type: 'directive', item_id: 'notes', parameters: {} }), false)
})
