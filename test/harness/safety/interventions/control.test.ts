import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directive, executes, openWorkshop, says } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'

const WORK = { work: directive('work') }
const FILES = { 'a.txt': 'one\ntwo\nthree\nfour\n' }

async function untilCalled(shop: Workshop, requests: number): Promise<void> {
  const deadline = performance.now() + 10_000
  while (shop.model.requests().length < requests) {
    if (performance.now() > deadline) throw new Error(`The model got ${shop.model.requests().length} requests, not ${requests}.`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Slow enough for a signal to be written while it streams; its end comes by events, not by the clock. */
const SLOW = { delay_ms: 20, piece_chars: 2 }

test('injected messages are seen once, in order, at the next turn', async (t) => {
  const seen: string[] = []
  const shop = await openWorkshop(t, {
    directives: WORK,
    files: FILES,
    scenario: ({ turn, lastUserText }) => {
      seen.push(lastUserText)
      if (turn > 2) return says('Done.')
      return {
        reply: {
          ...executes(['read_file', { path: 'a.txt', offset_line: turn }]).reply,
          text: 'thinking for a while now',
          ...SLOW,
        },
      }
    },
  })
  const id = await shop.spawn('work')
  await untilCalled(shop, 1)
  await shop.call('inject_message', { thread_id: id, content: 'First.' })
  await shop.call('inject_message', { thread_id: id, role: 'system', content: 'Second.' })
  await shop.until(id, 'completed')
  const messages = shop.threads
    .messages(id)
    .flatMap(({ role, content }) => (role === 'user' || role === 'system_note' ? [(content as { content: string }).content] : []))
  assert.deepEqual(messages.slice(1), ['First.', 'Second.'])
  assert.equal(seen.filter((text) => text.includes('First.')).length >= 1, true)
  assert.deepEqual(
    shop.events(id, 'injected_message').map(({ payload }) => payload['role']),
    ['user', 'system'],
  )
})

test('a paused thread keeps its messages and goes on when it is resumed', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    files: FILES,
    scenario: ({ turn }) => {
      if (turn > 1) return says('Done.')
      return { reply: { ...executes(['read_file', { path: 'a.txt' }]).reply, text: 'thinking for a while now', ...SLOW } }
    },
  })
  const id = await shop.spawn('work')
  await untilCalled(shop, 1)
  await shop.call('pause_thread', { thread_id: id, reason: 'lunch' })
  const paused = await shop.until(id, 'paused')
  assert.equal(paused.turn, 1)
  await shop.call('resume_thread', { thread_id: id, inject_message: 'Go on.' })
  const row = await shop.until(id, 'completed')
  assert.deepEqual(row.result, { text: 'Done.' })
  assert.equal(shop.events(id, 'injected_message').length, 1)
})

test('a cancel ends the thread, also while its model streams', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: () => ({ reply: { text: 'never' }, fault: { kind: 'stall', after_events: 2 } }),
  })
  const id = await shop.spawn('work')
  await untilCalled(shop, 1)
  const answer = await shop.call('cancel_thread', { thread_id: id, mode: 'now' })
  assert.equal(answer.success, true)
  const row = await shop.until(id, 'cancelled')
  assert.equal(row.end_reason, 'cancelled')
})

test('deltas of a streaming answer reach whoever watches', async (t) => {
  const live: unknown[] = []
  const shop = await openWorkshop(t, {
    directives: WORK,
    wrapRunner: (runner) => ({
      ...runner,
      runTurn: (ctx, state) => runner.runTurn({ ...ctx, emit: (message) => void live.push(message) }, state),
    }),
    scenario: () => ({ reply: { text: 'Hello you', piece_chars: 5 } }),
  })
  await shop.run('work')
  assert.deepEqual(live, [
    { type: 'text', text: 'Hello', turn: 1, attempt: 1 },
    { type: 'text', text: ' you', turn: 1, attempt: 1 },
  ])
})

test('a model that escalates makes its thread wait for a person, and a note does not', async (t) => {
  const shop = await openWorkshop(t, {
    directives: WORK,
    scenario: ({ turn }) => {
      if (turn > 2) return says('Done.')
      const action = turn === 1 ? 'checkpoint' : 'escalate'
      return { reply: { tool_calls: [{ name: 'help', arguments: { action, reason: 'Which one?' } }] } }
    },
  })
  const waiting = await shop.run('work')
  assert.deepEqual([waiting.status, waiting.wait_reason, waiting.turn], ['waiting', 'escalated', 2])
  const signals = shop.events(waiting.thread_id, 'status').flatMap(({ payload }) => ('help' in payload ? [payload] : []))
  assert.deepEqual(signals, [{ help: 'escalate', reason: 'Which one?' }])
  const [checkpoint] = shop.events(waiting.thread_id, 'checkpoint')
  assert.deepEqual(checkpoint?.payload, { name: 'which-one', note: 'Which one?' })
  await shop.call('resume_thread', { thread_id: waiting.thread_id, inject_message: 'The first.' })
  assert.equal((await shop.until(waiting.thread_id, 'completed')).end_reason, 'done')
})

for (const { title, max, answer, requests } of [
  { title: 'is answered in one more turn', max: 5, answer: 'Second.', requests: 2 },
  { title: 'does not undo the work of a thread that has no turn left', max: 1, answer: 'First.', requests: 1 },
]) {
  test(`a message injected while the last answer is written ${title}`, async (t) => {
    const shop = await openWorkshop(t, {
      directives: { work: directive('work', `<max_turns>${max}</max_turns><on_exceeded>stop</on_exceeded>`) },
      scenario: ({ lastUserText }) =>
        lastUserText === 'One more thing.' ? says('Second.') : { reply: { ...says('First.').reply, ...SLOW } },
    })
    const id = await shop.spawn('work')
    await untilCalled(shop, 1)
    await shop.call('inject_message', { thread_id: id, content: 'One more thing.' })
    const row = await shop.until(id, 'completed', 'error')
    assert.deepEqual([row.end_reason, row.result, shop.model.requests().length], ['done', { text: answer }, requests])
    assert.equal(shop.events(id, 'completed').length, 1)
  })
}
