import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import type { Client, ElicitResult } from '@modelcontextprotocol/client'
import { createMcpServing } from '../../../src/mcp/server.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { connect, eventually, serveProject, type Era, type ServedProject } from '../serving-fixture.ts'
import {
  FORMS,
  HOSTILE,
  PAGE,
  SCENARIO,
  approve,
  askingThread,
  execute,
  furnish,
  page,
  showForms,
  waited,
  type Waited,
} from './asking-fixture.ts'

let served: ServedProject
let threads: ThreadsClient

before(async () => {
  served = await serveProject(SCENARIO)
  await furnish(served.project)
  threads = served.kiwi.threads(served.project.path)
})
after(() => served.close())

const asking = (message: string, directive = 'asks') => askingThread(served.project, threads, { directive, message })

function resultOf({ threads: [thread] }: Waited): string {
  return JSON.stringify(thread?.result ?? null)
}

for (const era of ['legacy', 'modern'] as const satisfies readonly Era[])
  describe(`a client of the ${era} era with forms`, () => {
    let client: Client

    before(async () => {
      client = await connect(served.serving, era, FORMS)
    })
    after(() => client.close())

    test('is asked what exactly a thread wants to do, and the thread goes on when its user agrees', async () => {
      const { threadId, question } = await asking(`page agreed_${era}`)
      const forms = showForms(client, () => approve())
      const answer = await waited(client, threadId)
      const [{ message, requestedSchema } = { message: '', requestedSchema: null }] = forms
      for (const part of [question.approval_id, threadId, 'asks', '| tool: publish', `site/agreed_${era}.txt`, '| +three'])
        assert.ok(message.includes(part), `${part} in ${message}`)
      assert.match(JSON.stringify(requestedSchema), /"approve_once","approve_thread","deny"/u)
      assert.equal(page(served.project, `agreed_${era}`), PAGE)
      assert.deepEqual([answer.settled, answer.threads[0]?.status, forms.length], [true, 'completed', 1])
      assert.deepEqual(answer.asked, [
        { approval_id: question.approval_id, status: 'approved', decision: 'approve_once', reason: '' },
      ])
      assert.deepEqual(threads.approvals.get(question.approval_id).answer?.by, {
        kind: 'operator',
        door: 'mcp',
        client: 'kiwi-test',
      })
    })

    test('denies with a reason, which the thread is told', async () => {
      const { threadId } = await asking(`page denied_${era}`)
      showForms(client, () => approve({ decision: 'deny', reason: 'not on a Friday' }))
      const answer = await waited(client, threadId)
      assert.equal(page(served.project, `denied_${era}`), null)
      assert.match(resultOf(answer), /PERMISSION_DENIED.*not on a Friday/u)
      assert.deepEqual(
        answer.asked.map(({ status, reason }) => [status, reason]),
        [['denied', 'not on a Friday']],
      )
    })

    test('declines, which is a no', async () => {
      const { threadId } = await asking(`page declined_${era}`)
      showForms(client, () => ({ action: 'decline' }))
      assert.match(resultOf(await waited(client, threadId)), /PERMISSION_DENIED.*declined by the user/u)
      assert.equal(page(served.project, `declined_${era}`), null)
    })

    test('is answered with the open question when its user puts it aside, and asked again at the next wait', async () => {
      const { threadId, question } = await asking(`page aside_${era}`)
      const first = showForms(client, () => ({ action: 'cancel' }))
      const answer = await waited(client, threadId)
      assert.equal(first.length, 1)
      assert.deepEqual(
        answer.approvals?.map(({ approval_id: id, thread_id: thread }) => [id, thread]),
        [[question.approval_id, threadId]],
      )
      assert.ok(answer.threads[0]?.allowed_actions.includes('answer'))
      assert.equal(threads.approvals.get(question.approval_id).status, 'pending')
      const second = showForms(client, () => approve())
      assert.equal((await waited(client, threadId)).threads[0]?.status, 'completed')
      assert.equal(second.length, 1)
    })

    test('is not believed where the answer is none of the form', async () => {
      const { threadId, question } = await asking(`page unclear_${era}`)
      showForms(client, () => ({ action: 'accept', content: { decision: 'yes', reason: 'approve_once' } }))
      const answer = await waited(client, threadId)
      assert.deepEqual([answer.threads[0]?.status, answer.asked[0]?.status], ['waiting', 'pending'])
      assert.equal(threads.approvals.get(question.approval_id).answer, null)
    })

    test('is asked for a thread below the one that it waits for', async () => {
      const { threadId, question } = await asking(`boss page below_${era}`, 'boss')
      assert.notEqual(question.thread_id, threadId)
      const forms = showForms(client, () => approve())
      assert.equal((await waited(client, threadId)).threads[0]?.status, 'completed')
      assert.equal(forms.length, 1)
      assert.equal(page(served.project, `below_${era}`), PAGE)
    })

    test('is asked when the question comes while it waits', async () => {
      const { stdout } = await served.project.run('run', 'boss', `boss page meanwhile_${era}`, '--detach')
      const forms = showForms(client, () => approve())
      assert.equal((await waited(client, stdout.trim())).threads[0]?.status, 'completed')
      assert.equal(forms.length, 1)
    })

    test('is asked one question after the other, the oldest first', async () => {
      const [first, second] = [await asking(`page first_${era}`), await asking(`boss page second_${era}`, 'boss')]
      let [open, most] = [0, 0]
      const forms = showForms(client, async () => {
        open += 1
        most = Math.max(most, open)
        await new Promise((resolve) => setImmediate(resolve))
        open -= 1
        return approve()
      })
      const answer = await waited(client, second.threadId, { thread_ids: [first.threadId] })
      assert.deepEqual(
        answer.threads.map(({ status }) => status),
        ['completed', 'completed'],
      )
      assert.deepEqual(
        forms.map(({ message }) => /Id: (?<id>\S+)/u.exec(message)?.groups?.['id']),
        [first.question.approval_id, second.question.approval_id],
      )
      assert.equal(most, 1)
    })

    test('sees what a hostile text hides, each line of it quoted', async () => {
      const { threadId } = await asking(`hostile page hostile_${era}`)
      const [form] = await (async () => {
        const forms = showForms(client, () => approve({ decision: 'deny' }))
        await waited(client, threadId)
        return forms
      })()
      const message = form?.message ?? ''
      assert.match(message, /^\| \+safe\\u\{202E\}txt\.exe\\u\{7\}\\u\{1B\}\[2Jx\\u\{200B\}$/mu)
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(message, /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u200B-\u200F\u202A-\u202E\u2066-\u2069]/u)
      assert.equal(message.match(/^approve_once:/gmu)?.length, 1)
      assert.ok(HOSTILE.includes('\napprove_once:'))
    })

    test('is told of a thread that is not there as ever', async () => {
      showForms(client, () => approve())
      const answer = await execute(client, 'wait_thread', { thread_id: 'nobody' })
      assert.match(JSON.stringify(answer.structuredContent), /THREAD_NOT_FOUND/u)
    })
  })

for (const era of ['legacy', 'modern'] as const satisfies readonly Era[])
  test(`a client of the ${era} era without forms is told what waits, and answers by the tool`, async () => {
    const client = await connect(served.serving, era, { capabilities: { elicitation: { url: {} } } })
    const { threadId, question } = await asking(`page tool_${era}`)
    const answer = await waited(client, threadId)
    assert.deepEqual([answer.settled, answer.asked], [true, []])
    const [open] = answer.approvals ?? []
    assert.deepEqual([open?.approval_id, open?.thread_id, open?.title], [question.approval_id, threadId, question.title])
    await execute(client, 'answer_approval', { approval_id: open?.approval_id, decision: 'approve_once' })
    await eventually('the page', () => page(served.project, `tool_${era}`) === PAGE)
    assert.match(client.getInstructions() ?? '', /answer_approval \{approval_id, decision/u)
    await client.close()
  })

test('a user who does not decide keeps no call from its answer, and what is said later still counts', async () => {
  const client = await connect(served.serving, 'legacy', FORMS)
  const { threadId, question } = await asking('page later')
  const decided = Promise.withResolvers<ElicitResult>()
  const forms = showForms(client, () => decided.promise)
  const answer = await waited(client, threadId, { timeout_seconds: 0.5 })
  assert.deepEqual(
    [answer.threads[0]?.status, answer.approvals?.[0]?.approval_id, answer.asked[0]?.status],
    ['waiting', question.approval_id, 'pending'],
  )
  // Another wait finds the dialog open, and opens no second one.
  const next = waited(client, threadId)
  decided.resolve(approve())
  assert.equal((await next).threads[0]?.status, 'completed')
  assert.equal(forms.length, 1)
  await client.close()
})

test('a wait of no certain length is answered in time when nobody decides', async () => {
  const { kiwi, project } = served
  const serving = createMcpServing({
    open: async (path) => ({ kernel: kiwi.kernel(path), threads: kiwi.threads(path), redact: (value) => value }),
    projectPath: project.path,
    version: '0.0.0',
    deadlineMs: 2_000,
  })
  const client = await connect(serving, 'legacy', FORMS)
  const { threadId, question } = await asking('page undecided')
  const forms = showForms(client, () => new Promise(() => undefined))
  const answer = await waited(client, threadId)
  assert.deepEqual([answer.threads[0]?.status, answer.approvals?.[0]?.approval_id], ['waiting', question.approval_id])
  assert.equal(forms.length, 1)
  await client.close()
  await serving.close()
})

test('two waits at once open one dialog', async () => {
  const client = await connect(served.serving, 'legacy', FORMS)
  const { threadId } = await asking('page twice')
  const forms = showForms(client, () => approve())
  const answers = await Promise.all([waited(client, threadId), waited(client, threadId)])
  assert.deepEqual(
    answers.map(({ threads: [thread] }) => thread?.status),
    ['completed', 'completed'],
  )
  assert.equal(forms.length, 1)
  await client.close()
})

test('the dialog is closed when somebody answers elsewhere, and the wait goes on', async () => {
  const client = await connect(served.serving, 'legacy', FORMS)
  const { threadId, question } = await asking('page elsewhere')
  const closed = Promise.withResolvers<null>()
  const forms = showForms(client, async (_, signal) => {
    await once(signal, 'abort')
    closed.resolve(null)
    return approve()
  })
  const waiting = waited(client, threadId)
  await eventually('the dialog', () => forms.length === 1)
  await execute(client, 'answer_approval', { approval_id: question.approval_id, decision: 'deny', reason: 'elsewhere' })
  await closed.promise
  const answer = await waiting
  assert.match(resultOf(answer), /elsewhere/u)
  assert.equal(page(served.project, 'elsewhere'), null)
  await client.close()
})

test('the dialog is closed when its call is cancelled, and the question stays open', async () => {
  const client = await connect(served.serving, 'legacy', FORMS)
  const { threadId, question } = await asking('page cancelled')
  const closed = Promise.withResolvers<null>()
  const controller = new AbortController()
  showForms(client, async (_, signal) => {
    signal.addEventListener('abort', () => closed.resolve(null), { once: true })
    controller.abort(new Error('enough'))
    await closed.promise
    return approve()
  })
  const wait = { item_type: 'tool', item_id: 'wait_thread', parameters: { thread_id: threadId } }
  await assert.rejects(client.callTool({ name: 'execute', arguments: wait }, { signal: controller.signal }), /enough/u)
  await closed.promise
  assert.equal(threads.approvals.get(question.approval_id).status, 'pending')
  await client.close()
})

test('a client of the newer era that does not come back with an answer leaves the question open', async () => {
  const client = await connect(served.serving, 'modern', FORMS)
  const { threadId, question } = await asking('page away')
  const wait = { item_type: 'tool', item_id: 'wait_thread', parameters: { thread_id: threadId } }
  const first = await client.callTool({ name: 'execute', arguments: wait }, { allowInputRequired: true })
  const { resultType, inputRequests } = first as unknown as { resultType: string; inputRequests: object }
  assert.deepEqual([resultType, Object.keys(inputRequests)], ['input_required', [question.approval_id]])
  assert.equal(threads.approvals.get(question.approval_id).status, 'pending')
  await client.close()
})

test('a disconnected client has answered nothing', async () => {
  const client = await connect(served.serving, 'legacy', FORMS)
  const { threadId, question } = await asking('page gone')
  const shown = Promise.withResolvers<null>()
  showForms(client, () => {
    shown.resolve(null)
    return new Promise(() => undefined)
  })
  const waiting = waited(client, threadId)
  waiting.catch(() => undefined)
  await shown.promise
  await client.close()
  await assert.rejects(waiting)
  assert.equal(threads.approvals.get(question.approval_id).status, 'pending')
})
