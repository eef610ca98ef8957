// Part of `npm run test:pack`, which copies this file beside an installed Kiwi and runs it there: starts `kiwi serve` in a project as a user does, is refused
// without its token, and talks to it with the official client in both eras. Arguments: the script of the command, the project. Prints what it saw as JSON.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const START_TIMEOUT_MS = 30_000

const [kiwi, project] = process.argv.slice(2)

/** A JSON-RPC 2.0 service that tells what it was asked. */
async function startService() {
  const server = createServer(async (request, response) => {
    const { id, method, params } = JSON.parse(await new Response(request).text())
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, result: { method, params } }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function talk(served, mode, serviceUrl) {
  const client = new Client({ name: 'pack', version: '1.0.0' }, { versionNegotiation: { mode } })
  const headers = { Authorization: `Bearer ${readFileSync(served.token_file, 'utf8').trim()}` }
  await client.connect(new StreamableHTTPClientTransport(new URL(served.url), { requestInit: { headers } }))
  const execute = async (item_id, parameters) => {
    const answer = await client.callTool({ name: 'execute', arguments: { item_type: 'tool', item_id, parameters } })
    return answer.structuredContent
  }
  const seen = {
    name: client.getServerVersion()?.name,
    version: client.getNegotiatedProtocolVersion(),
    tools: (await client.listTools()).tools.map(({ name }) => name),
    overHttp: await execute('jsonrpc_http', { url: serviceUrl, method: 'add', params: [1, 2] }),
  }
  await client.close()
  return seen
}

const service = await startService()
const serve = spawn(process.execPath, [kiwi, 'serve', '--port', '0', '--output', 'json'], {
  cwd: project,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const ended = once(serve, 'exit')
try {
  const [line] = await once(createInterface({ input: serve.stdout }), 'line', { signal: AbortSignal.timeout(START_TIMEOUT_MS) })
  const served = JSON.parse(line)
  const refused = await fetch(served.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
  const serviceUrl = `http://127.0.0.1:${service.address().port}/`
  const eras = [await talk(served, 'legacy', serviceUrl), await talk(served, { pin: '2026-07-28' }, serviceUrl)]
  console.log(JSON.stringify({ withoutToken: refused.status, eras }))
} finally {
  serve.kill('SIGTERM')
  const [code] = await ended
  if (code !== 0) process.exitCode = 1
  service.close()
  service.closeAllConnections()
}
