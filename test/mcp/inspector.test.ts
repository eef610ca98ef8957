/** The Inspector's command line, a client of another maker, against the real server: over stdio and over HTTP, in both eras of the protocol. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { BIN } from '../cli/kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'
import { startServe, type ServedKiwi } from '../cli/served-kiwi.ts'

const INSPECTOR = fileURLToPath(new URL('../../node_modules/.bin/mcp-inspector', import.meta.url))
const TIMEOUT_MS = 90_000
/** What the Inspector ends with. */
const EXIT = { ok: 0, authRequired: 3, toolFailed: 5 }

interface Inspected {
  readonly code: unknown
  /** The `result` that it printed; empty when it printed none. */
  readonly result: Readonly<Record<string, unknown>>
  readonly stderr: string
}

let project: ScriptedProject
let served: ServedKiwi

before(async () => {
  project = await createScriptedProject()
  // A thread to read.
  await project.run('run', 'hello_kiwi', 'Count.', '--input', 'text=one two')
  served = await startServe(project.options)
})
after(async () => {
  await served.stop()
  await project.close()
})

/** One Inspector process. Its HOME is the project's, so it finds no settings of a person and leaves none. */
function inspect(target: readonly string[], ...args: readonly string[]): Promise<Inspected> {
  const { cwd, env = {} } = project.options
  const command = [INSPECTOR, '--cli', ...target, ...args, '--stored-auth-only', '--format', 'json']
  const options = { cwd, env: { PATH: process.env['PATH'], ...env }, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' } as const
  return new Promise((resolve) => {
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      const printed = stdout.trim() === '' ? {} : JSON.parse(stdout)
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), result: printed.result ?? {}, stderr })
    })
  })
}

/** With a server process of its own. */
function overStdio(): readonly string[] {
  const settings = Object.entries(project.options.env ?? {}).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  return [...settings, process.execPath, BIN, '-C', project.path, 'mcp']
}

function overHttp(): readonly string[] {
  return [served.url, '--header', `Authorization: Bearer ${served.token}`]
}

const VERSIONS = { legacy: '2025-11-25', modern: '2026-07-28' }

for (const [transport, target] of Object.entries({ stdio: overStdio, HTTP: overHttp }))
  for (const [era, version] of Object.entries(VERSIONS))
    // Two processes at once: there may be no more cores.
    describe(`the Inspector over ${transport}, in the era of ${version},`, { concurrency: 2 }, () => {
      const ask = async (...args: readonly string[]): Promise<Inspected['result']> => {
        const { code, result, stderr } = await inspect(target(), '--protocol-era', era, ...args)
        assert.equal(code, EXIT.ok, stderr)
        return result
      }
      const call = async (tool: string, args: object): Promise<Inspected['result']> => {
        const { structuredContent, isError } = await ask(...callOf(tool, args))
        assert.notEqual(isError, true)
        // Every tool of the server promises an object there.
        return structuredContent as Inspected['result']
      }

      test('agrees on the version and is told who serves', async () => {
        const { protocolVersion, serverInfo, instructions } = await ask('--method', 'initialize')
        assert.equal(protocolVersion, version)
        assert.equal((serverInfo as { name: string }).name, 'kiwi')
        assert.match(String(instructions), /thread_directive/u)
      })

      test('lists five tools whose schemas have no error that its lint knows', async () => {
        const { tools } = await ask('--method', 'tools/list', '--strict')
        assert.deepEqual(namesOf(tools), ['search', 'load', 'execute', 'sign', 'help'])
      })

      test('finds an item of the project', async () => {
        const { results } = await call('search', { query: 'hello', item_type: 'directive', source: 'project' })
        assert.deepEqual(
          (results as { id: string }[]).map(({ id }) => id),
          ['hello_kiwi'],
        )
      })

      test('spawns a thread and gets its result', async () => {
        const spawned = await call(
          'execute',
          toolCall('thread_directive', { directive_name: 'hello_kiwi', inputs: { text: 'a b' } }),
        )
        // Where it can, it takes the thread as a task, and follows that to its end by itself.
        const { thread_id } = spawned['result'] as { thread_id: string }
        const waited = era === 'modern' ? spawned : await call('execute', toolCall('wait_thread', { thread_id }))
        assert.match(JSON.stringify(waited), /"completed".*Scripted answer/u)
      })

      test('reads a thread as a resource', async () => {
        const { resources } = await ask('--method', 'resources/list')
        const uri = (resources as { uri: string }[])
          .map((resource) => resource.uri)
          .find((one) => one.startsWith('thread://') && !one.endsWith('/transcript'))
        const { contents } = await ask('--method', 'resources/read', '--uri', String(uri))
        assert.match(JSON.stringify(contents), /hello_kiwi/u)
      })

      test('gets a directive as a prompt', async () => {
        const { prompts } = await ask('--method', 'prompts/list')
        assert.ok(namesOf(prompts).includes('hello_kiwi'))
        const { messages } = await ask('--method', 'prompts/get', '--prompt-name', 'hello_kiwi', '--prompt-args', 'text=one two')
        assert.match(JSON.stringify(messages), /one two/u)
      })

      test('is told when a tool fails, and when there is none of that name', async () => {
        const failing = callOf('load', { item_type: 'tool', item_id: 'not_there', source: 'project' })
        const failed = await inspect(target(), '--protocol-era', era, ...failing)
        assert.deepEqual([failed.code, failed.result['isError']], [EXIT.toolFailed, true])
        const missing = await inspect(target(), '--protocol-era', era, ...callOf('not_there', {}))
        assert.equal(missing.code, EXIT.toolFailed)
        assert.match(missing.stderr, /tool_not_found/u)
      })
    })

for (const [era, version] of Object.entries(VERSIONS))
  test(`without the token the Inspector gets nothing over HTTP in the era of ${version}, and knows why`, async () => {
    const args = ['--protocol-era', era, '--method', 'tools/list']
    const asked = [inspect([served.url], ...args), inspect([served.url, '--header', 'Authorization: Bearer wrong'], ...args)]
    for (const { code, result, stderr } of await Promise.all(asked)) {
      assert.deepEqual([code, result], [EXIT.authRequired, {}])
      assert.match(stderr, /auth_required/u)
    }
  })

function callOf(tool: string, args: object): readonly string[] {
  return ['--method', 'tools/call', '--tool-name', tool, '--tool-args-json', JSON.stringify(args)]
}

function toolCall(item_id: string, parameters: object): object {
  return { item_type: 'tool', item_id, parameters }
}

function namesOf(listed: unknown): readonly string[] {
  // As the protocol has it; the Inspector has checked it too.
  return (listed as { readonly name: string }[]).map(({ name }) => name)
}
