import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { ProtocolError } from '@modelcontextprotocol/client'
import { KiwiError } from '../../src/kernel/errors.ts'
import type { McpServingOptions } from '../../src/mcp/contract.ts'
import { createMcpServing } from '../../src/mcp/server.ts'
import { listedTools } from '../../src/mcp/tool-list.ts'
import { connect } from './serving-fixture.ts'

const NOWHERE: McpServingOptions = {
  open: async () => {
    throw new Error('Nothing of a project is needed for this.')
  },
  projectPath: '/nowhere',
  version: '0.0.0',
}

test('every tool says what it gives, and errors and pages are of that form too', () => {
  for (const { outputSchema } of listedTools({ signing: true })) {
    const schema: Record<string, unknown> = { ...outputSchema }
    const validate = new Ajv().compile(schema)
    assert.ok(validate(new KiwiError('INTERNAL', 'x').toEnvelope()))
    assert.ok(validate({ success: true, offset: 0, total_characters: 1, next_cursor: null, text: '' }))
    assert.ok(!validate({ text: '' }))
  }
})

for (const era of ['legacy', 'modern'] as const) {
  test(`a probe, the tools, the templates and their capabilities need no project, in the ${era} era`, async () => {
    const serving = createMcpServing(NOWHERE)
    const client = await connect(serving, era)
    assert.equal((await client.listTools()).tools.length, 5)
    assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 2)
    assert.deepEqual(client.getServerCapabilities(), {
      tools: {},
      prompts: {},
      resources: { subscribe: true, listChanged: true },
      ...(era === 'modern' ? { extensions: { 'io.modelcontextprotocol/tasks': {} } } : { logging: {} }),
    })
    await client.close()
    await serving.close()
  })

  test(`signing that is switched off is not listed and refused, in the ${era} era`, async () => {
    const serving = createMcpServing({ ...NOWHERE, signing: false })
    const client = await connect(serving, era)
    const { tools } = await client.listTools()
    assert.deepEqual(
      tools.map(({ name }) => name),
      ['search', 'load', 'execute', 'help'],
    )
    await assert.rejects(
      client.callTool({ name: 'sign', arguments: { item_type: 'tool', item_id: 'x' } }),
      (error: unknown) => ProtocolError.isInstance(error) && /`sign` is switched off here/u.test(error.message),
    )
    await client.close()
    await serving.close()
  })
}

test('a client that asked for progress hears that a long call goes on; closing the service ends the call', async () => {
  const entered = Promise.withResolvers<void>()
  const serving = createMcpServing({
    ...NOWHERE,
    progressMs: 5,
    async open() {
      entered.resolve()
      return new Promise<never>(() => undefined)
    },
  })
  const client = await connect(serving, 'legacy')
  const messages: string[] = []
  const heard = Promise.withResolvers<void>()
  const onprogress = ({ message }: { message?: string | undefined }): void => {
    messages.push(message ?? '')
    if (messages.length === 3) heard.resolve()
  }
  const answer = client.callTool({ name: 'help', arguments: {} }, { onprogress })
  await entered.promise
  await heard.promise
  await serving.close()
  const { isError, structuredContent } = await answer
  assert.equal(isError, true)
  assert.match(JSON.stringify(structuredContent), /ABORTED/u)
  assert.match(messages[0] ?? '', /^help goes on \(\d+ s\)\.$/u)
  await client.close()
})
