import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createBaseHarness, createModelCaller } from '../../../src/harness/base/base-harness.ts'
import type { BaseHarnessOptions, HarnessEvent } from '../../../src/harness/base/base-harness.ts'
import type { Fault, Reply, ScenarioFunction } from '../../../src/scripted-model/scenario.ts'
import { startScriptedModel } from '../../../src/scripted-model/server.ts'
import type { ScriptedModel } from '../../../src/scripted-model/server.ts'

type Wire = 'anthropic_messages' | 'openai_chat'

const add = { name: 'add', description: 'Adds two numbers.', input_schema: { type: 'object' } }
const callTool: NonNullable<BaseHarnessOptions['callTool']> = async ({ arguments: input }) => {
  return { content: String(Number(input['a']) + Number(input['b'])), is_error: false }
}

async function harnessOn(
  context: TestContext,
  wire: Wire,
  scenario: ScenarioFunction,
  options: Partial<BaseHarnessOptions> = {},
) {
  const model = await startScriptedModel({ scenario })
  const baseUrl = wire === 'openai_chat' ? model.openaiBaseUrl : model.anthropicBaseUrl
  const caller = createModelCaller({ wire, baseUrl, apiKey: 'scripted', maxAttempts: 1, timeoutsMs: { betweenBytes: 300 } })
  context.after(async () => {
    caller.close()
    await model.close()
  })
  const base = {
    wire,
    model: 'scripted-model',
    system: 'Add numbers.',
    tools: [add],
    callModel: caller.callModel,
    callTool,
    limits: { maxTurns: 6 },
  }
  return { harness: createBaseHarness({ ...base, ...options }), model }
}

const adding: ScenarioFunction = ({ turn, results }) => {
  if (turn === 1) return { reply: { reasoning: 'two sums', text: 'Adding.', tool_calls: [sum(1, 2), sum(3, 4)] } }
  return { reply: { text: `The sums are ${results.map(({ content }) => content).join(' and ')}.` } }
}
const sum = (a: number, b: number) => ({ name: 'add', arguments: { a, b } })

for (const wire of ['anthropic_messages', 'openai_chat'] as const) {
  test(`${wire}: a conversation with parallel calls and reasoning runs to its end, and a second run goes on with it`, async (context) => {
    const deltas: string[] = []
    const onDelta: BaseHarnessOptions['onDelta'] = (delta) => deltas.push(delta.type === 'text' ? delta.text : '')
    const { harness, model } = await harnessOn(context, wire, adding, { onDelta })
    const first = await harness.run('Add 1 and 2, and 3 and 4.')
    assert.deepEqual([first.end, first.text, first.turns, first.error], ['done', 'The sums are 3 and 7.', 2, null])
    assert.equal(deltas.join(''), 'Adding.The sums are 3 and 7.')
    assert.ok(first.usage.output > 0 && first.usage.reasoning > 0)
    const second = await harness.run('Again?')
    assert.deepEqual([second.end, second.turns], ['done', 1])
    assert.deepEqual(
      model.requests().map(({ status, turn }) => [status, turn]),
      [
        [200, 1],
        [200, 2],
        [200, 3],
      ],
    )
  })

  test(`${wire}: a cut stream runs its closed call, discards the open one and the model is told`, async (context) => {
    const events: HarnessEvent[] = []
    const { harness } = await harnessOn(context, wire, cutOnce(wire), { onEvent: (event) => events.push(event) })
    const result = await harness.run('Go')
    const incomplete = events.find((event) => event.type === 'incomplete')
    assert.equal(result.end, 'done')
    assert.equal(result.text, 'seen 1')
    assert.equal(incomplete?.incomplete.code, 'STREAM_INCOMPLETE')
    assert.match(incomplete?.incomplete.completed_tools[0] ?? '', /^add:/)
    assert.equal(incomplete?.incomplete.discarded_partial?.tool_name, 'add')
    assert.ok((incomplete?.incomplete.discarded_partial?.bytes_collected ?? 0) > 0)
  })

  const broken: readonly { readonly fault: Fault; readonly code: RegExp }[] = [
    { fault: { kind: 'stall', after_events: 1 }, code: /TIMEOUT/ },
    { fault: { kind: 'cut', after_events: 1 }, code: /CONNECTION_RESET|STREAM_INCOMPLETE/ },
    { fault: { kind: 'garbage', after_events: 1 }, code: /INVALID_RESPONSE/ },
    { fault: { kind: 'error_event', after_events: 1 }, code: /OVERLOADED|STREAM_ERROR_EVENT/ },
    { fault: { kind: 'status', status: 429 }, code: /RATE_LIMITED/ },
    { fault: { kind: 'status', status: 401 }, code: /HTTP_STATUS/ },
  ]
  for (const { fault, code } of broken) {
    test(`${wire}: ${JSON.stringify(fault)} before anything usable ends in a typed failure`, async (context) => {
      const { harness } = await harnessOn(context, wire, () => ({ fault, reply: { text: 'never whole' } }))
      const result = await harness.run('Go')
      assert.deepEqual([result.end, result.text], ['model_failed', ''])
      assert.match(result.error?.code ?? '', code)
    })
  }
}

/** Turn 1 is cut inside its second call. */
function cutOnce(wire: Wire): ScenarioFunction {
  const reply: Reply = { piece_chars: 4, tool_calls: [sum(1, 2), sum(3, 4)] }
  // The second call's arguments have begun: after its start event (and, on the Anthropic wire, the empty first fragment).
  const after_events = wire === 'anthropic_messages' ? 14 : 9
  return ({ turn, results }) =>
    turn === 1 ? { reply, fault: { kind: 'cut', after_events } } : { reply: { text: `seen ${results.length}` } }
}

test('a call with broken arguments is answered with an error and does not run', async (context) => {
  const ran: string[] = []
  const scenario: ScenarioFunction = ({ turn, results }) =>
    turn === 1
      ? { reply: { tool_calls: [{ name: 'add', raw_arguments: '{"a": 1,' }] } }
      : { reply: { text: results[0]?.content ?? '' } }
  const { harness } = await harnessOn(context, 'anthropic_messages', scenario, {
    callTool: async ({ id }) => {
      ran.push(id)
      return { content: '', is_error: false }
    },
  })
  const result = await harness.run('Go')
  assert.match(result.text, /The arguments are not valid JSON/)
  assert.deepEqual(ran, [])
})

test('a model that always calls stops at its turn limit', async (context) => {
  const { harness } = await harnessOn(context, 'anthropic_messages', () => ({ reply: { tool_calls: [sum(1, 1)] } }), {
    limits: { maxTurns: 3 },
  })
  const result = await harness.run('Go')
  assert.deepEqual([result.end, result.turns], ['max_turns', 3])
})

test('a token limit is checked before each call', async (context) => {
  const limits = { maxTurns: 9, maxTotalTokens: 1 }
  const { harness } = await harnessOn(context, 'openai_chat', () => ({ reply: { tool_calls: [sum(1, 1)] } }), { limits })
  const result = await harness.run('Go')
  assert.deepEqual([result.end, result.turns], ['max_total_tokens', 1])
})

test('an answer that the output limit cut says so', async (context) => {
  const limits = { maxTurns: 3, maxOutputTokens: 2 }
  const { harness } = await harnessOn(context, 'anthropic_messages', () => ({ reply: { text: 'more than eight bytes' } }), {
    limits,
  })
  const result = await harness.run('Go')
  assert.deepEqual([result.end, result.text], ['output_limit', 'more tha'])
})

test('an endpoint that cuts every answer is not asked for ever', async (context) => {
  const fault: Fault = { kind: 'cut', after_events: 5 }
  const { harness, model } = await harnessOn(context, 'anthropic_messages', () => ({
    fault,
    reply: { text: 'a long text in many pieces', piece_chars: 2 },
  }))
  const result = await harness.run('Go')
  assert.deepEqual([result.end, result.error?.code, model.requests().length], ['model_failed', 'STREAM_INCOMPLETE', 3])
})

test('an abort in the middle of an answer ends the run, and no call of that answer runs', async (context) => {
  const controller = new AbortController()
  const ran: string[] = []
  const scenario: ScenarioFunction = () => ({
    reply: { text: 'one two three four', piece_chars: 3, delay_ms: 5, tool_calls: [sum(1, 1)] },
  })
  const { harness } = await harnessOn(context, 'anthropic_messages', scenario, {
    onDelta: () => controller.abort(),
    callTool: async ({ id }) => {
      ran.push(id)
      return { content: '', is_error: false }
    },
  })
  const result = await harness.run('Go', { signal: controller.signal })
  assert.deepEqual([result.end, result.error?.code, ran], ['aborted', 'ABORTED', []])
})

test('a refusal that goes away is repeated by the caller before anything was emitted', async (context) => {
  const model: ScriptedModel = await startScriptedModel({
    scenario: {
      name: 'busy',
      rules: [
        {
          name: 'first',
          when: {},
          reply: { text: 'ok' },
          fault: { kind: 'status', status: 529, times: 1, retry_after_seconds: 0 },
        },
      ],
    },
  })
  const caller = createModelCaller({ wire: 'anthropic_messages', baseUrl: model.anthropicBaseUrl, apiKey: 'k', maxAttempts: 2 })
  context.after(async () => {
    caller.close()
    await model.close()
  })
  const harness = createBaseHarness({
    wire: 'anthropic_messages',
    model: 'm',
    callModel: caller.callModel,
    limits: { maxTurns: 1 },
  })
  assert.equal((await harness.run('Go')).text, 'ok')
  assert.deepEqual(
    model.requests().map(({ status }) => status),
    [529, 200],
  )
})

test('wrong options are refused where they are given', () => {
  const callModel = () => Promise.resolve({ success: false, error: null })
  const options = { wire: 'anthropic_messages', model: 'm', callModel, limits: { maxTurns: 0 } } as const
  assert.throws(() => createBaseHarness(options), /`limits.maxTurns` to be a positive integer, got 0/)
  assert.throws(() => createBaseHarness({ ...options, limits: { maxTurns: 1 }, tools: [{ ...add, name: 'a b' }] }), /tool name/)
})

test('two runs at once are refused', async (context) => {
  const { harness } = await harnessOn(context, 'anthropic_messages', () => ({ reply: { text: 'ok' } }))
  const first = harness.run('Go')
  await assert.rejects(harness.run('Me too'), /already running/)
  assert.equal((await first).end, 'done')
})
