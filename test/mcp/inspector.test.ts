import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import { BIN } from '../cli/kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

const INSPECTOR = fileURLToPath(new URL('../../node_modules/.bin/mcp-inspector', import.meta.url))
const TIMEOUT_MS = 90_000

let project: ScriptedProject

before(async () => {
  project = await createScriptedProject()
})
after(() => project.close())

/** One Inspector process with one server process of its own. */
function inspect(...args: string[]): Promise<Record<string, unknown>> {
  const { cwd, env = {} } = project.options
  const settings = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  const command = [INSPECTOR, '--cli', ...settings, process.execPath, BIN, '-C', project.path, 'mcp', ...args, '--format', 'json']
  const options = { cwd, env: { PATH: process.env['PATH'], ...env }, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' } as const
  return new Promise((resolve, reject) => {
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(`The Inspector failed: ${stderr}${stdout}`, { cause: error }))
      else resolve(JSON.parse(stdout).result)
    })
  })
}

function execute(item_id: string, parameters: object): Promise<Record<string, unknown>> {
  const args = JSON.stringify({ item_type: 'tool', item_id, parameters })
  return inspect('--method', 'tools/call', '--tool-name', 'execute', '--tool-args-json', args)
}

test('the Inspector lists the five tools', async () => {
  const { tools } = await inspect('--method', 'tools/list')
  assert.deepEqual(
    (tools as { name: string }[]).map(({ name }) => name),
    ['search', 'load', 'execute', 'sign', 'help'],
  )
})

test('one Inspector process spawns a thread and gets its id at once; a second one gets the result', async () => {
  const spawned = await execute('thread_directive', { directive_name: 'hello_kiwi', inputs: { text: 'a b' } })
  const { result } = spawned['structuredContent'] as { result: { thread_id: string; status: string } }
  assert.equal(result.status, 'spawned')
  const waited = await execute('wait_thread', { thread_id: result.thread_id })
  assert.match(JSON.stringify(waited['structuredContent']), /"completed".*Scripted answer/u)
})
