import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { watchHost } from '../../../src/threads/host/host-client.ts'
import { chooseSocketPath, openHostFolder } from '../../../src/threads/host/host-folder.ts'
import { atEnd, tempFolder } from '../fixture.ts'

// Without the check behind the connect, the watch would end with the host alone.
test('a watch that is aborted while it connects ends, though the host says nothing', { timeout: 20_000 }, async (t) => {
  const folder = openHostFolder(join(tempFolder(t), 'host'))
  const server = createServer((socket) => socket.resume())
  server.listen(chooseSocketPath(folder))
  await once(server, 'listening')
  atEnd(t, () => server.close())
  const abort = new AbortController()
  const target = { projectPath: '/nowhere', threadId: 'a', signal: abort.signal }
  const watched = watchHost(folder, target, () => assert.fail('nothing is live'))
  abort.abort()
  await watched
})
