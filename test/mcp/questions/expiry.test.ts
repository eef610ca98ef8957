import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Client } from '@modelcontextprotocol/client'
import { APPROVALS_URI } from '../../../src/mcp/thread-uri.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { connect, eventually, serveProject, type Era, type ServedProject } from '../serving-fixture.ts'
import { FORMS, SCENARIO, approve, askingThread, furnish, page, showForms, waited } from './asking-fixture.ts'

const DEADLINE_MS = 12_000

let served: ServedProject
let threads: ThreadsClient

before(async () => {
  served = await serveProject(SCENARIO, { deadlineMs: DEADLINE_MS })
  await furnish(served.project)
  // The host of the threads reads it when it starts.
  writeFileSync(join(String(served.project.options.env?.['USER_SPACE']), 'config.yaml'), 'approvals:\n  timeout_seconds: 4\n')
  threads = served.kiwi.threads(served.project.path)
})
after(() => served.close())

async function openTexts(client: Client): Promise<readonly { readonly approval_id: string }[]> {
  const { contents } = await client.readResource({ uri: APPROVALS_URI })
  const [content] = contents
  assert.ok(content !== undefined && 'text' in content)
  return JSON.parse(content.text).approvals
}

test('a question that expires while its dialog is open is a no: the dialog closes, and the wait goes on', async () => {
  const client = await connect(served.serving, 'legacy', FORMS)
  const { threadId, question } = await askingThread(served.project, threads, { message: 'page late_legacy' })
  const closed = Promise.withResolvers<null>()
  showForms(client, async (_, signal) => {
    await once(signal, 'abort')
    closed.resolve(null)
    return approve()
  })
  const answer = await waited(client, threadId)
  await closed.promise
  assert.deepEqual(
    [answer.threads[0]?.status, answer.asked],
    ['completed', [{ approval_id: question.approval_id, status: 'expired' }]],
  )
  assert.match(JSON.stringify(answer.threads[0]?.result), /nobody answered in time/u)
  assert.equal(page(served.project, 'late_legacy'), null)
  await client.close()
})

test('an answer of the newer era that comes after the expiry is none', async () => {
  const client = await connect(served.serving, 'modern', FORMS)
  const { threadId, question } = await askingThread(served.project, threads, { message: 'page late_modern' })
  showForms(client, async () => {
    await eventually('the expiry', () => threads.approvals.get(question.approval_id).status === 'expired')
    return approve()
  })
  const answer = await waited(client, threadId)
  assert.deepEqual(
    [answer.threads[0]?.status, answer.asked],
    ['completed', [{ approval_id: question.approval_id, status: 'expired' }]],
  )
  assert.equal(page(served.project, 'late_modern'), null)
  await client.close()
})

for (const era of ['legacy', 'modern'] as const satisfies readonly Era[])
  test(`a client of the ${era} era reads the open questions as a resource, and is told when one opens or closes`, async () => {
    const client = await connect(served.serving, era)
    const updated: string[] = []
    const stop = await listen(client, era, (uri) => void updated.push(uri))
    const { threadId, question } = await askingThread(served.project, threads, { message: `page resource_${era}` })
    await eventually('the opened question', () => updated.includes(APPROVALS_URI))
    assert.deepEqual(
      (await openTexts(client)).map(({ approval_id: id }) => id),
      [question.approval_id],
    )
    const row = await client.readResource({ uri: `thread://${threadId}` })
    assert.match(JSON.stringify(row), new RegExp(`allowed_actions.*answer.*${question.approval_id}`, 'u'))
    updated.length = 0
    await eventually('the closed question', () => updated.includes(APPROVALS_URI))
    assert.deepEqual(await openTexts(client), [])
    await stop()
    await client.close()
  })

/** In the newer era the door listens for its clients. */
async function listen(client: Client, era: Era, onUpdated: (uri: string) => void): Promise<() => unknown> {
  if (era === 'modern') return served.serving.onResourceUpdated(onUpdated)
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => onUpdated(params.uri))
  await client.subscribeResource({ uri: APPROVALS_URI })
  return () => client.unsubscribeResource({ uri: APPROVALS_URI })
}
