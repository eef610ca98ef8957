import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../../src/json.ts'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import type { Stage } from '../stage.ts'

export const title = 'a harness of one’s own, with its own tools and no directive, runs on a managed thread under a budget'

export async function play(stage: Stage): Promise<void> {
  const { say } = stage
  const row = await run(stage, 'sum', { max_turns: 5, on_exceeded: 'stop', max_cost_usd: 0.05 })
  assert.deepEqual([row.status, row.end_reason, row.turn], ['completed', 'done', 3])
  assert.deepEqual(row.result, { text: '6 times 7 plus 8 is 50.' })
  assert.equal(row.directive_id, 'calculator')
  const cost = Number(row.total_usage['cost_nano'])
  assert.ok(cost > 0 && cost < 50_000_000)
  say(`${row.thread_id}: ${JSON.stringify(row.result)} for $${(cost / 1e9).toFixed(4)} of $0.05`)
  const called = eventsOf(stage, row).filter(({ type }) => type === 'tool_call')
  assert.deepEqual(
    called.map(({ tool }) => tool),
    ['multiply', 'add'],
  )
  say('its transcript has every call: multiply, add')

  const poor = await run(stage, 'poor', { max_turns: 5, on_exceeded: 'stop', max_cost_usd: 0.001 })
  assert.deepEqual([poor.status, poor.end_reason, poor.total_usage['cost_nano']], ['error', 'cost_exceeded', 0])
  assert.equal(stage.model.requests().length, 3)
  say(`${poor.thread_id}: ended before its first call, which could have cost more than $0.001`)

  const short = await run(stage, 'short', { max_turns: 2, on_exceeded: 'stop' })
  assert.deepEqual([short.status, short.end_reason, short.turn], ['error', 'max_turns', 2])
  say(`${short.thread_id}: ended by max_turns, which its host keeps`)
}

async function run({ json, kiwi }: Stage, id: string, cost: JsonObject): Promise<ThreadRow> {
  const parameters = { thread_id: id, harness: 'calculator', initial_message: 'What is 6 times 7 plus 8?', cost }
  await json('execute', 'tool', 'spawn_thread', '--params', JSON.stringify(parameters))
  // It exits with 4 where a limit ended the thread.
  const { stdout } = await kiwi('wait', id, '-o', 'json')
  // One row for each thread that was named.
  return (JSON.parse(stdout) as readonly [ThreadRow])[0]
}

function eventsOf({ projectPath }: Stage, { transcript_path: path }: ThreadRow): readonly JsonObject[] {
  const lines = readFileSync(join(projectPath, path), 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as JsonObject)
}
