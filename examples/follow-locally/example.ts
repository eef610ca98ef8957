import assert from 'node:assert/strict'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { KIWI, type Stage } from '../stage.ts'

export const title = 'an MCP client executes a directive, gets its steps and follows them itself'

export async function play({ projectPath, env, model, say }: Stage): Promise<void> {
  const client = new Client({ name: 'example', version: '1.0.0' })
  const server = { command: process.execPath, args: [KIWI, '-C', projectPath, 'mcp'], env: { ...env } }
  await client.connect(new StdioClientTransport(server))
  const execute = async (request: Record<string, unknown>): Promise<Record<string, unknown>> => {
    const result = await client.callTool({ name: 'execute', arguments: request })
    // Every meta-tool answers with structured content.
    return result.structuredContent as Record<string, unknown>
  }
  try {
    const ready = await execute({ item_type: 'directive', item_id: 'count_notes', parameters: { folder: 'notes' } })
    assert.equal(ready['status'], 'ready')
    assert.equal(ready['can_spawn_thread'], false)
    say('the directive came as data: nothing ran')
    const listed = await execute({ item_type: 'tool', item_id: 'list_files', parameters: { path: 'notes' } })
    assert.equal((listed['result'] as Record<string, unknown>)['count'], 2)
    say('its first step, done by the client: 2 notes')
    assert.equal(model.requests().length, 0)
  } finally {
    await client.close()
  }
}
