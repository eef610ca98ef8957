import assert from 'node:assert/strict'
import { test } from 'node:test'
import { registryAction } from '../../../../src/harness/safety/interventions/registry-actions.ts'
import { directive, executes, openWorkshop, says } from '../workshop.ts'

test("a thread's query finds its own children however many others its tree has", async (t) => {
  const shop = await openWorkshop(t, {
    directives: { root: directive('root'), parent: directive('parent'), child: directive('child') },
    scenario: ({ firstUserText, turn, results }) => {
      const is = (name: string): boolean => firstUserText.includes(`<directive name="${name}"`)
      if (is('root') && turn === 1) return executes(...['parent', 'child', 'child'].map((name) => spawn(name)))
      if (is('root') && turn === 2) {
        const ids = results.map(({ content }) => (JSON.parse(content) as { thread_id: string }).thread_id)
        return executes(['wait_thread', { thread_ids: ids }])
      }
      if (is('parent') && turn === 1) return executes(spawn('child'))
      return says('Done.')
    },
  })
  await shop.until(await shop.spawn('root'), 'completed')
  const [parent] = shop.threads.list({ directive_id: 'parent' })
  assert.ok(parent !== undefined)
  const context = { projectPath: shop.projectPath, __thread_id: parent.thread_id }
  const found = await registryAction(shop.services, context, { action: 'query', limit: 1, order_by: 'created_at' })
  assert.deepEqual('threads' in found && found.threads.map(({ parent_thread_id: above }) => above), [parent.thread_id])
})

function spawn(name: string): readonly [string, { readonly directive_name: string }] {
  return ['thread_directive', { directive_name: name }]
}
