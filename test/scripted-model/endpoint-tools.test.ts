import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { JsonObject } from '../../src/json.ts'
import { anthropicMessages } from '../../src/harness/base/wires/anthropic-messages.ts'
import { openaiChat } from '../../src/harness/base/wires/openai-chat.ts'
import type { Wire } from '../../src/harness/base/wires/wire.ts'
import type { MetaToolResult } from '../../src/kernel/contract.ts'
import { createKernel } from '../../src/kernel/kernel.ts'
import type { StreamEvent } from '../../src/primitives/http-client/contract.ts'
import { createHttpPrimitive } from '../../src/primitives/http-client/http-client.ts'
import { startScriptedModel } from '../../src/scripted-model/server.ts'
import { createTestKeys } from '../kernel/test-keys.ts'

const SYSTEM = fileURLToPath(new URL('../../system', import.meta.url))

/** The shipped endpoint tools over the real kernel and HTTP client, pointed at a scripted model. */
async function endpoint(context: TestContext) {
  const projectPath = await mkdtemp(join(tmpdir(), 'endpoint-'))
  await mkdir(join(projectPath, '.ai'))
  const model = await startScriptedModel({
    scenario: ({ lastUserText }) => ({
      reply: { text: `Grüße ${lastUserText}`, tool_calls: [{ name: 'look', arguments: { at: 1 } }] },
    }),
  })
  const http = createHttpPrimitive()
  const env: Readonly<Record<string, string>> = {
    ANTHROPIC_BASE_URL: model.anthropicBaseUrl,
    ANTHROPIC_API_KEY: 'a',
    OPENAI_BASE_URL: model.openaiBaseUrl,
    OPENAI_API_KEY: 'b',
  }
  const kernel = createKernel({
    spaces: { project: join(projectPath, '.ai'), user: join(projectPath, 'user'), system: SYSTEM },
    projectPath,
    indexPath: null,
    primitives: [http],
    env: (name) => env[name],
    keys: createTestKeys(),
    now: Date.now,
  })
  context.after(async () => {
    kernel.close()
    http.close()
    await model.close()
    await rm(projectPath, { recursive: true, force: true })
  })
  return { kernel, model, projectPath }
}

const look = { name: 'look', description: 'Looks.', input_schema: { type: 'object' } }
const parametersFor = (wire: Wire): JsonObject =>
  wire.buildParameters({
    model: 'm',
    system: 'Be brief.',
    tools: [look],
    messages: [{ role: 'user', content: 'Look {here} ${HOME}' }],
    maxOutputTokens: 50,
  })

const endpoints = [
  { wire: anthropicMessages, tool: 'anthropic_messages', thread: 'anthropic_thread' },
  { wire: openaiChat, tool: 'openai_chat', thread: 'openai_thread' },
]

for (const { wire, tool, thread } of endpoints) {
  test(`${tool} gives a whole answer that its wire folds`, async (context) => {
    const { kernel } = await endpoint(context)
    const { stream_options: _streaming, ...parameters } = parametersFor(wire)
    const answer = await kernel.execute({ item_type: 'tool', item_id: tool, parameters })
    assert.equal(answer.success, true, JSON.stringify(answer))
    const turn = wire.foldBody(bodyOf(answer))
    assert.deepEqual(
      turn.tool_calls.map(({ name, arguments: input }) => [name, input]),
      [['look', { at: 1 }]],
    )
    assert.equal(turn.clean_finish, true)
  })

  test(`${thread} streams into the thread's stream.jsonl and to the caller's own sink`, async (context) => {
    const { kernel, projectPath } = await endpoint(context)
    const fold = wire.createFold()
    let closed = 0
    const sink = { write: (event: StreamEvent) => fold.push(event), close: async () => void (closed += 1) }
    const answer = await kernel.execute(
      { item_type: 'tool', item_id: thread, parameters: { ...parametersFor(wire), thread_id: 'demo_1' } },
      { __sinks: [{ sink, type: 'harness', onError: 'fail' }] },
    )
    assert.equal(answer.success, true, JSON.stringify(answer))
    const turn = fold.finish()
    const lines = (await readFile(join(projectPath, '.ai/threads/demo_1/stream.jsonl'), 'utf8')).trim().split('\n')
    const returned = bodyOf(answer)
    assert.deepEqual([turn.clean_finish, turn.blocks[0], closed], [true, { type: 'text', text: 'Grüße Look {here} ${HOME}' }, 1])
    assert.equal(Array.isArray(returned) && returned.length, lines.length)
    assert.ok(lines.every((line) => JSON.parse(line) !== null))
  })

  test(`${tool} sends what a caller wrote in braces and dollars unchanged`, async (context) => {
    const { kernel, model } = await endpoint(context)
    const { stream_options: _streaming, ...parameters } = parametersFor(wire)
    const answer = await kernel.execute({ item_type: 'tool', item_id: tool, parameters })
    assert.deepEqual(wire.foldBody(bodyOf(answer)).blocks[0], { type: 'text', text: 'Grüße Look {here} ${HOME}' })
    const [request] = model.requests()
    assert.deepEqual([request?.status, request?.auth, request?.stream], [200, true, false])
  })
}

function bodyOf(answer: MetaToolResult): unknown {
  const result = answer.success ? answer['result'] : null
  return typeof result === 'object' && result !== null && 'body' in result ? result.body : null
}
