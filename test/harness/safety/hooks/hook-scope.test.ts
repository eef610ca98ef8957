import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../../../src/json.ts'
import { HOOK_SCOPE } from '../../../../src/kernel/items/directive-hooks.ts'
import { says } from '../workshop.ts'
import { decides, finish, guard, guarded, hook, hookThreads, openGuarded } from './hooked.ts'

const LIMITS =
  '<max_turns>20</max_turns><max_total_tokens>100000</max_total_tokens><max_duration_seconds>600</max_duration_seconds><on_exceeded>stop</on_exceeded>'

test('a hook is told what conditions may name, and nothing else', async (t) => {
  const roots = [...HOOK_SCOPE.keys()]
  const declared = roots.map((root) => `<input name="${root}"/>`).join('')
  const inputs = Object.fromEntries(roots.map((root) => [root, `\${${root}}`]))
  const shop = await openGuarded(t, hook('event.name == "before_step" and event.detail.turn == 1', 'guard', inputs), {
    cost: LIMITS,
    directives: { guard: guard('guard', undefined, `<inputs>${declared}</inputs>`) },
    scenario: guarded(
      () => says('Done.'),
      () => decides('continue'),
    ),
  })
  const { thread_id: id } = await finish(shop)
  const [child] = hookThreads(shop, id)
  const start = shop.store.statement('SELECT start_json FROM thread_starts WHERE thread_id = ?').get(child?.thread_id ?? '')
  const given = (JSON.parse(String(start?.['start_json'])) as { inputs: Record<string, string> }).inputs
  const told = (root: string): readonly string[] => Object.keys(JSON.parse(given[root] ?? '{}') as JsonObject)
  for (const root of roots.filter((name) => name !== 'limits')) assert.deepEqual(told(root), HOOK_SCOPE.get(root), root)
  // A limit that there is not is not told.
  assert.ok(told('limits').includes('max_duration_seconds'))
  assert.deepEqual(
    told('limits').filter((name) => !HOOK_SCOPE.get('limits')?.includes(name)),
    [],
  )
})
