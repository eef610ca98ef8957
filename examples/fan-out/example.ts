import assert from 'node:assert/strict'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import type { Stage } from '../stage.ts'

export const title = 'a thread gives every part to a child of its own, all at once, and adds up their answers'

export async function play({ json, kiwi, say }: Stage): Promise<void> {
  const survey = (await json('run', 'survey')) as unknown as ThreadRow
  assert.equal(survey.status, 'completed')
  assert.match(JSON.stringify(survey.result), /1, 2 and 3 lines/u)
  const rows = (await json('ps', '--all')) as unknown as readonly ThreadRow[]
  const readers = rows.filter(({ parent_thread_id: parent }) => parent === survey.thread_id)
  assert.equal(readers.length, 3)
  assert.ok(readers.every(({ status }) => status === 'completed'))
  const spent = rows.reduce((sum, { total_usage: usage }) => sum + Number(usage['cost_nano']), 0)
  assert.ok(spent > 0 && spent <= 600_000_000)
  say(`${readers.length} readers; the tree cost $${(spent / 1e9).toFixed(4)} of $0.60`)
  const tree = await kiwi('ps', '--tree', '--all')
  assert.equal(tree.code, 0)
  for (const line of tree.stdout.trimEnd().split('\n')) say(line)
}
