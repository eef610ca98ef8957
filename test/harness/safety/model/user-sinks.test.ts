import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { executes, limited, openWorkshop, runtimeTool, says, type Workshop, type WorkshopOptions } from '../workshop.ts'

/** Writes what it is told to `path` of the project, as a sink of the user would. */
const NOTING_SINK = `export const __tool_type__ = 'sink'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'x'
export const __requires__ = [{ cap: 'fs.write', scope: { path: '{path}' } }]
export const PARAMETERS = { type: 'object', properties: { path: { type: 'string' } } }
import { appendFileSync } from 'node:fs'
export default ({ path }: { path: string }, { projectPath }: { projectPath: string }) => ({
  write({ data }: { data: string }) {
    appendFileSync(projectPath + '/' + path, data + '\\n')
  },
  close() {},
})
`

const yaml = (id: string, type: string, executor: string, rest: string): string =>
  `tool_id: ${id}\ntool_type: ${type}\nversion: "1.0.0"\nexecutor_id: ${executor}\ndescription: x\n${rest}`

async function openShop(
  t: TestContext,
  { files, ...options }: WorkshopOptions & { readonly files: Readonly<Record<string, string>> },
): Promise<Workshop> {
  const shop = await openWorkshop(t, {
    ...options,
    tools: { noting_sink: NOTING_SINK, ...options.tools },
    files: { 'log/keep.txt': '', ...files },
  })
  for (const path of Object.keys(files).filter((name) => name.endsWith('.yaml'))) {
    const signed = await shop.kernel.sign({ item_type: 'tool', item_id: /([^/]+)\.yaml$/.exec(path)?.[1] ?? '' })
    assert.equal(signed.success, true, JSON.stringify(signed))
  }
  return shop
}

/** A server of one short event stream; gives its `host:port`. */
async function streamServer(t: TestContext): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {"n":1}\n\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : ''
}

const watch = (host: string, type: string, destination: string): Readonly<Record<string, string>> => ({
  '.ai/tools/watch.yaml': yaml(
    'watch',
    type,
    'http_client',
    `parameters: [{ name: file, type: string, default: x }]
config:
  url: http://${host}/
  mode: stream
  stream: { destinations: [{ type: noting_sink, on_error: fail, ${destination} }] }
`,
  ),
})

const netOnly = (host: string): string => `<execute resource="tool" id="watch"/><execute resource="net" host="${host}"/>`

test('the sink of a user writes where his signed file says, although the thread that calls may write nothing', async (t) => {
  const host = await streamServer(t)
  const shop = await openShop(t, {
    directives: { watcher: limited('watcher', netOnly(host)) },
    files: watch(host, 'http', 'path: log/fixed.txt'),
    scenario: ({ turn }) => (turn === 1 ? executes(['watch', {}]) : says('Done.')),
  })
  const row = await shop.run('watcher')
  assert.deepEqual(shop.events(row.thread_id, 'permission_denied'), [])
  assert.equal(readFileSync(join(shop.projectPath, 'log/fixed.txt'), 'utf8'), '{"n":1}\n')
})

test('a destination that a thread shapes is written by the sink of a user only within the scopes of the thread', async (t) => {
  const host = await streamServer(t)
  const shop = await openShop(t, {
    directives: {
      watcher: limited(
        'watcher',
        `${netOnly(host)}<execute resource="tool" id="noting_sink"/><write resource="filesystem" path="log/a.txt"/>`,
      ),
    },
    files: watch(host, 'http', 'path: "log/{file}.txt"'),
    scenario: ({ turn }) => (turn > 2 ? says('Done.') : executes(['watch', { file: turn === 1 ? 'b' : 'a' }])),
  })
  const row = await shop.run('watcher')
  assert.deepEqual(
    shop.events(row.thread_id, 'permission_denied').map(({ payload }) => payload['missing']),
    [['fs.write "log/b.txt"']],
  )
  assert.equal(existsSync(join(shop.projectPath, 'log/b.txt')), false)
  assert.equal(readFileSync(join(shop.projectPath, 'log/a.txt'), 'utf8'), '{"n":1}\n')
})

test('a destination in the file of an external tool is no word of the user: the thread needs the permission for it', async (t) => {
  const host = await streamServer(t)
  const shop = await openShop(t, {
    directives: { watcher: limited('watcher', netOnly(host)) },
    files: watch(host, 'mcp_tool', 'path: log/fixed.txt'),
    scenario: ({ turn }) => (turn === 1 ? executes(['watch', {}]) : says('Done.')),
  })
  const row = await shop.run('watcher')
  const [denial] = shop.events(row.thread_id, 'permission_denied')
  assert.deepEqual(denial?.payload['missing'], ['tool.execute "noting_sink"', 'fs.write "log/fixed.txt"'])
  assert.equal(existsSync(join(shop.projectPath, 'log/fixed.txt')), false)
})

test('the stream of the model goes to the sink of a user, on the authority of whoever signed it', async (t) => {
  const destinations =
    '[{ type: noting_sink, path: "log/{thread_id}.txt" }, { type: noting_sink, path: log/all.txt }, { type: return }]'
  const shop = await openShop(t, {
    directives: { talker: limited('talker', '') },
    files: {
      '.ai/tools/my_thread.yaml': yaml(
        'my_thread',
        'http',
        'anthropic_thread',
        `config: { stream: { destinations: ${destinations} } }\n`,
      ),
    },
    model: { tool: 'my_thread' },
    scenario: () => says('Hello.'),
  })
  const row = await shop.run('talker')
  assert.equal(row.end_reason, 'done')
  for (const name of [row.thread_id, 'all']) {
    assert.match(readFileSync(join(shop.projectPath, `log/${name}.txt`), 'utf8'), /message_stop/)
  }
})

test('a runtime tool opens no sinks, whatever its file says about a stream', async (t) => {
  const shop = await openShop(t, {
    tools: { plain: runtimeTool('return 1') },
    directives: {},
    files: {
      '.ai/tools/streaming.yaml': yaml(
        'streaming',
        'runtime',
        'plain',
        'config: { mode: stream, stream: { destinations: [{ type: file, path: out/left-open.jsonl }] } }\n',
      ),
    },
    scenario: () => says(''),
  })
  const answer = await shop.call('streaming', {})
  assert.deepEqual([answer.success, existsSync(join(shop.projectPath, 'out'))], [true, false])
})
