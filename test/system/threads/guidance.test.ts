import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openWorkshop, says, SYSTEM } from '../../harness/safety/workshop.ts'

const AGENTS = readFileSync(join(SYSTEM, 'AGENTS.md'), 'utf8')

test('the directive run_directive is available and gives its steps', async (t) => {
  const shop = await openWorkshop(t, { scenario: () => says('') })
  const item = await shop.kernel.find('directive', 'run_directive')
  assert.deepEqual([item.state.kind, item.space, item.category], ['available', 'system', 'core'])
  const answer = await shop.kernel.execute({
    item_type: 'directive',
    item_id: 'run_directive',
    parameters: { directive_name: 'x' },
  })
  assert.ok(answer.success)
  assert.equal(answer['can_spawn_thread'], false)
})

test('no tool is named run_directive', async (t) => {
  const shop = await openWorkshop(t, { scenario: () => says('') })
  await assert.rejects(shop.kernel.find('tool', 'run_directive'), { code: 'ITEM_NOT_FOUND' })
})

test('every tool that the system prompt names exists', async (t) => {
  const shop = await openWorkshop(t, { scenario: () => says('') })
  const named = new Set(
    [...AGENTS.matchAll(/`([a-z]+_(?:thread|threads|message|transcript|registry|directive|file))\b/g)].map(([, id]) => id ?? ''),
  )
  assert.ok(named.size >= 8, [...named].join(' '))
  for (const id of named) assert.equal((await shop.kernel.find('tool', id)).state.kind, 'available', id)
})

test('every help topic that the system prompt names can be read', async (t) => {
  const shop = await openWorkshop(t, { scenario: () => says('') })
  const topics = /explanations: ([a-z, -]+)/.exec(AGENTS)?.[1]?.split(', ') ?? []
  assert.equal(topics.length, 7)
  for (const topic of topics) assert.equal((await shop.kernel.help({ topic: topic.trim() })).success, true, topic)
})

test('the system prompt stays small', () => {
  assert.ok(Buffer.byteLength(AGENTS) < 5_000, String(Buffer.byteLength(AGENTS)))
})
