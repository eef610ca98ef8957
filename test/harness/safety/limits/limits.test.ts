import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALL_NANO, directive, executes, openWorkshop, says, USAGE } from '../workshop.ts'
import type { ScenarioFunction } from '../../../../src/scripted-model/scenario.ts'

/** Reads another page each turn, so that nothing looks like a loop. */
const busy: ScenarioFunction = ({ turn }) => executes(['read_file', { path: 'a.txt', offset_line: turn }])
const FILES = { 'a.txt': 'one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n' }

function costs(inside: string, onExceeded = 'stop', turns = 50): Record<string, string> {
  return { work: directive('work', `<max_turns>${turns}</max_turns><on_exceeded>${onExceeded}</on_exceeded>${inside}`) }
}

test('max_turns ends the thread after exactly so many model calls', async (t) => {
  const shop = await openWorkshop(t, { directives: costs('', 'stop', 3), files: FILES, scenario: busy })
  const row = await shop.run('work')
  assert.deepEqual([row.status, row.end_reason, row.turn], ['error', 'max_turns', 3])
  assert.equal(shop.model.requests().length, 3)
  assert.deepEqual(shop.events(row.thread_id, 'error')[0]?.payload, {
    code: 'max_turns',
    message: 'max_turns is reached: 3 of 3.',
  })
})

test('max_turns of zero forbids any call', async (t) => {
  const shop = await openWorkshop(t, { directives: costs('', 'stop', 0), scenario: busy })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'max_turns')
  assert.equal(shop.model.requests().length, 0)
})

for (const [limit, max, calls] of [
  ['max_input_tokens', 200, 2],
  ['max_output_tokens', 25, 3],
  ['max_total_tokens', 111, 2],
] as const) {
  test(`${limit} ends the thread with max_tokens when it is reached`, async (t) => {
    const shop = await openWorkshop(t, { directives: costs(`<${limit}>${max}</${limit}>`), files: FILES, scenario: busy })
    const row = await shop.run('work')
    assert.equal(row.end_reason, 'max_tokens')
    assert.equal((row.result as { limit: string }).limit, limit)
    assert.equal(shop.model.requests().length, calls)
  })
}

test('a request asks for no more output than max_output_tokens leaves', async (t) => {
  const asked: number[] = []
  const scenario: ScenarioFunction = (conversation, request) => {
    asked.push(conversation.maxTokens)
    return busy(conversation, request)
  }
  const shop = await openWorkshop(t, { directives: costs('<max_output_tokens>25</max_output_tokens>'), files: FILES, scenario })
  await shop.run('work')
  assert.deepEqual(asked, [25, 15, 5])
})

test('max_tool_calls ends the thread at the call beyond it, which does not run', async (t) => {
  const shop = await openWorkshop(t, {
    directives: costs('<max_tool_calls>3</max_tool_calls>'),
    files: FILES,
    scenario: ({ turn }) =>
      executes(['read_file', { path: 'a.txt', offset_line: turn }], ['read_file', { path: 'a.txt', offset_line: turn + 3 }]),
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'max_tool_calls')
  assert.equal(row.total_usage['tool_calls'], 3)
  assert.match(shop.results(row.thread_id).at(-1) ?? '', /not run: max_tool_calls/)
})

test('a thread that used its tool calls may still answer', async (t) => {
  const shop = await openWorkshop(t, {
    directives: costs('<max_tool_calls>1</max_tool_calls>'),
    files: FILES,
    scenario: (conversation, request) => (conversation.turn === 1 ? busy(conversation, request) : says('Done.')),
  })
  assert.equal((await shop.run('work')).end_reason, 'done')
})

test('max_duration_seconds ends a thread whose model call takes too long', async (t) => {
  const shop = await openWorkshop(t, {
    directives: costs('<max_duration_seconds>1</max_duration_seconds>'),
    scenario: () => ({ reply: { text: 'never' }, fault: { kind: 'stall', after_events: 2 } }),
  })
  const row = await shop.run('work')
  assert.deepEqual([row.status, row.end_reason], ['error', 'max_duration'])
})

test('the model call and the tools of one turn share the time that is left', async (t) => {
  const timeouts: number[] = []
  const shop = await openWorkshop(t, {
    directives: costs('<max_duration_seconds>60</max_duration_seconds>'),
    files: FILES,
    scenario: (conversation, request) =>
      conversation.turn === 1
        ? { ...busy(conversation, request), fault: { kind: 'slow_first_byte', delay_ms: 300 } }
        : says('Done.'),
    wrapRunner: (runner) => ({
      ...runner,
      runTurn: (ctx, state) => {
        const step: typeof ctx.step = (name, options, run) => {
          if (name.startsWith('tool-')) timeouts.push(options.timeoutMs)
          return ctx.step(name, options, run)
        }
        return runner.runTurn({ ...ctx, step }, state)
      },
    }),
  })
  assert.equal((await shop.run('work')).end_reason, 'done')
  assert.ok(timeouts.length === 1 && (timeouts[0] ?? 0) <= 60_000 - 300, String(timeouts))
})

test('max_cost_usd ends the thread before the call that might break it', async (t) => {
  // Worst case of a call is its bytes at $1 and 256 tokens at $10 a million; it is far below a cent, and 0.01 are 50 calls.
  const shop = await openWorkshop(t, { directives: costs('<max_cost_usd>0.01</max_cost_usd>'), files: FILES, scenario: busy })
  const row = await shop.run('work')
  assert.deepEqual([row.status, row.end_reason], ['error', 'cost_exceeded'])
  const spent = Number(row.total_usage['cost_nano'])
  assert.equal(spent, shop.model.requests().length * CALL_NANO)
  assert.ok(spent <= 10_000_000 && spent > 0)
})

test('max_cost_usd of zero forbids any call', async (t) => {
  const shop = await openWorkshop(t, { directives: costs('<max_cost_usd>0</max_cost_usd>'), scenario: busy })
  assert.equal((await shop.run('work')).end_reason, 'cost_exceeded')
  assert.equal(shop.model.requests().length, 0)
})

test('the output limit is lowered to what the money allows', async (t) => {
  const asked: number[] = []
  const shop = await openWorkshop(t, {
    directives: costs('<max_cost_usd>0.012</max_cost_usd>'),
    scenario: ({ maxTokens }) => {
      asked.push(maxTokens)
      return says('Done.')
    },
  })
  assert.equal((await shop.run('work')).end_reason, 'done')
  assert.ok((asked[0] ?? 0) >= 256 && (asked[0] ?? 0) < 1000, String(asked))
})

test('what is charged is exactly what the usage costs, class by class', async (t) => {
  const price = { input: 3, cache_read: 0.3, cache_write_5m: 3.75, cache_write_1h: 6, output: 15 }
  const shop = await openWorkshop(t, {
    directives: costs('<max_cost_usd>1</max_cost_usd>'),
    model: { price },
    scenario: () => ({
      reply: { text: 'Done.', usage: { input: 123, cache_read: 4567, cache_write: 89, output: 71, reasoning: 0 } },
    }),
  })
  const row = await shop.run('work')
  const expected = 123 * 3000 + 4567 * 300 + 89 * 3750 + 71 * 15_000
  assert.equal(row.total_usage['cost_nano'], expected)
  const ledger = shop.store.statement('SELECT spent_nano, reserved_nano, escrow_nano FROM ledger').get()
  assert.deepEqual({ ...ledger }, { spent_nano: expected, reserved_nano: 0, escrow_nano: 0 })
})

test('warn gives one event for each limit and goes on', async (t) => {
  const shop = await openWorkshop(t, {
    directives: costs('<max_input_tokens>150</max_input_tokens><max_cost_usd>0.0003</max_cost_usd>', 'warn', 1),
    files: FILES,
    scenario: (conversation, request) => (conversation.turn < 5 ? busy(conversation, request) : says('Done.')),
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const warnings = shop
    .events(row.thread_id, 'status')
    .flatMap(({ payload }) => (payload['action'] === 'warn' ? [payload['limit_reached']] : []))
  assert.deepEqual(warnings, ['max_turns', 'max_input_tokens', 'max_cost_usd'])
})

test('escalate waits at a limit and goes on when a person adds to it', async (t) => {
  const shop = await openWorkshop(t, {
    directives: costs('', 'escalate', 2),
    files: FILES,
    scenario: (conversation, request) => (conversation.turn < 4 ? busy(conversation, request) : says('Done.')),
  })
  const waiting = await shop.run('work')
  assert.deepEqual([waiting.status, waiting.wait_reason, waiting.turn], ['waiting', 'budget_reached', 2])
  await shop.call('resume_thread', { thread_id: waiting.thread_id, add_turns: 2 })
  const row = await shop.until(waiting.thread_id, 'completed', 'error')
  assert.deepEqual([row.end_reason, row.turn], ['done', 4])
})

test('escalate waits for money and spends what was added', async (t) => {
  const shop = await openWorkshop(t, {
    directives: costs('<max_cost_usd>0.006</max_cost_usd>', 'escalate'),
    files: FILES,
    scenario: (conversation, request) => (conversation.turn < 30 ? busy(conversation, request) : says('Done.')),
  })
  const waiting = await shop.run('work')
  assert.equal(waiting.wait_reason, 'budget_reached')
  await shop.call('resume_thread', { thread_id: waiting.thread_id, add_usd: 1 })
  const row = await shop.until(waiting.thread_id, 'completed', 'error')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  assert.equal(row.total_usage['cost_nano'], 30 * CALL_NANO)
})

test('the context warning comes once for each crossing and says what is used', async (t) => {
  const inputs = [100, 850, 860, 100, 870, 100]
  const shop = await openWorkshop(t, {
    directives: costs('<max_context_tokens>1000</max_context_tokens>'),
    files: FILES,
    scenario: ({ turn }) => {
      const usage = { ...USAGE, input: inputs[turn - 1] ?? 0 }
      return {
        reply:
          turn < 6 ? { ...executes(['read_file', { path: 'a.txt', offset_line: turn }]).reply, usage } : { text: 'Done.', usage },
      }
    },
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'done')
  const warnings = shop.events(row.thread_id, 'context_warning').map(({ payload }) => payload)
  assert.deepEqual(warnings, [
    { used: 850, limit: 1000, percent: 85 },
    { used: 870, limit: 1000, percent: 87 },
  ])
  const notes = shop.threads.messages(row.thread_id).filter(({ role }) => role === 'system_note')
  assert.equal(notes.length, 2)
})

test('cache reads and writes count as context, and at the limit the thread ends', async (t) => {
  const usage = { input: 10, cache_read: 900, cache_write: 90, output: 1, reasoning: 0 }
  const shop = await openWorkshop(t, {
    directives: costs(''),
    files: FILES,
    model: { contextWindow: 1000 },
    scenario: ({ turn }) => ({ reply: { ...executes(['read_file', { path: 'a.txt', offset_line: turn }]).reply, usage } }),
  })
  const row = await shop.run('work')
  assert.deepEqual([row.end_reason, row.turn], ['context_exceeded', 1])
})

test('the same call with the same result three times is a loop that waits for a person', async (t) => {
  const shop = await openWorkshop(t, {
    directives: costs(''),
    files: FILES,
    scenario: ({ turn }) => (turn < 6 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')),
  })
  const waiting = await shop.run('work')
  assert.deepEqual([waiting.status, waiting.wait_reason, waiting.turn], ['waiting', 'loop_detected', 3])
  assert.deepEqual(shop.events(waiting.thread_id, 'loop_detected')[0]?.payload, { tool: 'read_file', pattern: 'same_call' })
  await shop.call('resume_thread', { thread_id: waiting.thread_id, inject_message: 'Go on.' })
  await shop.until(waiting.thread_id, 'completed')
})

test('a tool that declares polling may be repeated', async (t) => {
  const { runtimeTool } = await import('../workshop.ts')
  const shop = await openWorkshop(t, {
    directives: costs(''),
    tools: { poll: runtimeTool("return 'not yet'", "export const __effect__ = 'pure'\nexport const __loop__ = { poll: true }") },
    scenario: ({ turn }) => (turn < 7 ? executes(['poll', {}]) : says('Done.')),
  })
  assert.equal((await shop.run('work')).end_reason, 'done')
})

test('a thread that is resumed without more of what it lacks waits again, and no turn is counted', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', '<max_turns>1</max_turns><on_exceeded>escalate</on_exceeded>') },
    files: FILES,
    scenario: (conversation, request) => (conversation.turn === 1 ? busy(conversation, request) : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  await shop.call('resume_thread', { thread_id: id })
  await poll(() => shop.events(id, 'status').filter(({ payload }) => payload['action'] === 'escalate').length === 2)
  const again = await shop.until(id, 'waiting')
  assert.deepEqual([again.wait_reason, again.turn], ['budget_reached', 1])
  await shop.call('resume_thread', { thread_id: id, add_turns: 1 })
  const row = await shop.until(id, 'completed', 'error')
  assert.deepEqual([row.end_reason, row.turn], ['done', 2])
})

async function poll(isReached: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!isReached() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
}
