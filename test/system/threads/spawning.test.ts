import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetaToolResult } from '../../../src/kernel/contract.ts'
import { directive, openWorkshop, says } from '../../harness/safety/workshop.ts'

const WORK = { work: directive('work') }
const DONE = () => says('Done.')

function codeOf(answer: MetaToolResult): string {
  return answer.success ? 'success' : answer.error.code
}

test('spawning answers with a receipt when the row is durable', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const answer = await shop.call('thread_directive', { directive_name: 'work' })
  assert.ok(answer.success)
  const { thread_id: id, started_at: at, registry_id: row, ...rest } = answer['result'] as Record<string, string>
  assert.match(id ?? '', /^work_\d{8}_\d{6}$/)
  assert.ok(Number(row) > 0 && !Number.isNaN(Date.parse(at ?? '')))
  assert.deepEqual(rest, { success: true, status: 'spawned', transcript_path: `.ai/threads/${id}/transcript.jsonl` })
  await shop.until(id ?? '', 'completed')
})

test('two spawns in one second get different ids', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const ids = await Promise.all([shop.spawn('work'), shop.spawn('work'), shop.spawn('work')])
  assert.equal(new Set(ids).size, 3)
})

test('a thread id is trimmed, its spaces become underscores, and its case is kept', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const answer = await shop.call('spawn_thread', { directive_name: 'work', thread_id: '  My thread 1 ' })
  assert.equal(answer.success && (answer['result'] as { thread_id: string }).thread_id, 'My_thread_1')
})

test('an id with other characters is INVALID_THREAD_ID with what was received', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const answer = await shop.call('spawn_thread', { directive_name: 'work', thread_id: '../x y' })
  assert.equal(codeOf(answer), 'INVALID_THREAD_ID')
  assert.ok(!answer.success)
  assert.deepEqual([answer.error['received'], answer.error['sanitized']], ['../x y', '../x_y'])
})

test('a taken id is THREAD_ID_COLLISION with the id', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  await shop.call('spawn_thread', { directive_name: 'work', thread_id: 'same' })
  const answer = await shop.call('spawn_thread', { directive_name: 'work', thread_id: 'same' })
  assert.ok(!answer.success)
  assert.deepEqual([answer.error.code, answer.error['thread_id']], ['THREAD_ID_COLLISION', 'same'])
})

test('safety_harness and thread_directive take no thread_id', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  for (const tool of ['safety_harness', 'thread_directive']) {
    const answer = await shop.call(tool, { directive_name: 'work', thread_id: 'mine' })
    assert.equal(codeOf(answer), 'PARAMETER_VALIDATION_ERROR')
  }
  assert.equal((await shop.call('safety_harness', { directive_name: 'work' })).success, true)
})

test('a directive without cost, permissions, model and version is told what to add', async (t) => {
  const bare =
    '```xml\n<directive name="bare"><metadata><description>d</description><category>c</category><author>a</author></metadata><process><step name="s">x</step></process></directive>\n```\n'
  const shop = await openWorkshop(t, { directives: { bare }, scenario: DONE })
  const answer = await shop.call('thread_directive', { directive_name: 'bare' })
  assert.ok(!answer.success)
  assert.deepEqual([answer.error.code, answer.error['directive_name']], ['DIRECTIVE_INVALID', 'bare'])
  const errors = answer.error['validation_errors'] as { field: string; error: string }[]
  assert.deepEqual(
    errors.map(({ field }) => field),
    ['version', 'model', 'permissions', 'cost'],
  )
  assert.match(errors[3]?.error ?? '', /<cost><max_turns>/)
  assert.equal(shop.threads.list().length, 0)
})

test('an unknown price with max_cost_usd refuses to spawn', async (t) => {
  const capped = directive('capped', '<max_turns>1</max_turns><on_exceeded>stop</on_exceeded><max_cost_usd>1</max_cost_usd>')
  const shop = await openWorkshop(t, {
    directives: { ...WORK, capped },
    model: { price: null, model: 'nobody-knows' },
    scenario: DONE,
  })
  const answer = await shop.call('thread_directive', { directive_name: 'capped' })
  assert.ok(!answer.success)
  assert.deepEqual([answer.error.code, answer.error.cause?.code], ['DIRECTIVE_INVALID', 'UNKNOWN_PRICE'])
  const row = await shop.run('work')
  assert.deepEqual([row.end_reason, row.guarantee], ['done', 'advisory'])
})

test('an unknown directive, missing inputs and another project are SPAWN_FAILED with their cause', async (t) => {
  const asking = directive(
    'asking',
    undefined,
    '<inputs><input name="folder" type="string" required="true">Where.</input></inputs>',
  )
  const shop = await openWorkshop(t, { directives: { ...WORK, asking }, scenario: DONE })
  const unknown = await shop.call('thread_directive', { directive_name: 'nowhere' })
  assert.ok(!unknown.success)
  assert.deepEqual(
    [unknown.error.code, unknown.error['directive_name'], unknown.error.cause?.code],
    ['SPAWN_FAILED', 'nowhere', 'ITEM_NOT_FOUND'],
  )
  const missing = await shop.call('thread_directive', { directive_name: 'asking' })
  assert.ok(!missing.success)
  assert.deepEqual([missing.error.code, missing.error.cause?.code], ['SPAWN_FAILED', 'MISSING_INPUTS'])
  assert.equal((missing.error['missing_inputs'] as unknown[]).length, 1)
  const elsewhere = await shop.call('thread_directive', { directive_name: 'work', project_path: '/elsewhere' })
  assert.equal(codeOf(elsewhere), 'SPAWN_FAILED')
})

test('a harness that is none refuses the spawn', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, scenario: DONE })
  const answer = await shop.call('spawn_thread', { directive_name: 'work', thread_id: 'x', harness: 'read_file' })
  assert.equal(codeOf(answer), 'SPAWN_FAILED')
  assert.equal(shop.threads.list().length, 0)
})
