import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CALL_NANO, directive, executes, openWorkshop, runtimeTool, says, USAGE, writes } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'
import type { Reply, ScenarioFunction } from '../../../../src/scripted-model/scenario.ts'
import type { ThreadRow } from '../../../../src/threads/threads-client.ts'

const WORK = { work: directive('work', '<max_turns>20</max_turns><on_exceeded>stop</on_exceeded><max_cost_usd>1</max_cost_usd>') }
const READ: Reply = executes(['read_file', { path: 'a.txt' }]).reply
const FILES = { 'a.txt': 'hello' }

test('a stream cut behind a closed call runs the call, drops the open one and tells the model', async (t) => {
  const notes: string[] = []
  const shop = await openWorkshop(t, {
    directives: WORK,
    files: FILES,
    scenario: ({ turn, lastUserText }) => {
      notes.push(lastUserText)
      if (turn > 1) return says('Done.')
      const two: Reply = { usage: USAGE, tool_calls: [...(READ.tool_calls ?? []), ...(READ.tool_calls ?? [])] }
      // message_start, then start, delta(s) and stop of the first call; the second is open when the connection breaks.
      return { reply: { ...two, piece_chars: 1000 }, fault: { kind: 'cut', after_events: 7 } }
    },
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const [error] = shop.events(row.thread_id, 'stream_error')
  assert.equal(error?.payload['code'], 'STREAM_INCOMPLETE')
  assert.match(JSON.stringify(error?.payload['completed_tools']), /^\["execute:toolu_/)
  assert.match(JSON.stringify(error?.payload['discarded_partial']), /"tool_name":"execute"/)
  assert.equal(shop.events(row.thread_id, 'tool_result').length, 1)
  assert.match(notes.at(-1) ?? '', /1 complete tool call had arrived.*does not run/s)
})

test('a stream cut in its first call is tried again, and its event names what was dropped', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: (_conversation, { seq }) =>
      seq === 1 ? { reply: { ...READ, piece_chars: 20 }, fault: { kind: 'cut', after_events: 4 } } : says('Done.'),
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const [error] = shop.events(row.thread_id, 'stream_error')
  assert.deepEqual([error?.payload['code'], error?.payload['completed_tools']], ['STREAM_INCOMPLETE', []])
  assert.match(JSON.stringify(error?.payload['discarded_partial']), /"tool_name":"execute","bytes_collected":\d+/)
})

test('a cut answer is charged at the most that it can have cost', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: ({ turn, messageCount }) =>
      turn === 1 && messageCount === 1
        ? { reply: { text: 'Half of it', usage: USAGE, piece_chars: 4 }, fault: { kind: 'cut', after_events: 4 } }
        : says('Done.'),
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const [cut] = shop.events(row.thread_id, 'cost_update')
  // 100 input tokens as reported, and the 1,000 output tokens that were asked for.
  assert.equal(cut?.payload['cost_usd'], (100 * 1000 + 1000 * 10_000) / 1e9)
  assert.equal(row.total_usage['cost_nano'], 10_100_000 + CALL_NANO)
})

test('what a sink of the stream lost is told by an event, and the thread goes on', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    files: {
      '.ai/tools/lossy.yaml': `tool_id: lossy
tool_type: http
version: '1.0.0'
executor_id: anthropic_messages
description: A model endpoint whose stream goes to a socket that nobody listens on.
effect: idempotent
config: { mode: stream, body: { stream: true }, stream: { destinations: [{ type: websocket_sink, url: 'ws://127.0.0.1:1', config: { reconnect_attempts: 0, buffer_on_disconnect: false } }, { type: return }] } }
parameters:
  - { name: thread_id, type: string, required: true }
`,
    },
    model: { tool: 'lossy' },
    scenario: () => says('Done.'),
  })
  await shop.kernel.sign({ item_type: 'tool', item_id: 'lossy' })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const [loss, ...others] = shop.events(row.thread_id, 'sink_loss')
  assert.deepEqual([loss?.payload['sink'], others.length], ['websocket_sink', 0])
  assert.ok(Number(loss?.payload['lost']) > 3)
  assert.match(JSON.stringify(loss?.payload), /ECONNREFUSED/)
})

test('a text that was cut off stays in the conversation and the model goes on', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: ({ turn }) =>
      turn === 1
        ? { reply: { text: 'The first half', usage: USAGE, piece_chars: 3 }, fault: { kind: 'cut', after_events: 5 } }
        : says('and the second.'),
  })
  const row = await shop.run('work')
  assert.deepEqual(row.result, { text: 'and the second.' })
  assert.equal(row.turn, 2)
})

test('a stream of which nothing usable came is tried again in the same turn', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: (_conversation, { seq }) => ({
      ...says('Done.'),
      ...(seq <= 2 ? { fault: { kind: 'cut', after_events: 1 } as const } : {}),
    }),
  })
  const row = await shop.run('work')
  assert.deepEqual([row.end_reason, row.turn], ['done', 1])
  const errors = shop.events(row.thread_id, 'stream_error').map(({ payload }) => payload['attempt'])
  assert.deepEqual(errors, [1, 2])
})

test('a model that never answers usably ends the thread with stream_failed', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: () => ({ ...says('Never.'), fault: { kind: 'error_event', after_events: 1 } }),
  })
  const row = await shop.run('work')
  assert.deepEqual([row.status, row.end_reason], ['error', 'stream_failed'])
  assert.equal((row.result as { error_code: string }).error_code, 'OVERLOADED')
})

test('an error that no retry mends ends the thread at once and costs nothing', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: () => ({ ...says('Never.'), fault: { kind: 'status', status: 400, message: 'bad request' } }),
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'stream_failed')
  assert.equal(shop.model.requests().length, 1)
  assert.equal(row.total_usage['cost_nano'], 0)
})

test('an answer at its output limit is continued twice and then ends with max_tokens', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: () => ({ reply: { text: 'endless', usage: USAGE, stop_reason: 'max_tokens' } }),
  })
  const row = await shop.run('work')
  assert.deepEqual([row.end_reason, row.turn], ['max_tokens', 3])
})

test('empty answers and refusals are bounded', async (t) => {
  const empty = await openWorkshop(t, { directives: WORK, scenario: () => ({ reply: { usage: USAGE } }) })
  assert.deepEqual([(await empty.run('work')).end_reason, empty.model.requests().length], ['stream_failed', 3])
  const refusing = await openWorkshop(t, {
    directives: WORK,
    scenario: () => ({ reply: { text: 'I will not.', usage: USAGE, stop_reason: 'refusal' } }),
  })
  const row = await refusing.run('work')
  assert.deepEqual([row.end_reason, (row.result as { message: string }).message], ['stream_failed', 'The model refused.'])
})

/** Leaves a mark, then hangs until its host ends; a second run would return at once. */
const ACT = `import fs from 'node:fs'
${runtimeTool(
  `const file = context.projectPath + '/marks/acts'
  fs.mkdirSync(context.projectPath + '/marks', { recursive: true })
  const first = !fs.existsSync(file)
  fs.appendFileSync(file, 'x')
  if (first) await new Promise((resolve) => context.signal.addEventListener('abort', resolve))
  return 'acted'`,
  writes('marks/**', 'EFFECT'),
)}`

async function runAcrossRestart(shop: Workshop): Promise<ThreadRow> {
  const id = await shop.spawn('work')
  const deadline = performance.now() + 10_000
  while (!existsSync(`${shop.projectPath}/marks/acts`) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 2))
  await shop.restart()
  return shop.until(id, 'completed', 'error')
}

const actOnce: ScenarioFunction = ({ turn }) => (turn === 1 ? executes(['act', {}]) : says('Done.'))

test('a step that runs once and lost its host is reported as unknown and not repeated', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, tools: { act: ACT.replace('EFFECT', 'once') }, scenario: actOnce })
  const row = await runAcrossRestart(shop)
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  assert.match(shop.results(row.thread_id)[0] ?? '', /outcome of this call is unknown.*Check what happened/s)
  assert.equal(readFileSync(`${shop.projectPath}/marks/acts`, 'utf8'), 'x')
})

test('after a restart a repeatable step runs again, and the recorded model call neither runs nor costs again', async (t) => {
  const shop = await openWorkshop(t, { directives: WORK, tools: { act: ACT.replace('EFFECT', 'pure') }, scenario: actOnce })
  const row = await runAcrossRestart(shop)
  assert.deepEqual([row.end_reason, row.turn], ['done', 2])
  assert.deepEqual(shop.results(row.thread_id), ['acted'])
  assert.equal(readFileSync(`${shop.projectPath}/marks/acts`, 'utf8'), 'xx')
  assert.equal(shop.model.requests().length, 2)
  assert.equal(row.total_usage['cost_nano'], 2 * CALL_NANO)
})
