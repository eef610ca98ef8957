import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { JsonObject } from '../../../../src/json.ts'
import { directive, executes, limited, openWorkshop, runtimeTool, says } from '../workshop.ts'
import type { Workshop, WorkshopOptions } from '../workshop.ts'

const STALL = { reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } } as const

/** A thread that is held by a pause after its first turn. */
async function heldThread(shop: Workshop, name = 'work'): Promise<string> {
  const id = await shop.spawn(name)
  await shop.call('pause_thread', { thread_id: id })
  await shop.until(id, 'paused')
  return id
}

const WORK: WorkshopOptions = {
  directives: { work: directive('work') },
  files: { 'a.txt': 'x\n' },
  scenario: ({ turn }) =>
    turn < 3
      ? { reply: { ...executes(['read_file', { path: 'a.txt', offset_line: turn }]).reply, text: `turn ${turn}`, delay_ms: 20 } }
      : says('Done.'),
}

function textIn(shop: Workshop, path: string): string {
  const file = join(shop.projectPath, path)
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

test('a destination that is added to a running thread gets the next call, and none before', async (t) => {
  const shop = await openWorkshop(t, WORK)
  const id = await heldThread(shop)
  const turns = shop.threads.get(id).turn
  const answer = await shop.call('add_sink', {
    thread_id: id,
    destination: { type: 'file', path: 'out/{thread_id}.jsonl', format: 'jsonl' },
    reason: 'I want to look',
  })
  assert.ok(answer.success, JSON.stringify(answer))
  await shop.call('resume_thread', { thread_id: id })
  assert.equal((await shop.until(id, 'completed', 'error')).end_reason, 'done')
  const text = textIn(shop, `out/${id}.jsonl`)
  assert.match(text, /"Done\."|Done\./)
  for (let turn = 1; turn <= turns; turn += 1) assert.doesNotMatch(text, new RegExp(`turn ${turn}`))
  const [added] = shop.events(id, 'intervention').filter(({ payload }) => payload['action'] === 'sink')
  assert.deepEqual([added?.payload['destination'], added?.payload['reason']], ['file', 'I want to look'])
})

test('what cannot be used is refused when it is added, and nothing is written', async (t) => {
  const shop = await openWorkshop(t, { ...WORK, secrets: { API_TOKEN: 'sesame-open-0001' } })
  const id = await heldThread(shop)
  const cases: readonly (readonly [JsonObject, RegExp])[] = [
    [{ type: 'nowhere' }, /ITEM_NOT_FOUND/],
    [{ type: 'read_file', path: 'a' }, /is no sink/],
    [{ type: 'return' }, /is no sink/],
    [{ type: 'file_sink' }, /PARAMETER_VALIDATION_ERROR/],
    [{ type: 'file_sink', path: 'x', colour: 'red' }, /PARAMETER_VALIDATION_ERROR/],
    [{ type: 'file_sink', path: '../out.jsonl' }, /PATH_OUTSIDE_PROJECT/],
    [{ type: 'file_sink', path: '/tmp/out.jsonl' }, /PATH_OUTSIDE_PROJECT/],
    [{ type: 'file_sink', path: '.git/hooks/x' }, /PERMISSION_DENIED/],
    [{ type: 'websocket_sink', url: 'file:///etc/passwd' }, /INVALID_REQUEST/],
    [{ type: 'websocket_sink', url: 'ws://example.com/?key=sesame-open-0001' }, /SECRET_IN_PARAMETERS/],
  ]
  for (const [destination, expected] of cases) {
    const answer = await shop.call('add_sink', { thread_id: id, destination })
    assert.equal(answer.success, false, JSON.stringify(destination))
    assert.match(JSON.stringify(answer), expected)
  }
  assert.deepEqual(
    shop.events(id, 'intervention').filter(({ payload }) => payload['action'] === 'sink'),
    [],
  )
})

test('a destination that breaks loses events and not the thread', async (t) => {
  const shop = await openWorkshop(t, {
    ...WORK,
    tools: {
      broken: runtimeTool('')
        .replace("'runtime'", "'sink'")
        .replace(/export default[\s\S]*/, 'export default async () => { throw new Error("no disk") }\n'),
    },
  })
  const id = await heldThread(shop)
  const added = await shop.call('add_sink', { thread_id: id, destination: { type: 'broken' } })
  assert.ok(added.success, JSON.stringify(added))
  await shop.call('resume_thread', { thread_id: id })
  assert.equal((await shop.until(id, 'completed', 'error')).end_reason, 'done')
  const [loss] = shop.events(id, 'sink_loss')
  assert.equal(loss?.payload['sink'], 'broken')
  assert.ok(Number(loss?.payload['lost']) > 0)
})

const SPAWNS = '<orchestration enabled="true"></orchestration><execute resource="tool" id="add_sink"/>'

// Guards: the call of `gate.authorize` in add-sink.ts, and the narrow grant that `addedDestinations` makes of what it allowed.
test('a thread adds a destination only where its own token reaches, and the sink no further', async (t) => {
  const shop = await openWorkshop(t, {
    directives: {
      parent: limited('parent', `${SPAWNS}<write resource="filesystem" path="out/**"/><execute resource="tool" id="file_sink"/>`),
      plain: limited('plain', `${SPAWNS}<write resource="filesystem" path="out/**"/>`),
      child: limited('child', ''),
    },
    scenario: ({ firstUserText, turn }) => {
      if (firstUserText.includes('<directive name="child"'))
        return { reply: { text: 'child says hello', delay_ms: 10, piece_chars: 2 } }
      return turn === 1 ? executes(['thread_directive', { directive_name: 'child' }]) : STALL
    },
  })
  for (const name of ['parent', 'plain']) {
    const id = await shop.spawn(name)
    const context = await shop.asThread(id)
    const child = await childOf(shop, id)
    const add = async (path: string): Promise<string> =>
      JSON.stringify(await shop.call('add_sink', { thread_id: child, destination: { type: 'file_sink', path } }, context))
    if (name === 'plain') {
      assert.match(await add('out/a.jsonl'), /PERMISSION_DENIED.*file_sink|file_sink.*PERMISSION_DENIED/)
    } else {
      assert.match(await add('src/a.jsonl'), /PERMISSION_DENIED.*fs\.write|fs\.write.*PERMISSION_DENIED/)
      assert.match(await add('.ai/tools/a.ts'), /PERMISSION_DENIED/)
    }
    await shop.call('cancel_thread', { thread_id: id, mode: 'now' })
    await shop.until(id, 'cancelled')
  }
})

const ASKED_SINK = runtimeTool('', "export const __approval__ = 'required'")
  .replace("'runtime'", "'sink'")
  .replace(
    /export default[\s\S]*/,
    'export default async () => ({ write: async () => undefined, close: async () => undefined })\n',
  )

// Guard: the look at `approval` in add-sink.ts.
test('a thread adds no sink that somebody has to agree to', async (t) => {
  const shop = await openWorkshop(t, {
    tools: { guarded: ASKED_SINK },
    directives: {
      parent: limited('parent', `${SPAWNS}<execute resource="tool" id="guarded"/>`),
      child: limited('child', ''),
    },
    scenario: ({ firstUserText, turn }) => {
      if (firstUserText.includes('<directive name="child"')) return STALL
      return turn === 1 ? executes(['thread_directive', { directive_name: 'child' }]) : STALL
    },
  })
  const id = await shop.spawn('parent')
  const context = await shop.asThread(id)
  const child = await childOf(shop, id)
  const add = async (as: Partial<typeof context>): Promise<string> =>
    JSON.stringify(await shop.call('add_sink', { thread_id: child, destination: { type: 'guarded' } }, as))
  assert.match(await add(context), /tool\.approved.*PERMISSION_DENIED/)
  assert.match(await add({}), /"success":true/)
  await shop.call('cancel_thread', { thread_id: id, mode: 'now' })
  await shop.until(id, 'cancelled')
})

test('the sink that a thread added connects to nothing that the thread was not asked for', async (t) => {
  const shop = await openWorkshop(t, WORK)
  const received: string[] = []
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.on('connection', (socket, { url }) => socket.on('message', () => void received.push(url ?? '')))
  const id = await heldThread(shop)
  for (const [path, host] of [
    ['granted', `127.0.0.1:${port}`],
    ['other', 'example.com'],
  ] as const) {
    const url = `ws://127.0.0.1:${port}/${path}`
    const destination = { type: 'websocket_sink', url, reconnect_attempts: 0, __reach: { 'net.websocket': [host] } }
    await shop.threads.signal(id, { id: path, kind: 'sink', body: { destination } })
  }
  await shop.call('resume_thread', { thread_id: id })
  assert.equal((await shop.until(id, 'completed', 'error')).end_reason, 'done')
  assert.deepEqual([...new Set(received)], ['/granted'])
  assert.ok(shop.events(id, 'sink_loss').length > 0)
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
