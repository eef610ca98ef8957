import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import Anthropic, { APIError, AuthenticationError, RateLimitError } from '@anthropic-ai/sdk'
import OpenAI, { InternalServerError } from 'openai'
import type { Scenario, ScenarioFunction } from '../../src/scripted-model/scenario.ts'
import { startScriptedModel } from '../../src/scripted-model/server.ts'

async function clients(context: TestContext, scenario: Scenario | ScenarioFunction) {
  const model = await startScriptedModel({ scenario })
  context.after(() => model.close())
  const options = { apiKey: 'test-key', maxRetries: 0 }
  return {
    model,
    anthropic: new Anthropic({ ...options, baseURL: model.anthropicBaseUrl }),
    openai: new OpenAI({ ...options, baseURL: model.openaiBaseUrl }),
  }
}

const talking: ScenarioFunction = ({ turn, results }) =>
  turn === 1
    ? {
        reply: {
          reasoning: 'Look first.',
          text: 'Größe 🥝?',
          tool_calls: [
            { name: 'size', arguments: { of: 'kiwi' } },
            { name: 'list', arguments: {} },
          ],
        },
      }
    : { reply: { text: `It is ${results.map(({ content }) => content).join(', ')}.` } }

const anthropicTools: Anthropic.Tool[] = ['size', 'list'].map((name) => ({ name, input_schema: { type: 'object' } }))
const openaiTools = ['size', 'list'].map(
  (name) => ({ type: 'function', function: { name, parameters: { type: 'object' } } }) as const,
)
const user = { role: 'user', content: 'How large?' } as const

test('the Anthropic client streams thinking, text and parallel calls, and its own final message is accepted back', async (context) => {
  const { anthropic } = await clients(context, talking)
  const request = { model: 'claude-x', max_tokens: 500, tools: anthropicTools }
  const first = await anthropic.messages.stream({ ...request, messages: [user] }).finalMessage()
  assert.deepEqual(
    first.content.map(({ type }) => type),
    ['thinking', 'text', 'tool_use', 'tool_use'],
  )
  assert.deepEqual([first.stop_reason, first.model], ['tool_use', 'scripted-claude-x'])
  const uses = first.content.filter((block) => block.type === 'tool_use')
  assert.deepEqual(
    uses.map(({ input }) => input),
    [{ of: 'kiwi' }, {}],
  )
  const results = uses.map(({ id }, at) => ({ type: 'tool_result', tool_use_id: id, content: `${at + 5} cm` }) as const)
  const second = await anthropic.messages
    .stream({ ...request, messages: [user, { role: 'assistant', content: first.content }, { role: 'user', content: results }] })
    .finalText()
  assert.equal(second, 'It is 5 cm, 6 cm.')
})

test('the Anthropic client gets the same message without streaming', async (context) => {
  const { anthropic } = await clients(context, talking)
  const request = { model: 'claude-x', max_tokens: 500, tools: anthropicTools, messages: [user] }
  const whole = await anthropic.messages.create(request)
  const streamed = await anthropic.messages.stream(request).finalMessage()
  assert.deepEqual(plain(streamed.content), plain(whole.content))
  assert.equal(whole.usage.output_tokens, streamed.usage.output_tokens)
})

/** The wire's part of the content; ids differ, because the two requests do. */
function plain(content: readonly object[]): unknown {
  return JSON.parse(JSON.stringify(content).replaceAll(/toolu_scripted_[0-9a-f]+/g, 'toolu'))
}

test('the OpenAI client streams text and parallel calls, and its own final message is accepted back', async (context) => {
  const { openai } = await clients(context, talking)
  const request = { model: 'gpt-x', tools: openaiTools }
  const stream = openai.chat.completions.stream({ ...request, messages: [user], stream_options: { include_usage: true } })
  const first = (await stream.finalChatCompletion()).choices[0]
  assert.equal(first?.message.content, 'Größe 🥝?')
  assert.equal(first.finish_reason, 'tool_calls')
  const calls = (first.message.tool_calls ?? []).filter((call) => call.type === 'function')
  assert.deepEqual(
    calls.map((call) => call.function.arguments),
    ['{"of":"kiwi"}', '{}'],
  )
  const results = calls.map(({ id }, at) => ({ role: 'tool', tool_call_id: id, content: `${at + 5} cm` }) as const)
  const assistant = { role: 'assistant', content: first.message.content, tool_calls: calls } as const
  const second = await openai.chat.completions.create({ ...request, messages: [user, assistant, ...results] })
  assert.equal(second.choices[0]?.message.content, 'It is 5 cm, 6 cm.')
  assert.equal(second.system_fingerprint, 'fp_scripted')
})

test('usage comes in the last OpenAI chunk, only when it is asked for', async (context) => {
  const { openai } = await clients(context, talking)
  const request: OpenAI.ChatCompletionCreateParamsStreaming = { model: 'gpt-x', messages: [user], stream: true }
  const withUsage = await Array.fromAsync(
    await openai.chat.completions.create({ ...request, stream_options: { include_usage: true } }),
  )
  const without = await Array.fromAsync(await openai.chat.completions.create(request))
  assert.ok((withUsage.at(-1)?.usage?.prompt_tokens ?? 0) > 0)
  assert.deepEqual(withUsage.at(-1)?.choices, [])
  assert.equal(
    without.some(({ usage }) => usage !== undefined && usage !== null),
    false,
  )
})

test('a marked prefix is written to the cache once and read afterwards', async (context) => {
  const { anthropic } = await clients(context, () => ({ reply: { text: 'ok' } }))
  const marked = (text: string) => [{ type: 'text', text, cache_control: { type: 'ephemeral' } }] as const
  const request = { model: 'm', max_tokens: 10, system: [...marked('x'.repeat(4000))] }
  const first = await anthropic.messages.create({ ...request, messages: [{ role: 'user', content: [...marked('one')] }] })
  const second = await anthropic.messages.create({
    ...request,
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'one' }] },
      { role: 'assistant', content: 'ok' },
      { role: 'user', content: [...marked('two')] },
    ],
  })
  assert.equal(first.usage.cache_read_input_tokens, 0)
  assert.ok((first.usage.cache_creation_input_tokens ?? 0) > 1000)
  assert.equal(second.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens)
  assert.ok((second.usage.cache_creation_input_tokens ?? 0) < 50)
})

test('OpenAI prompts are cached by themselves, in steps of 128 tokens', async (context) => {
  const { openai } = await clients(context, () => ({ reply: { text: 'ok' } }))
  const messages = [{ role: 'user', content: 'y'.repeat(8000) }] as const
  const first = await openai.chat.completions.create({ model: 'm', messages: [...messages] })
  const second = await openai.chat.completions.create({ model: 'm', messages: [...messages] })
  assert.equal(first.usage?.prompt_tokens_details?.cached_tokens, 0)
  assert.equal(second.usage?.prompt_tokens_details?.cached_tokens, 1920)
})

test('faults arrive as the errors that each client knows', async (context) => {
  const fault = (status: number) => ({ fault: { kind: 'status', status, retry_after_seconds: 7 } as const })
  const { anthropic, openai } = await clients(context, ({ lastUserText }) => fault(Number(lastUserText)))
  const ask = (status: number) =>
    anthropic.messages.create({ model: 'm', max_tokens: 5, messages: [{ role: 'user', content: String(status) }] })
  await assert.rejects(ask(429), (error) => error instanceof RateLimitError && error.headers.get('retry-after') === '7')
  await assert.rejects(ask(401), AuthenticationError)
  await assert.rejects(ask(529), (error) => error instanceof APIError && /overloaded_error/.test(error.message))
  const asked = openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: '500' }] })
  await assert.rejects(asked, InternalServerError)
})

test('an overload in the middle of a stream is an error of the Anthropic client', async (context) => {
  const { anthropic } = await clients(context, () => ({
    reply: { text: 'a text in pieces', piece_chars: 3 },
    fault: { kind: 'error_event', after_events: 5 },
  }))
  const stream = anthropic.messages.stream({ model: 'm', max_tokens: 50, messages: [user] })
  await assert.rejects(stream.finalMessage(), /overloaded/)
})

test('a cut stream is a broken connection for the OpenAI client', async (context) => {
  const { openai } = await clients(context, () => ({
    reply: { text: 'a text in pieces', piece_chars: 3 },
    fault: { kind: 'cut', after_events: 3 },
  }))
  const stream = openai.chat.completions.stream({ model: 'm', messages: [user] })
  await assert.rejects(stream.finalChatCompletion())
})

const wrongAnthropic: readonly { readonly name: string; readonly messages: readonly unknown[]; readonly error: RegExp }[] = [
  { name: 'a system role', messages: [user, { role: 'system', content: 'x' }], error: /top-level `system`/ },
  { name: 'an answer first', messages: [{ role: 'assistant', content: 'x' }], error: /first message must use the .*user.* role/ },
  { name: 'an unanswered call', messages: [user, use('a'), user], error: /without `tool_result` blocks immediately after: a/ },
  {
    name: 'a result of no call',
    messages: [user, { role: 'assistant', content: 'x' }, answers('b')],
    error: /unexpected `tool_use_id`/,
  },
  { name: 'a doubled result', messages: [user, use('a'), answers('a', 'a')], error: /unexpected `tool_use_id`/ },
  {
    name: 'an empty text block',
    messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }],
    error: /must be non-empty/,
  },
  {
    name: 'changed thinking',
    messages: [user, { role: 'assistant', content: [{ type: 'thinking', thinking: 'x', signature: 'forged' }] }, user],
    error: /Invalid `signature` in `thinking` block/,
  },
  { name: 'text before results', messages: [user, use('a'), textThenAnswer('a')], error: /must come before other content/ },
]

function use(id: string): unknown {
  return { role: 'assistant', content: [{ type: 'tool_use', id, name: 'size', input: {} }] }
}
function answers(...ids: readonly string[]): unknown {
  return { role: 'user', content: ids.map((id) => ({ type: 'tool_result', tool_use_id: id, content: 'x' })) }
}
function textThenAnswer(id: string): unknown {
  return {
    role: 'user',
    content: [
      { type: 'text', text: 'x' },
      { type: 'tool_result', tool_use_id: id, content: 'x' },
    ],
  }
}

for (const { name, messages, error } of wrongAnthropic) {
  test(`an Anthropic request with ${name} is refused as the API refuses it`, async (context) => {
    const { anthropic } = await clients(context, () => ({ reply: { text: 'ok' } }))
    // Wrong on purpose: the client's types would not allow it.
    const asked = anthropic.messages.create({ model: 'm', max_tokens: 5, messages: messages as Anthropic.MessageParam[] })
    await assert.rejects(asked, error)
  })
}

test('more than four cache marks, unknown fields and a missing key are refused', async (context) => {
  const { anthropic, model } = await clients(context, () => ({ reply: { text: 'ok' } }))
  const text = { type: 'text', text: 'x', cache_control: { type: 'ephemeral' } } as const
  const base = { model: 'm', max_tokens: 5 }
  const five = anthropic.messages.create({ ...base, messages: [{ role: 'user', content: [text, text, text, text, text] }] })
  await assert.rejects(five, /maximum of 4 blocks with cache_control/)
  const extra = { ...base, messages: [user], max_tokns: 3 }
  await assert.rejects(anthropic.messages.create(extra), /max_tokns: Extra inputs are not permitted/)
  const response = await fetch(`${model.url}/v1/messages`, {
    method: 'POST',
    body: '{}',
    headers: { 'anthropic-version': '2023-06-01' },
  })
  assert.deepEqual([response.status, response.headers.get('x-scripted-model')], [401, 'true'])
  await response.body?.cancel()
})

const wrongOpenai: readonly {
  readonly name: string
  readonly body: { readonly [field: string]: unknown }
  readonly error: RegExp
}[] = [
  { name: 'an unanswered call', body: { messages: [user, chatUse('a'), user] }, error: /did not have response messages: a/ },
  {
    name: 'a result of no call',
    body: { messages: [user, { role: 'tool', tool_call_id: 'b', content: 'x' }] },
    error: /must be a response to a preceding message/,
  },
  {
    name: 'two output limits',
    body: { messages: [user], max_tokens: 1, max_completion_tokens: 1 },
    error: /at the same time is not supported/,
  },
  { name: 'an unknown role', body: { messages: [{ role: 'robot', content: 'x' }] }, error: /Invalid value: 'robot'/ },
  { name: 'an empty list of tools', body: { messages: [user], tools: [] }, error: /empty array/ },
  {
    name: 'an unknown field',
    body: { messages: [user], maxTokens: 1 },
    error: /Unrecognized request argument supplied: maxTokens/,
  },
]

function chatUse(id: string): unknown {
  return { role: 'assistant', content: null, tool_calls: [{ id, type: 'function', function: { name: 'size', arguments: '{}' } }] }
}

for (const { name, body, error } of wrongOpenai) {
  test(`an OpenAI request with ${name} is refused as the API refuses it`, async (context) => {
    const { openai } = await clients(context, () => ({ reply: { text: 'ok' } }))
    // Wrong on purpose: the client's types would not allow it.
    const asked = openai.chat.completions.create({
      model: 'm',
      ...body,
    } as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming)
    await assert.rejects(asked, error)
  })
}

test('both clients list the model', async (context) => {
  const { openai, anthropic } = await clients(context, () => ({ reply: {} }))
  assert.deepEqual(
    (await openai.models.list()).data.map(({ id }) => id),
    ['scripted-model'],
  )
  assert.deepEqual(
    (await anthropic.models.list()).data.map(({ id }) => id),
    ['scripted-model'],
  )
})
