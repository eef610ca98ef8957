import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import type { Stage } from '../stage.ts'

export const title = 'a directive runs in the background on a thread of its own, and is believed only when its check holds'

export async function play({ projectPath, json, say }: Stage): Promise<void> {
  // The receipt of a spawn: the row is durable, the run goes on in the host.
  const receipt = (await json('run', 'summarise_notes', '--detach')) as { readonly thread_id: string }
  say(`spawned ${receipt.thread_id}`)
  const [row] = (await json('wait', receipt.thread_id)) as unknown as readonly ThreadRow[]
  assert.equal(row?.status, 'completed')
  assert.equal(row.guarantee, 'hard')
  assert.match(readFileSync(join(projectPath, 'summary.md'), 'utf8'), /do not fly[^]*berries/u)
  assert.ok(existsSync(join(projectPath, row.transcript_path)))
  say(`completed in ${row.turn} turns; its transcript is ${row.transcript_path}`)
}
