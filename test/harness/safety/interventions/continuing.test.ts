import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { MetaToolResult } from '../../../../src/kernel/contract.ts'
import type { JsonObject } from '../../../../src/json.ts'
import { directive, executes, openWorkshop, says } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'

const FILES = { 'a.txt': 'alpha\n', 'b.txt': 'beta\n', 'c.txt': 'gamma\n' }
const LIMITS = '<max_turns>3</max_turns><on_exceeded>stop</on_exceeded>'

function resultOf(answer: MetaToolResult): JsonObject {
  if (!answer.success) throw new Error(JSON.stringify(answer.error))
  return answer['result'] as JsonObject
}

async function continued(shop: Workshop, tool: string, parameters: JsonObject): Promise<string> {
  const { thread_id: id } = resultOf(await shop.call(tool, parameters))
  assert.ok(typeof id === 'string')
  return id
}

/** What the conversation holds, a line a message. */
function conversationOf(shop: Workshop, id: string): readonly string[] {
  return shop.threads.messages(id).map(({ role, content }) => {
    const { content: text, blocks } = content as { content?: string; blocks?: { type: string; text?: string }[] }
    return `${role}: ${text ?? blocks?.map((block) => block.text ?? block.type).join(' ') ?? ''}`
  })
}

async function untilRequests(shop: Workshop, count: number): Promise<void> {
  const deadline = performance.now() + 10_000
  while (shop.model.requests().length < count) {
    assert.ok(performance.now() < deadline, `the model got ${shop.model.requests().length} requests`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

test('a retry goes on with the whole conversation, a new message and fresh limits', async (t) => {
  const seen: string[] = []
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', LIMITS) },
    files: FILES,
    scenario: ({ lastUserText, turn }) => {
      seen.push(lastUserText)
      return lastUserText.includes('Now finish.')
        ? says('Finished.')
        : executes(['read_file', { path: 'a.txt', offset_line: turn }])
    },
  })
  const first = await shop.run('work')
  assert.equal(first.end_reason, 'max_turns')
  const id = await continued(shop, 'retry_thread', { thread_id: first.thread_id, message: 'Now finish.', reason: 'one more' })
  assert.equal(id, `${first.thread_id}_r1`)
  const row = await shop.until(id, 'completed', 'error')
  assert.deepEqual([row.end_reason, row.result, row.parent_thread_id], ['done', { text: 'Finished.' }, null])
  assert.deepEqual([row.chain_id, row.continues], [first.thread_id, { thread_id: first.thread_id, how: 'retry' }])
  const before = conversationOf(shop, first.thread_id)
  const after = conversationOf(shop, id)
  assert.deepEqual(after.slice(0, before.length), before)
  assert.deepEqual(after.slice(before.length + 1), ['assistant: Finished.'])
  assert.match(
    after[before.length] ?? '',
    /^user: This thread goes on .*error \(max_turns\): max_turns is reached.*Now finish\./s,
  )
  assert.doesNotMatch(after[before.length] ?? '', /<directive/)
  const [asked] = shop.events(id, 'intervention')
  assert.deepEqual(asked?.payload, {
    action: 'retry',
    by: { kind: 'operator', door: 'library' },
    reason: 'one more',
    thread_id: first.thread_id,
    continued_in: id,
  })
  assert.deepEqual(shop.events(first.thread_id, 'intervention').at(-1)?.payload, asked?.payload)
  // A retry of a retry stays in the chain, under the same base.
  const again = await continued(shop, 'retry_thread', { thread_id: id, message: 'Now finish. Again.' })
  assert.equal(again, `${first.thread_id}_r2`)
  assert.equal((await shop.until(again, 'completed')).chain_id, first.thread_id)
})

test('a thread that failed, completed or was cancelled can be retried, and one that works cannot', async (t) => {
  let isHealthy = false
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', LIMITS), stuck: directive('stuck', LIMITS) },
    scenario: ({ firstUserText }) => {
      if (isHealthy) return says('Fine now.')
      if (firstUserText.includes('"stuck"')) return { reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } }
      return { fault: { kind: 'status', status: 400 } }
    },
  })
  const failed = await shop.run('work')
  const cancelled = await shop.spawn('stuck')
  await untilRequests(shop, 2)
  const early = await shop.call('retry_thread', { thread_id: cancelled })
  assert.match(
    JSON.stringify(early),
    /"allowed_actions":\["read","inject","pause","cancel","raise_budget","add_sink","fork"\],"code":"ILLEGAL_TRANSITION"/,
  )
  await shop.call('cancel_thread', { thread_id: cancelled, mode: 'now' })
  await shop.until(cancelled, 'cancelled')
  isHealthy = true
  assert.equal(failed.end_reason, 'stream_failed')
  const ids = [
    await continued(shop, 'retry_thread', { thread_id: failed.thread_id }),
    await continued(shop, 'retry_thread', { thread_id: cancelled }),
  ]
  for (const id of ids) assert.deepEqual((await shop.until(id, 'completed', 'error')).result, { text: 'Fine now.' })
  const third = await continued(shop, 'retry_thread', { thread_id: ids[0] ?? '' })
  assert.equal((await shop.until(third, 'completed', 'error')).end_reason, 'done')
})

test('a fork in the middle of a turn answers each call once, and says which may have taken effect', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', LIMITS) },
    files: FILES,
    scenario: ({ lastUserText, turn }) => {
      if (lastUserText.includes('Fork.')) return says('Forked.')
      if (turn > 1) return says('Done.')
      return executes(['read_file', { path: 'a.txt' }], ['read_file', { path: 'b.txt' }], ['read_file', { path: 'c.txt' }])
    },
  })
  const { thread_id: id } = await shop.run('work')
  const firstResult = shop.events(id, 'tool_result')[0]
  const fork = await continued(shop, 'fork_thread', { thread_id: id, at_seq: firstResult?.seq ?? 0, message: 'Fork.' })
  assert.equal(fork, `${id}_f1`)
  assert.deepEqual((await shop.until(fork, 'completed', 'error')).result, { text: 'Forked.' })
  const results = shop.results(fork)
  assert.equal(results.length, 3)
  assert.equal(results.filter((text) => text.includes('The outcome of this call is unknown')).length, 2)
  const atAnswer = shop.events(id, 'assistant_message')[0]?.seq ?? 0
  const early = await continued(shop, 'fork_thread', { thread_id: id, at_seq: atAnswer, message: 'Fork.' })
  await shop.until(early, 'completed')
  assert.equal(shop.results(early).length, 3)
  const atStart = await continued(shop, 'fork_thread', { thread_id: id, at_seq: 1, message: 'Fork.' })
  await shop.until(atStart, 'completed')
  assert.deepEqual(
    conversationOf(shop, atStart).map((line) => line.split(':')[0]),
    ['user', 'assistant'],
  )
})

test('a call that its thread never began is told as not run', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', `${LIMITS}<max_tool_calls>9</max_tool_calls>`) },
    files: FILES,
    scenario: ({ lastUserText }) =>
      lastUserText.includes('Retry.') ? says('Retried.') : executes(['read_file', { path: 'a.txt' }]),
    wrapRunner: (runner) => ({
      ...runner,
      // The host loses its mind between the answer and its call.
      runTurn: (ctx, state) =>
        runner.runTurn(
          {
            ...ctx,
            step: (name, options, run) =>
              name.startsWith('tool-') && !ctx.threadId.includes('_r')
                ? Promise.reject(new Error('broken'))
                : ctx.step(name, options, run),
          },
          state,
        ),
    }),
  })
  const row = await shop.run('work')
  assert.equal(row.end_reason, 'internal')
  const id = await continued(shop, 'retry_thread', { thread_id: row.thread_id, message: 'Retry.' })
  await shop.until(id, 'completed', 'error')
  assert.deepEqual(shop.results(id), [
    `This call was not run: thread ${row.thread_id} stopped before it. Call it again if it is still needed.`,
  ])
})

test('a directive that was changed and signed since is told again in full', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', LIMITS) },
    files: FILES,
    scenario: ({ lastUserText, turn }) =>
      lastUserText.includes('Be kind.') ? says('Kindly.') : executes(['read_file', { path: 'a.txt', offset_line: turn }]),
  })
  const row = await shop.run('work')
  writeFileSync(join(shop.projectPath, '.ai/directives/work.md'), directive('work', LIMITS, '<context>Be kind.</context>'))
  assert.ok((await shop.kernel.sign({ item_type: 'directive', item_id: 'work', parameters: { draft: true } })).success)
  const id = await continued(shop, 'retry_thread', { thread_id: row.thread_id })
  assert.deepEqual((await shop.until(id, 'completed', 'error')).result, { text: 'Kindly.' })
  const last = conversationOf(shop, id).findLast((line) => line.startsWith('user:')) ?? ''
  assert.match(last, /The directive is another one now.*<directive name="work".*Be kind\..*<\/directive>.*<user_request>/s)
})

test('a fork starts at the newest checkpoint of a name, and unknown points are refused', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', LIMITS) },
    files: FILES,
    scenario: ({ lastUserText, turn }) =>
      lastUserText.includes('Fork.') ? says('Forked.') : executes(['read_file', { path: 'a.txt', offset_line: turn }]),
  })
  const { thread_id: id } = await shop.run('work')
  const [first] = shop.events(id, 'turn_end')
  for (const name of ['start', 'ready', 'ready']) await shop.threads.logEvent(id, 'checkpoint', { name })
  const fork = await continued(shop, 'fork_thread', { thread_id: id, checkpoint: 'ready', message: 'Fork.' })
  await shop.until(fork, 'completed')
  assert.equal(conversationOf(shop, fork).length, conversationOf(shop, id).length + 2)
  for (const [parameters, message] of [
    [{ checkpoint: 'nowhere' }, /"checkpoints":\["start","ready"\].*has no checkpoint \\"nowhere\\"/],
    [{ at_seq: 10_000 }, /has no event 10000/],
    [{}, /needs either at_seq or checkpoint/],
    [{ at_seq: first?.seq ?? 1, checkpoint: 'ready' }, /needs either at_seq or checkpoint/],
  ] as const)
    assert.match(JSON.stringify(await shop.call('fork_thread', { thread_id: id, ...parameters })), message)
})

test('a thread retries its own child as another child, once for each step', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent'), child: directive('child', LIMITS) },
    files: FILES,
    scenario: (conversation) => {
      if (conversation.firstUserText.includes('<directive name="child"'))
        return conversation.lastUserText.includes('Better.')
          ? says('Better now.')
          : executes(['read_file', { path: 'a.txt', offset_line: conversation.turn }])
      const ids = conversation.results.flatMap(({ content }) => /"thread_id":"([\w-]+)"/.exec(content)?.[1] ?? [])
      if (conversation.turn === 1) return executes(['thread_directive', { directive_name: 'child' }])
      if (conversation.turn === 2) return executes(['wait_thread', { thread_id: ids[0] ?? '' }])
      if (conversation.turn === 3)
        return executes(['retry_thread', { thread_id: ids[0] ?? '', message: 'Better.', reason: 'it failed' }])
      if (conversation.turn === 4) return executes(['wait_thread', { thread_id: ids.at(-1) ?? '' }])
      return says('All done.')
    },
  })
  const id = await shop.spawn('parent')
  const parent = await shop.until(id, 'completed', 'error')
  assert.equal(parent.end_reason, 'done', JSON.stringify(parent.result))
  const children = shop.threads.list({ parent_thread_id: id, order_by: 'created_at' })
  assert.deepEqual(
    children.map(({ end_reason: reason, continues }) => [reason, continues?.how ?? null]),
    [
      ['max_turns', null],
      ['done', 'retry'],
    ],
  )
  const retry = children[1]?.thread_id ?? ''
  const by = shop.events(retry, 'intervention')[0]?.payload['by'] as { kind: string; thread_id: string; token: string }
  assert.deepEqual([by.kind, by.thread_id], ['thread', id])
  assert.ok(shop.threads.tokens.get(by.token)?.threadId === id)
})

test('a retry whose host dies in its first step begins once, after it', async (t) => {
  let isHeld = true
  const held = Promise.withResolvers<undefined>()
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', LIMITS) },
    files: FILES,
    scenario: ({ lastUserText, turn }) =>
      lastUserText.includes('Now finish.') ? says('Finished.') : executes(['read_file', { path: 'a.txt', offset_line: turn }]),
    wrapRunner: (runner) => ({
      ...runner,
      runTurn: (ctx, state) =>
        runner.runTurn(
          {
            ...ctx,
            step: (name, options, run) =>
              ctx.step(name, options, async (meta) => {
                const made = await run(meta)
                if (name !== 'directive' || !isHeld || !ctx.threadId.endsWith('_r1')) return made
                held.resolve(undefined)
                // Everything is done, and nothing of it is written.
                return new Promise((_, reject) => meta.signal.addEventListener('abort', () => reject(meta.signal.reason)))
              }),
          },
          state,
        ),
    }),
  })
  const first = await shop.run('work')
  const id = await continued(shop, 'retry_thread', { thread_id: first.thread_id, message: 'Now finish.' })
  await held.promise
  isHeld = false
  await shop.restart()
  assert.deepEqual((await shop.until(id, 'completed', 'error')).result, { text: 'Finished.' })
  const before = conversationOf(shop, first.thread_id)
  const after = conversationOf(shop, id)
  assert.deepEqual(after.slice(0, before.length), before)
  assert.deepEqual(
    after.slice(before.length).map((line) => line.split(':')[0]),
    ['user', 'assistant'],
  )
})

test('a conversation goes on with a model of another provider', async (t) => {
  const model: { tool?: string; wire?: 'openai_chat'; provider?: string } = {}
  const shop = await openWorkshop(t, {
    directives: { work: directive('work', LIMITS) },
    files: FILES,
    model,
    scenario: ({ lastUserText, turn }) =>
      lastUserText.includes('Now finish.') ? says('Finished.') : executes(['read_file', { path: 'a.txt', offset_line: turn }]),
  })
  const first = await shop.run('work')
  Object.assign(model, { tool: 'openai_thread', wire: 'openai_chat', provider: 'openai' })
  const id = await continued(shop, 'retry_thread', { thread_id: first.thread_id, message: 'Now finish.' })
  const row = await shop.until(id, 'completed', 'error')
  assert.deepEqual([row.end_reason, row.result], ['done', { text: 'Finished.' }])
})
