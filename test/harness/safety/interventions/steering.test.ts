import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetaToolResult } from '../../../../src/kernel/contract.ts'
import type { Json, JsonObject } from '../../../../src/json.ts'
import { directive, executes, limited, openWorkshop, says } from '../workshop.ts'
import type { Workshop, WorkshopOptions } from '../workshop.ts'

const STALL = { reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } } as const
const CAPPED = '<max_turns>20</max_turns><on_exceeded>stop</on_exceeded><max_cost_usd>0.1</max_cost_usd>'

function resultOf(answer: MetaToolResult): JsonObject {
  if (!answer.success) throw new Error(JSON.stringify(answer.error))
  return answer['result'] as JsonObject
}

function codeOf(answer: MetaToolResult): string {
  return answer.success ? 'success' : answer.error.code
}

async function heldThread(shop: Workshop, name = 'work'): Promise<string> {
  const id = await shop.spawn(name)
  await shop.call('pause_thread', { thread_id: id })
  await shop.until(id, 'paused')
  return id
}

const WORK: WorkshopOptions = {
  directives: { work: directive('work') },
  files: { 'a.txt': 'one\ntwo\nthree\n' },
  scenario: ({ turn, lastUserText }) =>
    lastUserText.includes('Finish.')
      ? says('Done.')
      : {
          reply: {
            ...executes(['read_file', { path: 'a.txt', offset_line: (turn % 3) + 1, limit_lines: turn }]).reply,
            text: 'on it',
            delay_ms: 15,
          },
        },
}

test('messages of a pause, an injection and a resume are read once each, in order', async (t) => {
  const shop = await openWorkshop(t, WORK)
  const id = await shop.spawn('work')
  resultOf(await shop.call('pause_thread', { thread_id: id, message: 'First.', reason: 'to think' }))
  await shop.until(id, 'paused')
  resultOf(await shop.call('inject_message', { thread_id: id, content: 'Second.' }))
  resultOf(await shop.call('resume_thread', { thread_id: id, message: 'Finish.', reason: 'thought' }))
  assert.equal((await shop.until(id, 'completed', 'error')).end_reason, 'done')
  const said = shop.threads
    .messages(id)
    .flatMap(({ role, content }) => (role === 'user' ? [(content as { content: string }).content] : []))
  assert.deepEqual(said.slice(1), ['First.', 'Second.', 'Finish.'])
  assert.deepEqual(
    shop.events(id, 'intervention').map(({ payload: { action, by, reason } }) => [action, (by as JsonObject)['door'], reason]),
    [
      ['pause', 'library', 'to think'],
      ['inject', 'library', null],
      ['resume', 'library', 'thought'],
    ],
  )
})

test('the door and client of a call stand in the log', async (t) => {
  const shop = await openWorkshop(t, WORK)
  const id = await heldThread(shop)
  const __caller = { door: 'http', client: 'An editor' } as const
  resultOf(await shop.call('cancel_thread', { thread_id: id, reason: 'no more' }, { __caller }))
  await shop.until(id, 'cancelled')
  assert.deepEqual(shop.events(id, 'intervention').at(-1)?.payload['by'], { kind: 'operator', ...__caller })
})

test('what a status does not allow is refused with what it allows', async (t) => {
  const shop = await openWorkshop(t, WORK)
  const id = await heldThread(shop)
  const refused = await shop.call('retry_thread', { thread_id: id })
  assert.equal(codeOf(refused), 'ILLEGAL_TRANSITION')
  assert.deepEqual(!refused.success && refused.error['allowed_actions'], [
    'read',
    'inject',
    'resume',
    'cancel',
    'raise_budget',
    'add_sink',
    'fork',
  ])
  assert.equal(codeOf(await shop.call('pause_thread', { thread_id: id })), 'ILLEGAL_TRANSITION')
  await shop.call('cancel_thread', { thread_id: id })
  await shop.until(id, 'cancelled')
  for (const [tool, parameters] of [
    ['inject_message', { content: 'hi' }],
    ['pause_thread', {}],
    ['resume_thread', {}],
    ['cancel_thread', {}],
    ['raise_budget', { add_turns: 1 }],
    ['add_sink', { destination: { type: 'null_sink' } }],
  ] as const)
    assert.equal(codeOf(await shop.call(tool, { thread_id: id, ...parameters })), 'ILLEGAL_TRANSITION', tool)
  const status = resultOf(await shop.call('thread_registry', { action: 'get_status', thread_id: id }))
  assert.deepEqual(status['allowed_actions'], ['read', 'retry', 'fork'])
})

test('a transcript is read in pages, by type, and with what calls were given', async (t) => {
  const shop = await openWorkshop(t, {
    ...WORK,
    scenario: ({ turn }) => (turn < 4 ? executes(['read_file', { path: 'a.txt', offset_line: turn }]) : says('Done.')),
  })
  const { thread_id: id } = await shop.run('work')
  const read = async (parameters: JsonObject): Promise<JsonObject> =>
    resultOf(await shop.call('read_transcript', { thread_id: id, ...parameters }))
  const all = shop.events(id).map(({ seq }) => seq)
  const paged: Json[] = []
  for (let since: Json = 0, more: Json = true; more === true;) {
    const page = await read({ since_seq: since, limit: 3 })
    paged.push(...(page['events'] as JsonObject[]).map(({ seq }) => seq ?? null))
    since = page['next_since_seq'] ?? null
    more = page['more'] ?? false
  }
  assert.deepEqual(paged, all)
  const calls = await read({ since_seq: 0, types: ['tool_call', 'tool_result'], arguments: true })
  const shown = calls['events'] as JsonObject[]
  assert.deepEqual(
    shown.map(({ type }) => type),
    ['tool_call', 'tool_result', 'tool_call', 'tool_result', 'tool_call', 'tool_result'],
  )
  assert.match(JSON.stringify(shown[2]?.['arguments']), /"parameters":\{"path":"a.txt","offset_line":2\}/)
  assert.equal(shown[1]?.['arguments'], undefined)
  const last = await read({ last_n: 2, types: ['tool_result', 'turn_end'] })
  const types = (last['events'] as JsonObject[]).map(({ type }) => type)
  assert.deepEqual(types, ['turn_end', 'turn_end'])
  assert.equal(last['next_since_seq'], all.at(-1))
})

const ALL_BUT = (name: string): string =>
  limited(name, '<execute resource="tool" id="*"/><orchestration enabled="true"></orchestration>')

test('a thread reads the arguments of its child and not its own, and raises only money, out of its own', async (t) => {
  const shop = await openWorkshop(t, {
    directives: {
      parent: directive('parent', CAPPED.replace('0.1', '1')),
      child: directive('child', CAPPED),
      uncapped: directive('uncapped'),
    },
    files: WORK.files ?? {},
    scenario: ({ firstUserText, turn }) => {
      if (firstUserText.includes('<directive name="child"')) return STALL
      return turn === 1 ? executes(['thread_directive', { directive_name: 'child' }]) : STALL
    },
  })
  const id = await shop.spawn('parent')
  const context = await shop.asThread(id)
  const child = await childOf(shop, id)
  assert.equal(codeOf(await shop.call('read_transcript', { thread_id: child, arguments: true }, context)), 'success')
  assert.equal(codeOf(await shop.call('read_transcript', { thread_id: id }, context)), 'success')
  assert.equal(codeOf(await shop.call('read_transcript', { thread_id: id, arguments: true }, context)), 'PERMISSION_DENIED')
  const before = shop.threads.budget(id).escrowNano
  const __idempotency_key = `${id}/2/tool-0-raise_budget`
  const raise = { thread_id: child, add_usd: 0.05, reason: 'it does well' }
  // The same step twice adds once.
  for (const _ of [1, 2])
    assert.equal(codeOf(await shop.call('raise_budget', raise, { ...context, __idempotency_key })), 'success')
  assert.equal(shop.threads.budget(id).escrowNano - before, 50_000_000)
  assert.equal(shop.threads.budget(child).grantedNano, 150_000_000)
  const [logged] = shop.events(child, 'intervention')
  const by = logged?.payload['by'] as { thread_id: string; token: string }
  assert.deepEqual(
    [by.thread_id, shop.threads.tokens.get(by.token)?.threadId, logged?.payload['reason']],
    [id, id, 'it does well'],
  )
  for (const [parameters, code] of [
    [{ add_turns: 5 }, 'PERMISSION_DENIED'],
    [{ add_usd: 100 }, 'BUDGET_EXCEEDED'],
    [{}, 'INVALID_REQUEST'],
  ] as const)
    assert.equal(codeOf(await shop.call('raise_budget', { thread_id: child, ...parameters }, context)), code)
  assert.equal(codeOf(await shop.call('raise_budget', { thread_id: id, add_usd: 1 }, context)), 'PERMISSION_DENIED')
  await shop.call('cancel_thread', { thread_id: id, mode: 'now' })
  await shop.until(child, 'cancelled')
})

test('a detached child goes on when its parent is cancelled, and the receipt says so', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: ALL_BUT('parent'), child: limited('child', '') },
    scenario: ({ firstUserText, turn }) => {
      if (firstUserText.includes('<directive name="child"') || turn > 1) return STALL
      return executes(
        ['thread_directive', { directive_name: 'child', on_parent_end: 'detach' }],
        ['thread_directive', { directive_name: 'child' }],
        ['thread_directive', { directive_name: 'child' }],
      )
    },
  })
  const id = await shop.spawn('parent')
  const deadline = performance.now() + 10_000
  while (shop.threads.list({ parent_thread_id: id }).length < 3) {
    assert.ok(performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const children = shop.threads.list({ parent_thread_id: id })
  const detached = children.find(({ on_parent_end: end }) => end === 'detach')?.thread_id ?? ''
  const tree = resultOf(await shop.call('thread_registry', { action: 'tree', thread_id: id }))['tree'] as JsonObject
  assert.deepEqual((tree['children'] as JsonObject[]).map(({ detached: mark }) => mark).filter(Boolean), [true])
  const receipt = resultOf(await shop.call('cancel_thread', { thread_id: id, mode: 'now' }))
  assert.deepEqual([receipt['reached'], receipt['detached']], [3, [detached]])
  for (const child of children)
    if (child.thread_id !== detached) assert.equal((await shop.until(child.thread_id, 'cancelled')).status, 'cancelled')
  await shop.until(id, 'cancelled')
  assert.equal(shop.threads.get(detached).status, 'running')
  await shop.call('cancel_thread', { thread_id: detached, mode: 'now' })
  await shop.until(detached, 'cancelled')
})

test('a supervisor that asks for it is woken when its child waits for a person, and lets it go on', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { parent: directive('parent'), child: directive('child') },
    scenario: (conversation) => {
      const { firstUserText, lastUserText, turn, results } = conversation
      if (firstUserText.includes('<directive name="child"')) {
        if (lastUserText.includes('The blue one.')) return says('It is blue.')
        return { reply: { tool_calls: [{ name: 'help', arguments: { action: 'escalate', reason: 'Which one?' } }] } }
      }
      const child = /"thread_id":"([\w-]+)"/.exec(results[0]?.content ?? '')?.[1] ?? ''
      if (turn === 1) return executes(['thread_directive', { directive_name: 'child' }])
      if (turn === 2) return executes(['wait_thread', { thread_id: child, wake_on_waiting: true }])
      if (turn === 3) return executes(['resume_thread', { thread_id: child, message: 'The blue one.' }])
      if (turn === 4) return executes(['wait_thread', { thread_id: child }])
      return says('All done.')
    },
  })
  const id = await shop.spawn('parent')
  const parent = await shop.until(id, 'completed', 'error')
  assert.deepEqual([parent.end_reason, parent.turn], ['done', 5], JSON.stringify(parent.result))
  const woken = JSON.parse(shop.results(id)[1] ?? '{}') as { threads: JsonObject[]; note: string }
  assert.deepEqual([woken.threads[0]?.['status'], woken.threads[0]?.['wait_reason']], ['waiting', 'escalated'])
  assert.match(JSON.stringify(woken.threads[0]?.['allowed_actions']), /"resume"/)
  assert.match(woken.note, /only when somebody acts/)
  const ended = JSON.parse(shop.results(id)[3] ?? '{}') as { settled: boolean; threads: JsonObject[] }
  assert.deepEqual(
    [ended.settled, ended.threads[0]?.['result'], ended.threads[0]?.['guarantee']],
    [true, { text: 'It is blue.' }, 'hard'],
  )
})

test('a thread that may not steer reads itself and nothing else', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { plain: limited('plain', '<execute resource="tool" id="*"/>'), work: directive('work') },
    scenario: () => STALL,
  })
  const id = await shop.spawn('plain')
  const context = await shop.asThread(id)
  const other = await shop.spawn('work')
  for (const tool of ['pause_thread', 'retry_thread', 'raise_budget', 'fork_thread', 'cancel_thread']) {
    const answer = await shop.call(tool, { thread_id: other, ...(tool === 'raise_budget' ? { add_usd: 1 } : {}) }, context)
    assert.equal(codeOf(answer), 'PERMISSION_DENIED', tool)
  }
  for (const thread of [id, other]) await shop.call('cancel_thread', { thread_id: thread, mode: 'now' })
  for (const thread of [id, other]) await shop.until(thread, 'cancelled')
})

async function childOf(shop: Workshop, parent: string): Promise<string> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const [child] = shop.threads.list({ parent_thread_id: parent })
    if (child !== undefined) return child.thread_id
    assert.ok(performance.now() < deadline, 'no child came')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
