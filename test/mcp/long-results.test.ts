import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { CallToolResult, Client } from '@modelcontextprotocol/client'
import { MAX_RESULT_BYTES } from '../../src/mcp/bounded-result.ts'
import { connect, serveProject, type ServedProject } from './serving-fixture.ts'

const TEXT = Array.from({ length: 4_000 }, (_, index) => `line ${index}: "Zürich" 日本 😀`).join('\n')
const TOOL = `export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'test'
export const __description__ = 'A long text'
export const __effect__ = 'pure'
export const PARAMETERS = { type: 'object', additionalProperties: false, properties: {} }

export default async function long_text() {
  return { text: ${JSON.stringify(TEXT)} }
}
`
const LONG = { item_type: 'tool', item_id: 'long_text' } as const

let served: ServedProject

before(async () => {
  served = await serveProject()
  writeFileSync(join(served.project.path, '.ai', 'tools', 'example', 'long_text.ts'), TOOL)
  const { code, stderr } = await served.project.run('sign', 'tool', 'long_text')
  assert.equal(code, 0, stderr)
})
after(() => served.close())

async function call(client: Client, name: string, args: Record<string, unknown>): Promise<Record<string, unknown>> {
  const result: CallToolResult = await client.callTool({ name, arguments: args })
  const [content] = result.content
  const text = content?.type === 'text' ? content.text : ''
  assert.ok(Buffer.byteLength(text) <= MAX_RESULT_BYTES)
  assert.equal(text, JSON.stringify(result.structuredContent))
  return { ...(result.structuredContent as Record<string, unknown>), isError: result.isError === true }
}

for (const era of ['legacy', 'modern'] as const) {
  describe(`in the ${era} era`, () => {
    let client: Client

    before(async () => {
      client = await connect(served.serving, era)
      await client.listTools() // from now on the client checks results against their output schemas
    })
    after(() => client.close())

    test('a long result is shortened, says so, and is read whole in pages, each over a connection of its own', async () => {
      const first = await call(client, 'execute', LONG)
      assert.ok((first['truncated'] as { original_bytes: number }).original_bytes > 4 * MAX_RESULT_BYTES)
      let whole = ''
      for (let cursor = first['next_cursor']; typeof cursor === 'string';) {
        const another = await connect(served.serving, era)
        const page = await call(another, 'execute', { cursor })
        await another.close()
        assert.deepEqual([page['success'], page['offset']], [true, whole.length])
        whole += String(page['text'])
        cursor = page['next_cursor']
      }
      assert.equal(JSON.parse(whole).result.text, TEXT)
    })

    test('a cursor comes before the arguments that a tool otherwise needs, and is of one tool', async () => {
      const { next_cursor: cursor } = await call(client, 'execute', LONG)
      const page = await call(client, 'execute', { ...LONG, cursor })
      assert.equal(page['offset'], 0)
      const refused = await call(client, 'search', { query: 'x', cursor })
      assert.equal(refused['isError'], true)
      assert.match(JSON.stringify(refused['error']), /is of a result of `execute`, not of `search`/u)
    })

    test('a wrong cursor is an error that a model can act on', async () => {
      const wrong = await call(client, 'execute', { cursor: 'nonsense' })
      assert.match(JSON.stringify(wrong['error']), /INVALID_REQUEST.*next_cursor of a shortened result/u)
      const list = await call(client, 'execute', { cursor: 7 })
      assert.match(JSON.stringify(list['error']), /cursor/u)
    })
  })
}
