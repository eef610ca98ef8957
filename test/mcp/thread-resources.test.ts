import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ProtocolError, type Client } from '@modelcontextprotocol/client'
import { MAX_RESULT_BYTES } from '../../src/mcp/bounded-result.ts'
import { createThreadResources } from '../../src/mcp/thread-resources.ts'
import { APPROVALS_URI } from '../../src/mcp/thread-uri.ts'
import { request } from '../threads/fixture.ts'
import { connect, eventually, serveProject, threadsAlone, writeDirective, type ServedProject } from './serving-fixture.ts'

let served: ServedProject
let threadId = ''

before(async () => {
  served = await serveProject((conversation) => {
    if (conversation.lastUserText.includes('finish')) return { reply: { text: 'done' } }
    const call = { name: 'execute', arguments: { item_type: 'tool', item_id: 'count_words', parameters: { text: 'a b' } } }
    return { reply: { text: `walking, turn ${conversation.turn}`, tool_calls: [call], delay_ms: 20 } }
  })
  await writeDirective(served.project, 'long_walk')
})
after(() => served.close())

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await served.project.run(...args)
  assert.equal(code, 0, stderr)
  return stdout.trim()
}

async function textOf(client: Client, uri: string): Promise<{ readonly text: string; readonly mimeType: string | undefined }> {
  const { contents } = await client.readResource({ uri })
  const [content] = contents
  assert.ok(content !== undefined && 'text' in content && contents.length === 1)
  assert.equal(content.uri, uri)
  return { text: content.text, mimeType: content.mimeType }
}

async function linesOf(client: Client, uri: string): Promise<readonly Record<string, unknown>[]> {
  const { text } = await textOf(client, uri)
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test('a project without threads has no resources but that of their questions, and looking for them leaves nothing in it', async () => {
  const client = await connect(served.serving, 'modern')
  const { resources } = await client.listResources()
  assert.deepEqual(
    resources.map(({ uri }) => uri),
    [APPROVALS_URI],
  )
  assert.deepEqual(JSON.parse((await textOf(client, APPROVALS_URI)).text).approvals, [])
  assert.equal(existsSync(join(served.project.path, '.ai', 'threads', 'registry.db')), false)
  await client.close()
})

for (const era of ['legacy', 'modern'] as const) {
  describe(`in the ${era} era`, () => {
    let client: Client

    before(async () => {
      client = await connect(served.serving, era)
      threadId = await run('run', 'hello_kiwi', 'finish', '--detach')
      await served.project.run('wait', threadId, '--timeout', '60')
    })
    after(() => client.close())

    test('each thread is two resources, newest first, and templates say how they are named', async () => {
      const { resources } = await client.listResources()
      assert.deepEqual(
        resources.slice(1, 3).map(({ uri, mimeType }) => [uri, mimeType]),
        [
          [`thread://${threadId}`, 'application/json'],
          [`thread://${threadId}/transcript`, 'application/jsonl'],
        ],
      )
      const { resourceTemplates } = await client.listResourceTemplates()
      assert.deepEqual(
        resourceTemplates.map(({ uriTemplate }) => uriTemplate),
        ['thread://{thread_id}', 'thread://{thread_id}/transcript{?since}'],
      )
    })

    test('a thread reads as its registry row, its transcript as lines of JSON', async () => {
      const { text, mimeType } = await textOf(client, `thread://${threadId}`)
      const row = JSON.parse(text)
      assert.deepEqual([mimeType, row.thread_id, row.status], ['application/json', threadId, 'completed'])
      const lines = await linesOf(client, `thread://${threadId}/transcript`)
      assert.equal(lines[0]?.['seq'], 1)
      assert.ok(lines.some((line) => line['type'] === 'assistant_message' && line['content'] === 'done'))
    })

    test('a transcript is read on from a seq', async () => {
      const lines = await linesOf(client, `thread://${threadId}/transcript`)
      const rest = await linesOf(client, `thread://${threadId}/transcript?since=2`)
      assert.deepEqual(rest, lines.slice(2))
    })

    test('what names no thread is an unknown resource, with its URI', async () => {
      for (const uri of ['thread://nobody', `thread://${threadId}/other`, 'file:///etc/passwd', 'thread://../transcript'])
        await assert.rejects(
          client.readResource({ uri }),
          (error: unknown) =>
            ProtocolError.isInstance(error) && error.code === -32_602 && (error.data as { uri: string }).uri === uri,
        )
    })

    test('a cursor of another list is refused', async () => {
      await assert.rejects(client.listResources({ cursor: 'eHg' }), /Begin again without one/u)
    })
  })
}

test('a client of the older era is told of what it subscribed to, and of new threads once it has listed them', async () => {
  const client = await connect(served.serving, 'legacy')
  const updated: string[] = []
  let lists = 0
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => void updated.push(params.uri))
  client.setNotificationHandler('notifications/resources/list_changed', () => void (lists += 1))
  await client.listResources()
  const walk = await run('run', 'long_walk', '--detach')
  await eventually('the changed list', () => lists > 0)
  await assert.rejects(client.subscribeResource({ uri: 'thread://nobody' }), /There is no resource/u)
  await client.subscribeResource({ uri: `thread://${walk}/transcript` })
  await eventually('an update', () => updated.length > 0)
  await client.unsubscribeResource({ uri: `thread://${walk}/transcript` })
  await served.project.run('cancel', walk, '--now')
  assert.deepEqual([...new Set(updated)], [`thread://${walk}/transcript`])
  await client.close()
})

test('a list of more threads than a page holds is read page by page, each thread once', async () => {
  const threads = threadsAlone()
  for (let index = 0; index < 120; index += 1) await threads.spawn(request(`t_${index}`))
  const { kiwi } = served
  const kernel = kiwi.kernel(served.project.path)
  const resources = createThreadResources(async () => ({ kernel, threads, redact: (value) => value }))
  const uris: string[] = []
  let pages = 0
  for (let cursor: string | undefined; pages === 0 || cursor !== undefined; pages += 1) {
    const page = await resources.list(cursor)
    uris.push(
      ...page.resources.map(({ uri }) => uri).filter((uri) => uri.startsWith('thread://') && !uri.endsWith('/transcript')),
    )
    cursor = page.nextCursor
  }
  assert.equal(pages, 3)
  assert.deepEqual(
    uris,
    Array.from({ length: 120 }, (_, index) => `thread://t_${119 - index}`),
  )
  threads.close()
})

test('pages of threads with the longest ids there are stay small enough, and lose none', async () => {
  const threads = threadsAlone()
  const ids = Array.from({ length: 60 }, (_, index) => `${'t'.repeat(125)}_${String(index).padStart(2, '0')}`)
  for (const id of ids) await threads.spawn(request(id))
  const kernel = served.kiwi.kernel(served.project.path)
  const resources = createThreadResources(async () => ({ kernel, threads, redact: (value) => value }))
  const listed: string[] = []
  for (let cursor: string | undefined, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
    const page = await resources.list(cursor)
    assert.ok(Buffer.byteLength(JSON.stringify(page)) <= MAX_RESULT_BYTES)
    listed.push(...page.resources.map(({ name }) => name).filter((name) => name.startsWith('t') && !name.endsWith('/transcript')))
    cursor = page.nextCursor
  }
  assert.deepEqual(listed.toReversed(), ids)
  threads.close()
})

test('a long transcript shows its newest part and says how to read the rest, which is all of it', async () => {
  const threads = threadsAlone()
  await threads.spawn(request('t'))
  for (let index = 0; index < 700; index += 1) await threads.logEvent('t', 'note', { text: `${index} ${'x'.repeat(200)}` })
  const kernel = served.kiwi.kernel(served.project.path)
  const resources = createThreadResources(async () => ({ kernel, threads, redact: (value) => value }))
  const read = async (uri: string): Promise<readonly { seq?: number; type: string; read?: string }[]> => {
    const [content] = (await resources.read(uri)).contents
    assert.ok(content !== undefined && 'text' in content && Buffer.byteLength(content.text) <= MAX_RESULT_BYTES)
    return content.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  }
  const newest = await read('thread://t/transcript')
  const last = threads.events('t', { last: 1 })[0]?.seq
  assert.equal(newest.at(-1)?.seq, last)
  const seqs: (number | undefined)[] = []
  let uri = newest[0]?.read
  assert.equal(uri, 'thread://t/transcript?since=0')
  while (uri !== undefined) {
    const lines = await read(uri)
    const events = lines.filter((line) => line.seq !== undefined)
    seqs.push(...events.map(({ seq }) => seq))
    uri = lines.find((line) => line.seq === undefined)?.read
  }
  assert.deepEqual(
    seqs,
    Array.from({ length: last ?? 0 }, (_, index) => index + 1),
  )
  threads.close()
})

test('what is secret is in neither resource', async () => {
  const threads = threadsAlone()
  await threads.spawn(request('t', { inputs: {}, initialMessage: 'x' }))
  await threads.logEvent('t', 'note', { text: 'the key is hunter22hunter22' })
  const kernel = served.kiwi.kernel(served.project.path)
  const redact = (value: object): never => JSON.parse(JSON.stringify(value).replaceAll('hunter22hunter22', '[secret]')) as never
  const resources = createThreadResources(async () => ({ kernel, threads, redact }))
  const [content] = (await resources.read('thread://t/transcript')).contents
  assert.ok(content !== undefined && 'text' in content)
  assert.doesNotMatch(content.text, /hunter22/u)
  assert.match(content.text, /\[secret\]/u)
  threads.close()
})
