import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { OWN_EVENT_TYPES } from '../../../../src/harness/safety/interventions/own-event-types.ts'
import { registryAction } from '../../../../src/harness/safety/interventions/registry-actions.ts'
import { directive, openWorkshop, says } from '../workshop.ts'

const ROOT = join(import.meta.dirname, '../../../..')
const DOCUMENT = readFileSync(join(ROOT, 'docs/threads.md'), 'utf8')

/** As events are written: `type: 'x', payload`, on one line or two; a type may be one of two. */
const WRITTEN = /\btype: (?:[\w.]+ \? '([a-z_]+)' : )?'([a-z_]+)',\s+payload\b/gu

/** Without `approval_…`, which is made of a status. */
function writtenTypes(): ReadonlySet<string> {
  const texts = globSync('src/{harness,threads}/**/*.ts', { cwd: ROOT }).map((file) => readFileSync(join(ROOT, file), 'utf8'))
  return new Set(
    texts.flatMap((text) => [...text.matchAll(WRITTEN)].flatMap(([, ...types]) => types.filter((type) => type !== undefined))),
  )
}

test('every type of event that the engine and the harness write is their own', () => {
  const written = writtenTypes()
  assert.ok(written.size > 25, `only ${written.size} types were found`)
  assert.deepEqual(
    [...written].filter((type) => !OWN_EVENT_TYPES.has(type)),
    [],
  )
})

test('docs/threads.md describes every event of the engine and the harness', () => {
  assert.deepEqual(
    [...OWN_EVENT_TYPES].filter((type) => !DOCUMENT.includes(`\`${type}\``)),
    [],
  )
})

test('nobody logs that a thread asked, passed a check or handed its work on', async (t) => {
  const shop = await openWorkshop(t, { directives: { work: directive('work') }, scenario: () => says('Done.') })
  const { thread_id: id } = await shop.run('work')
  const log = (type: string): Promise<unknown> =>
    registryAction(shop.services, { projectPath: shop.projectPath }, { action: 'log_event', thread_id: id, event_type: type })
  for (const type of ['approval_requested', 'check_passed', 'handoff'])
    await assert.rejects(log(type), { code: 'INVALID_REQUEST', message: /are written by the thread itself/u })
})
