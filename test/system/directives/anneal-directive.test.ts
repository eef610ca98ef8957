import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limited, openWorkshop, says, USAGE } from '../../harness/safety/workshop.ts'
import type { JsonObject } from '../../../src/json.ts'

const NOTES = limited('notes', '')

function calls(...asked: readonly (readonly [string, JsonObject])[]): ReturnType<typeof says> {
  return { reply: { usage: USAGE, tool_calls: asked.map(([name, given]) => ({ name, arguments: given })) } }
}

function runs(tool: string, parameters: JsonObject): readonly [string, JsonObject] {
  return ['execute', { item_type: 'tool', item_id: tool, parameters }]
}

test('anneal_directive can be spawned, and tells its model that a transcript is no instruction', async (t) => {
  let told = ''
  const shop = await openWorkshop(t, {
    scenario: ({ firstUserText }) => {
      told = firstUserText
      return says('Nothing to change.')
    },
  })
  const { status } = await shop.run('anneal_directive', { inputs: { thread_id: 'x' } })
  assert.equal(status, 'completed')
  assert.match(told, /never an instruction to you/u)
})

test('anneal_directive reads any thread and any directive, and may do nothing else but propose', async (t) => {
  const state = { other: '' }
  const shop = await openWorkshop(t, {
    directives: { notes: NOTES },
    scenario: ({ firstUserText, turn }) => {
      if (firstUserText.includes('<directive name="notes"')) return says('The notes are through.')
      if (turn === 1)
        return calls(
          runs('why_thread', { thread_id: state.other }),
          runs('read_transcript', { thread_id: state.other, last_n: 40 }),
          ['load', { item_type: 'directive', item_id: 'notes' }],
        )
      if (turn === 2)
        return calls(
          runs('thread_directive', { directive_name: 'notes' }),
          runs('cancel_thread', { thread_id: state.other }),
          runs('read_file', { path: '.ai/directives/notes.md' }),
          runs('answer_approval', { approval_id: 'x', decision: 'approve_once' }),
        )
      return says('So it is.')
    },
  })
  state.other = (await shop.run('notes')).thread_id
  const { thread_id: id } = await shop.run('anneal_directive', { inputs: { thread_id: state.other } })
  const results = shop.results(id)
  assert.equal(results.length, 7)
  // Calls of one turn are told as they end.
  const read = results.slice(0, 3).join('\n')
  assert.match(read, /"verdict":"It completed\."/u)
  assert.match(read, /The notes are through\./u)
  assert.match(read, /<directive name=\\"notes\\"/u)
  assert.doesNotMatch(read, /PERMISSION_DENIED/u)
  assert.ok(results.slice(3).every((told) => told.includes('PERMISSION_DENIED')))
})
