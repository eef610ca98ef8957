import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directive, executes, openWorkshop, says } from './workshop.ts'

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
      if (is('parent') && turn === 2) return executes(['thread_registry', { action: 'query', limit: 1, order_by: 'created_at' }])
      return says('Done.')
    },
  })
  await shop.until(await shop.spawn('root'), 'completed')
  const [parent] = shop.threads.list({ directive_id: 'parent' })
  assert.ok(parent !== undefined)
  const found = JSON.parse(shop.results(parent.thread_id)[1] ?? '{}') as { threads: { parent_thread_id: string }[] }
  assert.deepEqual(
    found.threads.map(({ parent_thread_id: above }) => above),
    [parent.thread_id],
  )
})

function spawn(name: string): readonly [string, { readonly directive_name: string }] {
  return ['thread_directive', { directive_name: name }]
}
