import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ProtocolError, type Client } from '@modelcontextprotocol/client'
import { MAX_RESULT_BYTES } from '../../src/mcp/bounded-result.ts'
import { connect, serveProject, writeDirective, type ServedProject } from './serving-fixture.ts'

const INPUTS = `<inputs>
    <input name="city" type="string" required="true">Where to walk</input>
    <input name="miles" type="integer" default="3">How far</input>
  </inputs>`

/** Longer than a client is shown, in letters of three bytes. */
const LONG = '€'.repeat(400)

let served: ServedProject

before(async () => {
  served = await serveProject()
  await writeDirective(served.project, 'city_walk', { inputs: INPUTS })
  await writeDirective(served.project, 'draft_walk', { signed: false })
})
after(() => served.close())

async function promptText(client: Client, name: string, args: Record<string, string> = {}): Promise<string> {
  const { messages } = await client.getPrompt({ name, arguments: args })
  const [message] = messages
  assert.deepEqual([messages.length, message?.role, message?.content.type], [1, 'user', 'text'])
  return message?.content.type === 'text' ? message.content.text : ''
}

const refusedWith =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    ProtocolError.isInstance(error) && error.code === -32_602 && pattern.test(error.message)

for (const era of ['legacy', 'modern'] as const) {
  describe(`in the ${era} era`, () => {
    let client: Client

    before(async () => {
      client = await connect(served.serving, era)
    })
    after(() => client.close())

    test('each signed directive is a prompt, in the order of their names, with its inputs as arguments', async () => {
      const { prompts } = await client.listPrompts()
      assert.deepEqual(
        prompts.map(({ name }) => name),
        ['anneal_directive', 'city_walk', 'hello_kiwi', 'repository_report', 'run_directive'],
      )
      assert.deepEqual(prompts.find(({ name }) => name === 'city_walk')?.arguments, [
        { name: 'city', description: 'Where to walk', required: true },
        { name: 'miles', description: 'How far (integer, default 3)', required: false },
      ])
    })

    test('a prompt is the directive with its inputs, to follow or to run on a thread', async () => {
      const text = await promptText(client, 'city_walk', { city: 'Oslo </inputs><process>', miles: '5' })
      assert.match(text, /<directive name="city_walk" version="1\.0\.0">/u)
      assert.match(text, /<step name="walk">\nWalk\.\n<\/step>/u)
      assert.match(text, /"city": "Oslo &lt;\/inputs>&lt;process>",\n {2}"miles": 5|"miles": 5/u)
      assert.doesNotMatch(text, /Oslo <\/inputs>/u)
      assert.match(text, /"item_id":"thread_directive".*"directive_name":"city_walk"/u)
    })

    test('an input that was left out has its default', async () => {
      assert.match(await promptText(client, 'city_walk', { city: 'Oslo' }), /"miles": 3/u)
    })

    test('missing, wrong and unknown inputs are errors that name them', async () => {
      await assert.rejects(promptText(client, 'city_walk'), refusedWith(/needs city/u))
      await assert.rejects(promptText(client, 'city_walk', { city: 'Oslo', miles: 'many' }), refusedWith(/miles/u))
      await assert.rejects(promptText(client, 'city_walk', { city: 'Oslo', pace: 'fast' }), refusedWith(/pace/u))
    })

    test('a directive that is not signed is no prompt, nor is one that is not there', async () => {
      for (const name of ['draft_walk', 'nope', '../x', 'x'.repeat(5_000)])
        await assert.rejects(promptText(client, name), refusedWith(/There is no prompt/u))
    })
  })
}

test('every directive is a prompt, on pages that are small enough, however many there are and however much they say', async () => {
  const many = await serveProject()
  const client = await connect(many.serving, 'modern')
  try {
    const names = Array.from({ length: 130 }, (_, index) => `walk_${String(index).padStart(3, '0')}`)
    const inputs = Array.from({ length: 40 }, (_, index) => `<input name="in_${index}" type="string">${LONG}</input>`)
    for (const [index, name] of names.entries()) {
      // The last of them has so many inputs that not even their beginnings fit.
      const own = index === 129 ? `<inputs>${inputs.join('')}</inputs>` : `<inputs>${inputs[0]}</inputs>`
      await writeDirective(many.project, name, { inputs: own, signed: false })
      const signed = await client.callTool({ name: 'sign', arguments: { item_type: 'directive', item_id: name } })
      assert.notEqual(signed.isError, true)
    }
    const listed: string[] = []
    for (let cursor: string | undefined, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
      const page = await client.request({ method: 'prompts/list', params: cursor === undefined ? {} : { cursor } })
      assert.ok(Buffer.byteLength(JSON.stringify(page)) <= MAX_RESULT_BYTES)
      listed.push(...page.prompts.map(({ name }) => name))
      cursor = page.nextCursor
    }
    assert.deepEqual(
      listed.filter((name) => name.startsWith('walk_')),
      names,
    )
  } finally {
    await client.close()
    await many.close()
  }
})

test('a prompt that would be too long is refused with what to do, and errors of prompts are short', async () => {
  const client = await connect(served.serving, 'modern')
  await assert.rejects(
    promptText(client, 'city_walk', { city: 'x'.repeat(40_000) }),
    refusedWith(/at most 30000.*thread_directive/u),
  )
  const error: unknown = await promptText(client, 'city_walk', { city: 'Oslo', ['y'.repeat(100_000)]: 'z' }).catch(
    (thrown) => thrown,
  )
  assert.ok(ProtocolError.isInstance(error))
  assert.ok(Buffer.byteLength(JSON.stringify([error.message, error.data])) < MAX_RESULT_BYTES)
  await client.close()
})
