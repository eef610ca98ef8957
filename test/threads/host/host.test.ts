import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import { ensureHost } from '../../../src/threads/host/ensure-host.ts'
import type { EnsureHostOptions } from '../../../src/threads/host/ensure-host.ts'
import { askHost } from '../../../src/threads/host/host-client.ts'
import { findSocketPath, openHostFolder } from '../../../src/threads/host/host-folder.ts'
import { MAX_REQUEST_BYTES } from '../../../src/threads/host/protocol.ts'
import { reachHost } from '../../../src/threads/host/wake-host.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { atEnd, poll, request, tempFolder } from '../fixture.ts'

const HOST = new URL('host-process.ts', import.meta.url).pathname

interface World {
  readonly hostDir: string
  readonly projectPath: string
  readonly host: EnsureHostOptions
  readonly client: ThreadsClient
  /** Lets a thread of the host process end. */
  readonly finish: (threadId: string) => void
}

/** A user with one project; whatever host lives at the end of the test is stopped. */
function world(t: TestContext, options: { readonly idleExitMs?: number; readonly hostDir?: string } = {}): World {
  const folder = tempFolder(t)
  const hostDir = options.hostDir ?? join(folder, 'host')
  const projectPath = join(folder, 'project')
  mkdirSync(projectPath)
  const host = {
    hostDir,
    command: [process.execPath, HOST, hostDir, String(options.idleExitMs ?? 60_000)],
    env: process.env,
    timeoutMs: 20_000,
  }
  const store = openStore({ path: join(projectPath, '.ai', 'threads', 'registry.db') })
  const client = createThreadsClient({
    projectPath,
    store,
    ownsStore: true,
    clock: systemClock,
    ...reachHost({ ...host, projectPath }),
  })
  atEnd(t, async () => {
    client.close()
    await stopHost(hostDir)
  })
  return { hostDir, projectPath, host, client, finish: (threadId) => writeFileSync(join(projectPath, `finish-${threadId}`), '') }
}

async function stopHost(hostDir: string): Promise<void> {
  if (!existsSync(hostDir)) return
  const folder = openHostFolder(hostDir)
  const pid = await askHost(folder, { cmd: 'ping' }, 2_000).then(
    (answer) => Number(answer['pid']),
    () => null,
  )
  if (pid === null) return
  process.kill(pid, 'SIGKILL')
  await poll(
    () => isRunning(pid),
    (running) => !running,
  )
}

function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2] !== 'Z'
  } catch {
    return false
  }
}

test('a spawn starts the host, which runs the thread after the one who asked has gone', async (t) => {
  const { client, finish, hostDir } = world(t)
  const receipt = await client.spawn(request('a'))
  assert.equal(receipt.registry_id, 1)
  await poll(
    () => client.get('a').status,
    (status) => status === 'running',
  )
  finish('a')
  const [row] = await client.wait(['a'], { timeoutMs: 20_000 })
  assert.equal(row?.status, 'completed')
  assert.equal(statSync(hostDir).mode & 0o777, 0o700)
  assert.equal(statSync(findSocketPath(openHostFolder(hostDir)) ?? '').mode & 0o777, 0o600)
})

test('many processes that need a host at once get the same one', async (t) => {
  const { host, hostDir } = world(t)
  const answers = await Promise.all(Array.from({ length: 6 }, () => ensureHost(host)))
  assert.equal(new Set(answers.map((answer) => answer['pid'])).size, 1)
  const log = await poll(
    () => readFileSync(join(hostDir, 'host.log'), 'utf8'),
    (text) => (text.match(/ended: already_running/g) ?? []).length === 5,
  )
  assert.equal(log.match(/ listens/g)?.length, 1)
})

test('threat row 53: a second host of the same user ends at once and leaves the first alone', async (t) => {
  const { host, hostDir } = world(t)
  const first = await ensureHost(host)
  const second = spawn(process.execPath, [HOST, hostDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  second.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = await once(second, 'exit')
  assert.deepEqual([code, output.trim()], [0, 'ended: already_running'])
  assert.equal((await ensureHost(host))['pid'], first['pid'])
})

test('threat row 60: after kill -9 of the host the next one finds the project by itself and finishes its threads', async (t) => {
  const { client, finish, host, hostDir } = world(t)
  await client.spawn(request('a'))
  await poll(
    () => client.get('a').status,
    (status) => status === 'running',
  )
  const { pid } = await askHost(openHostFolder(hostDir), { cmd: 'ping' }, 5_000)
  process.kill(Number(pid), 'SIGKILL')
  await poll(
    () => isRunning(Number(pid)),
    (running) => !running,
  )
  finish('a')
  await ensureHost(host)
  const [row] = await client.wait(['a'], { timeoutMs: 20_000 })
  assert.equal(row?.status, 'completed')
})

test('a host that has nothing to do ends, and the next spawn starts another', async (t) => {
  const { client, finish, hostDir } = world(t, { idleExitMs: 50 })
  finish('a')
  finish('b')
  await client.spawn(request('a'))
  await client.wait(['a'], { timeoutMs: 20_000 })
  await poll(
    () => readFileSync(join(hostDir, 'host.log'), 'utf8'),
    (log) => log.includes('ended: idle'),
  )
  await client.spawn(request('b'))
  const [row] = await client.wait(['b'], { timeoutMs: 20_000 })
  assert.equal(row?.status, 'completed')
})

test('SIGTERM drains the host: its threads stay as they are and go on in the next one', async (t) => {
  const { client, finish, host, hostDir } = world(t)
  await client.spawn(request('a'))
  await poll(
    () => client.get('a').status,
    (status) => status === 'running',
  )
  const { pid } = await ensureHost(host)
  process.kill(Number(pid), 'SIGTERM')
  finish('a')
  await poll(
    () => isRunning(Number(pid)),
    (running) => !running,
  )
  assert.match(readFileSync(join(hostDir, 'host.log'), 'utf8'), /ended: signal/)
  await ensureHost(host)
  const [row] = await client.wait(['a'], { timeoutMs: 20_000 })
  assert.equal(row?.status, 'completed')
})

test('a watcher gets live messages and events until the thread has ended', async (t) => {
  const { client, finish } = world(t)
  await client.spawn(request('a'))
  const lives: unknown[] = []
  const watching = client.watch('a', (live) => lives.push(live), new AbortController().signal)
  await poll(
    () => client.get('a').status,
    (status) => status === 'running',
  )
  setTimeout(() => finish('a'), 100)
  await watching
  assert.match(JSON.stringify(lives.at(-1)), /"event_type":"status".*"completed"/)
})

test('a host that cannot be started leaves the thread in the registry and says so', async (t) => {
  const { client, projectPath, host } = world(t)
  const store = openStore({ path: join(projectPath, '.ai', 'threads', 'registry.db') })
  const broken = reachHost({
    ...host,
    projectPath,
    command: [process.execPath, '-e', 'console.error("no luck"); process.exit(3)'],
  })
  const lost = createThreadsClient({ projectPath, store, ownsStore: true, clock: systemClock, ...broken })
  atEnd(t, () => lost.close())
  await assert.rejects(lost.spawn(request('a')), (error: { code: string; message: string; context: { suggestion: string } }) => {
    assert.equal(error.code, 'HOST_UNAVAILABLE')
    assert.match(error.message, /exit code 3.*no luck/)
    assert.match(error.context.suggestion, /kiwi host/)
    return true
  })
  assert.equal(client.get('a').status, 'spawning')
})

test('a folder whose path is too long for a socket gets one in a private temporary folder', async (t) => {
  const hostDir = join(tempFolder(t), 'x'.repeat(100), 'host')
  const socketFolders: string[] = []
  // Registered before the host is, so that it runs after the host has been stopped.
  atEnd(t, () => socketFolders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))
  const { host } = world(t, { hostDir })
  await ensureHost(host)
  const path = findSocketPath(openHostFolder(hostDir)) ?? ''
  socketFolders.push(join(path, '..'))
  assert.ok(path.length <= 100 && statSync(join(path, '..')).isDirectory())
  assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
})

test('threat row 39: a host folder that others could enter is closed to them before it is used', (t) => {
  const hostDir = join(tempFolder(t), 'host')
  mkdirSync(hostDir)
  chmodSync(hostDir, 0o777)
  openHostFolder(hostDir)
  assert.equal(statSync(hostDir).mode & 0o777, 0o700)
})

test('a peer that does not speak the protocol gets an error or is dropped, and the host goes on', async (t) => {
  const { host, hostDir } = world(t)
  const { pid } = await ensureHost(host)
  const path = findSocketPath(openHostFolder(hostDir)) ?? ''
  assert.match(await talk(path, '{"id":1,"cmd":"wake","project_path":"../x"}\n'), /INVALID_REQUEST.*not an absolute path/)
  assert.match(await talk(path, '{"id":1,"cmd":"watch","project_path":"/x","thread_id":"../y"}\n'), /INVALID_REQUEST/)
  assert.match(await talk(path, 'nonsense\n'), /not a JSON object/)
  assert.equal(await talk(path, 'x'.repeat(MAX_REQUEST_BYTES + 1_000_000)), '')
  assert.equal((await ensureHost(host))['pid'], pid)
})

/** Sends bytes and gives the first line of the answer, or nothing when the connection is closed without one. */
async function talk(path: string, bytes: string): Promise<string> {
  const socket = createConnection(path)
  socket.on('error', () => undefined)
  let answer = ''
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString()
    if (answer.includes('\n')) socket.destroy()
  })
  socket.write(bytes)
  await new Promise((resolve) => socket.once('close', resolve))
  return answer.trim()
}
