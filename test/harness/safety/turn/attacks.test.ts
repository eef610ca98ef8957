import assert from 'node:assert/strict'
import { linkSync, readFileSync, symlinkSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { JsonObject } from '../../../../src/json.ts'
import type { ScenarioFunction } from '../../../../src/scripted-model/scenario.ts'
import { limited, openWorkshop } from '../workshop.ts'

/** A model that never answers, so that its thread stays alive. */
const SILENT: ScenarioFunction = () => ({ reply: { text: 'never' }, fault: { kind: 'stall', after_events: 1 } })
const TOOLS = '<execute resource="tool" id="*"/>'

async function port(t: TestContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Calls tools as a live thread of a directive with these permissions; gives `OK` or the code of each answer. */
async function openAttack(t: TestContext, permissions: string, files: Readonly<Record<string, string>>) {
  const shop = await openWorkshop(t, {
    directives: { attacker: limited('attacker', `${TOOLS}${permissions}`) },
    files,
    scenario: SILENT,
  })
  const threadId = await shop.spawn('attacker')
  const context = await shop.asThread(threadId)
  const answers = async (calls: readonly (readonly [string, JsonObject])[]): Promise<readonly string[]> => {
    const seen: string[] = []
    for (const [tool, parameters] of calls) {
      const result = await shop.call(tool, parameters, context)
      seen.push(result.success ? 'OK' : result.error.code)
    }
    return seen
  }
  return { root: shop.projectPath, answers }
}

test('threat row 44: no spelling of a path, and no link in a scope, leads a file tool out of the scope', async (t) => {
  const permissions = '<read resource="filesystem" path="docs/**"/><write resource="filesystem" path="out/**"/>'
  const files = { 'docs/a.md': 'a', 'out/x': 'x', 'secret.txt': 'canary', 'dir/secret': 'canary' }
  const { root, answers } = await openAttack(t, permissions, files)
  for (const folder of ['docs', 'out']) {
    symlinkSync('../secret.txt', join(root, folder, 'link'))
    symlinkSync('../dir', join(root, folder, 'dirlink'))
  }
  linkSync(join(root, 'secret.txt'), join(root, 'out/hard'))
  const read = (path: JsonObject[string]): readonly [string, JsonObject] => ['read_file', { path: path ?? null }]
  assert.deepEqual(await answers(['./docs/a.md', 'docs/a.md/'].map(read)), ['OK', 'OK'])
  const denied = [
    'docs/../secret.txt',
    'DOCS/a.md',
    'docs//a.md',
    'docs\\..\\secret.txt',
    'docs/a\u0301',
    '/etc/passwd',
    'docs/a\0',
  ]
  assert.deepEqual(new Set(await answers(denied.map(read))), new Set(['PERMISSION_DENIED']))
  const misshapen = [['docs/a.md'], { 0: 'docs/a.md' }, 5, null]
  assert.deepEqual(new Set(await answers(misshapen.map(read))), new Set(['PARAMETER_VALIDATION_ERROR']))
  const onLinks: readonly (readonly [string, JsonObject])[] = [
    read('docs/link'),
    read('docs/dirlink/secret'),
    ['list_files', { path: 'docs/dirlink' }],
    ['search_files', { path: 'docs/link', pattern: 'can' }],
    ['search_files', { path: 'docs/dirlink', pattern: 'can' }],
    ...['out/link', 'out/dirlink/secret', 'out/hard'].flatMap((path) => [
      ['write_file', { path, content: 'evil' }] as const,
      ['edit_file', { path, old_text: 'canary', new_text: 'evil' }] as const,
    ]),
  ]
  assert.deepEqual(new Set(await answers(onLinks)), new Set(['PATH_OUTSIDE_PROJECT']))
  // Without a path they are about the whole project.
  assert.deepEqual(
    await answers([
      ['list_files', {}],
      ['search_files', { pattern: 'can' }],
    ]),
    ['PERMISSION_DENIED', 'PERMISSION_DENIED'],
  )
  assert.equal(readFileSync(join(root, 'secret.txt'), 'utf8'), 'canary')
})

test('threat row 16: a thread that calls the HTTP client itself reaches no host and no file beyond its scopes', async (t) => {
  const elsewhere: string[] = []
  const other = await port(t, ({ url = '' }, response) => void response.end(String(elsewhere.push(url))))
  const hosts: (string | undefined)[] = []
  const allowed = await port(t, ({ url, headers }, response) => {
    hosts.push(headers.host)
    const events = url === '/events' ? { 'content-type': 'text/event-stream' } : null
    if (url === '/away') response.writeHead(302, { location: `http://127.0.0.1:${other}/` })
    else response.writeHead(200, events ?? {})
    response.end('data: 1\n\n')
  })
  const permissions = `<execute resource="net" host="127.0.0.1:${allowed}"/><write resource="filesystem" path="out/**"/>`
  const { root, answers } = await openAttack(t, permissions, { 'out/x': 'x', 'secret.txt': 'canary' })
  symlinkSync('../secret.txt', join(root, 'out/link'))
  const url = `http://127.0.0.1:${allowed}`
  const http = (parameters: JsonObject): readonly [string, JsonObject] => ['http_client', parameters]
  const stream = (destination: JsonObject): readonly [string, JsonObject] =>
    http({ url: `${url}/events`, mode: 'stream', stream: { destinations: [destination] } })
  // What is written behind the host stays behind it.
  const behind = [
    { url, path: `@127.0.0.1:${other}/` },
    { url, path: `//127.0.0.1:${other}/` },
    { url: `${url}\\@127.0.0.1:${other}` },
  ]
  assert.deepEqual(await answers(behind.map(http)), ['OK', 'OK', 'OK'])
  const refused = [
    { url, headers: { host: 'evil.example' } },
    { url: `${url}/away`, follow_redirects: true },
    { url: `http://u:p@127.0.0.1:${allowed}/` },
    { url: `http://127.0.0.1:${other}/` },
    { url: `http://localhost:${allowed}/` },
    { url: `http://[::ffff:127.0.0.1]:${allowed}/` },
    { url: '${ANTHROPIC_BASE_URL}/v1' },
    { url: `${url}/events`, mode: 'stream', stream: { transport: 'websocket' } },
  ]
  assert.equal((await answers(refused.map(http))).includes('OK'), false)
  const destinations = [
    { type: 'file', path: 'out/s.jsonl', config: { path: 'evil.jsonl' } },
    { type: 'file', path: '.ai/threads/other/transcript.jsonl' },
    { type: 'file', path: 'out/link' },
    { type: 'websocket_sink', url: `ws://127.0.0.1:${other}/` },
    { type: 'websocket_sink', url: `ws://127.0.0.1:${allowed}/` },
  ]
  assert.equal((await answers(destinations.map(stream))).includes('OK'), false)
  assert.deepEqual(await answers([stream({ type: 'file', path: 'out/s.jsonl' })]), ['OK'])
  assert.deepEqual([elsewhere, [...new Set(hosts)]], [[], [`127.0.0.1:${allowed}`]])
  assert.equal(readFileSync(join(root, 'secret.txt'), 'utf8'), 'canary')
})
