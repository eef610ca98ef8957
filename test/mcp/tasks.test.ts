import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { InMemoryTransport } from '@modelcontextprotocol/client'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { connect, eventually, serveProject, writeDirective, type ServedProject } from './serving-fixture.ts'

const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } }
const TASKS_AND_FORMS = { ...TASKS, elicitation: { form: {} } }

type Message = Readonly<Record<string, unknown>>

let served: ServedProject
let lastRequest = ''

before(async () => {
  served = await serveProject((conversation, { body }) => {
    lastRequest = JSON.stringify(body)
    if (conversation.firstUserText.includes('finish') || conversation.lastUserText.includes('finish'))
      return { reply: { text: 'done' } }
    const parameters = { text: 'word '.repeat(conversation.turn) }
    const call = { name: 'execute', arguments: { item_type: 'tool', item_id: 'count_words', parameters } }
    return { reply: { text: `walking, turn ${conversation.turn}`, tool_calls: [call], delay_ms: 20 } }
  })
  await writeDirective(served.project, 'long_walk')
  await writeDirective(served.project, 'short_walk', { cost: '<max_turns>2</max_turns><on_exceeded>stop</on_exceeded>' })
  await writeDirective(served.project, 'asks_first', { cost: '<max_turns>2</max_turns><on_exceeded>escalate</on_exceeded>' })
})
after(() => served.close())

/** One request of the newer era as it goes over the wire: the client library knows nothing of tasks. A connection for each, as over HTTP. */
async function ask(method: string, params: Message, capabilities: Message = TASKS): Promise<Message> {
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  const handle = serveStdio(served.serving.factory, { transport: serverSide })
  const answer = Promise.withResolvers<Message>()
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the library's transport is no event target
  clientSide.onmessage = (message) => answer.resolve({ ...message })
  await clientSide.start()
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  }
  await clientSide.send({ jsonrpc: '2.0', id: randomUUID(), method, params: { ...params, _meta } })
  const message = await answer.promise
  await handle.close()
  return message
}

async function result(method: string, params: Message, capabilities?: Message): Promise<Message> {
  const message = await ask(method, params, capabilities)
  assert.ok('result' in message, JSON.stringify(message))
  return message['result'] as Message
}

function spawn(directive: string, message = 'walk', capabilities?: Message): Promise<Message> {
  const parameters = { directive_name: directive, initial_message: message }
  const call = { item_type: 'tool', item_id: 'thread_directive', parameters }
  return result('tools/call', { name: 'execute', arguments: call }, capabilities)
}

async function taskOf(directive: string, message?: string): Promise<string> {
  return String((await spawn(directive, message))['taskId'])
}

async function settled(taskId: string, status: string, capabilities?: Message): Promise<Message> {
  let task: Message = {}
  await eventually(`task ${status}`, async () => {
    task = await result('tasks/get', { taskId }, capabilities)
    return task['status'] === status
  })
  return task
}

test('a call that spawns a thread is answered with a task, whose id is that of the thread', async () => {
  const task = await spawn('hello_kiwi', 'finish')
  assert.deepEqual([task['resultType'], task['status'], task['ttlMs']], ['task', 'working', null])
  assert.equal(served.kiwi.threads(served.project.path).get(String(task['taskId'])).directive_id, 'hello_kiwi')
})

test('a client that does not offer tasks gets the receipt, in both eras', async () => {
  const { structuredContent, resultType } = await spawn('hello_kiwi', 'finish', {})
  assert.equal(resultType, 'complete')
  assert.match(JSON.stringify(structuredContent), /"status":"spawned"/u)
  const legacy = await connect(served.serving, 'legacy', { capabilities: TASKS })
  const parameters = { directive_name: 'hello_kiwi', initial_message: 'finish' }
  const call = { item_type: 'tool', item_id: 'thread_directive', parameters }
  const answer = await legacy.callTool({ name: 'execute', arguments: call })
  assert.match(JSON.stringify(answer.structuredContent), /"status":"spawned"/u)
  await legacy.close()
})

test('other calls, failed spawns and spawns in another project are answered as ever', async () => {
  assert.equal((await result('tools/call', { name: 'help', arguments: {} }))['resultType'], 'complete')
  const failed = await spawn('no_such_directive')
  assert.deepEqual([failed['resultType'], failed['isError']], ['complete', true])
  const other = join(served.project.path, 'other')
  mkdirSync(other)
  assert.equal((await served.project.run('-C', other, 'init')).code, 0)
  const parameters = { directive_name: 'hello_kiwi', initial_message: 'finish' }
  const args = { item_type: 'tool', item_id: 'thread_directive', parameters, project_path: other }
  const elsewhere = await result('tools/call', { name: 'execute', arguments: args })
  assert.deepEqual([elsewhere['resultType'], elsewhere['isError']], ['complete', false])
})

test('a task whose thread completes has its result', async () => {
  const task = await settled(await taskOf('hello_kiwi', 'finish'), 'completed')
  const answer = task['result'] as { isError: boolean; structuredContent: unknown; content: readonly { text: string }[] }
  assert.equal(answer.isError, false)
  assert.match(JSON.stringify(answer.structuredContent), /"status":"completed".*done/u)
  assert.equal(answer.content[0]?.text, JSON.stringify(answer.structuredContent))
})

test('a thread that ends badly is a completed task with a failed result', async () => {
  const task = await settled(await taskOf('short_walk'), 'completed')
  const answer = task['result'] as { isError: boolean; structuredContent: unknown }
  assert.equal(answer.isError, true)
  assert.match(JSON.stringify(answer.structuredContent), /EXECUTION_FAILED.*max_turns/u)
})

test('cancelling a task cancels its thread, and again does nothing', async () => {
  const taskId = await taskOf('long_walk')
  assert.deepEqual((await result('tasks/cancel', { taskId }))['resultType'], 'complete')
  await settled(taskId, 'cancelled')
  assert.equal(served.kiwi.threads(served.project.path).get(taskId).status, 'cancelled')
  await result('tasks/cancel', { taskId })
})

test('a task whose thread is paused asks for input, and goes on with what it is given', async () => {
  const taskId = await taskOf('long_walk')
  const pause = { item_type: 'tool', item_id: 'pause_thread', parameters: { thread_id: taskId } }
  await result('tools/call', { name: 'execute', arguments: pause })
  const { inputRequests } = await settled(taskId, 'input_required', TASKS_AND_FORMS)
  const [[key, request] = ['', null]] = Object.entries(inputRequests as Record<string, { method: string }>)
  assert.equal(request?.method, 'elicitation/create')
  assert.match(JSON.stringify(request), /is paused/u)
  const accept = { action: 'accept', content: { message: 'now finish' } }
  await result('tasks/update', { taskId, inputResponses: { [key]: accept } }, TASKS_AND_FORMS)
  await settled(taskId, 'completed')
  assert.match(lastRequest, /now finish/u)
})

test('a task whose thread has reached its limit asks for more, and goes on with what it is given', async () => {
  const taskId = await taskOf('asks_first')
  const { inputRequests } = await settled(taskId, 'input_required', TASKS_AND_FORMS)
  const [[key, request] = ['', null]] = Object.entries(inputRequests as Record<string, { method: string }>)
  assert.equal(request?.method, 'elicitation/create')
  assert.match(JSON.stringify(request), /max_turns is reached: 2 of 2.*more turns: 2.*add_turns/u)
  const content = { decision: 'approve_once', reason: 'now finish', add_turns: 3 }
  await result('tasks/update', { taskId, inputResponses: { [key]: { action: 'accept', content } } }, TASKS_AND_FORMS)
  await settled(taskId, 'completed')
  assert.match(lastRequest, /now finish/u)
  assert.equal(served.kiwi.threads(served.project.path).approvals.get(key).answer?.facts['add_turns'], 3)
})

test('a question that is declined is a no', async () => {
  const taskId = await taskOf('asks_first')
  const { inputRequests } = await settled(taskId, 'input_required', TASKS_AND_FORMS)
  const [key = ''] = Object.keys(inputRequests as object)
  await result('tasks/update', { taskId, inputResponses: { [key]: { action: 'decline' } } }, TASKS_AND_FORMS)
  const { result: answer } = await settled(taskId, 'completed')
  assert.match(JSON.stringify(answer), /EXECUTION_FAILED.*Denied\. declined by the user/u)
})

test('input that was put aside, or that nobody asked for, changes nothing', async () => {
  const taskId = await taskOf('asks_first')
  const { inputRequests, statusMessage } = await settled(taskId, 'input_required')
  // This client has no forms, so it is not asked; what the thread waits for is said all the same.
  assert.deepEqual(inputRequests, {})
  assert.match(String(statusMessage), /waiting \(budget_reached\).*asks: max_turns.*answer_approval budget_/u)
  const asked = await result('tasks/get', { taskId }, TASKS_AND_FORMS)
  const [key = ''] = Object.keys(asked['inputRequests'] as object)
  const accept = { action: 'accept', content: { decision: 'approve_once' } }
  const undecided = { action: 'accept', content: { decision: 'approve_thread' } }
  await result('tasks/update', { taskId, inputResponses: { [key]: { action: 'cancel' }, other: accept } })
  await result('tasks/update', { taskId, inputResponses: { [key]: undecided } })
  assert.equal((await result('tasks/get', { taskId }))['status'], 'input_required')
  await result('tasks/cancel', { taskId })
})

test('a task that is not there is an error, and so are parameters without one', async () => {
  for (const params of [{ taskId: 'nobody' }, { taskId: '../x' }, {}, { taskId: 7 }])
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel'])
      assert.equal(((await ask(method, params))['error'] as { code: number }).code, -32_602)
})

test('the methods of the extension are for clients that offer it', async () => {
  const taskId = await taskOf('hello_kiwi', 'finish')
  for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel'])
    assert.equal(((await ask(method, { taskId }, {}))['error'] as { code: number }).code, -32_021)
})
