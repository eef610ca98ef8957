import assert from 'node:assert/strict'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import type { Stage } from '../stage.ts'

export const title = 'a thread spawns a thread, waits for it without a turn, and gets its result as data'

export async function play({ json, kiwi, say }: Stage): Promise<void> {
  const editor = (await json('run', 'editor')) as unknown as ThreadRow
  assert.equal(editor.status, 'completed')
  assert.match(JSON.stringify(editor.result), /drafts\/kiwi\.md can be printed/u)
  const rows = (await json('ps', '--all')) as unknown as readonly ThreadRow[]
  const writer = rows.find(({ directive_id: id }) => id === 'writer')
  assert.equal(writer?.parent_thread_id, editor.thread_id)
  const { outputs } = writer.result as { readonly outputs?: unknown }
  assert.deepEqual(outputs, { path: 'drafts/kiwi.md' })
  say(`${editor.thread_id} waited in ${editor.turn} turns for ${writer.thread_id}`)
  assert.match((await kiwi('show', writer.thread_id)).stdout, /denied\s+\S+\s+read_file/u)
  say('the child could not read what its parent may not: its token is what both allow')
}
