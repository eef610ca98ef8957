import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createThreadsClient } from '../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../src/threads/clock.ts'
import { openStore } from '../../src/threads/store/open-store.ts'
import { request } from '../threads/fixture.ts'
import { createScriptedProject, type ScriptedProject } from './scripted-project.ts'

let project: ScriptedProject
const threads = (): string => join(project.path, '.ai', 'threads')
const RUN = ['run', 'hello_kiwi', 'Count.', '--input', 'text=one two three'] as const

before(async () => {
  project = await createScriptedProject()
})
after(() => project.close())

test('threat row 54: a thread that came with the folder of a project is not run, and the user is told', async () => {
  // Guard: `assertOwn` in compose.ts. Without it the host takes over every thread of a registry that seems to be running.
  rmSync(threads(), { recursive: true, force: true })
  const store = openStore({ path: join(threads(), 'registry.db') })
  const client = createThreadsClient({
    projectPath: project.path,
    store,
    ownsStore: true,
    clock: systemClock,
    wake: async () => undefined,
    watchLive: async () => undefined,
  })
  const theirs = { directiveId: 'hello_kiwi', harness: 'safety_harness', inputs: { text: 'evil' } }
  await client.spawn(request('theirs', theirs))
  client.close()
  const { code, stderr } = await project.run(...RUN)
  assert.equal(code, 1)
  assert.match(stderr, /not made by this installation.*move the folder \.ai\/threads away/s)
  // A command that speaks of the thread wakes the host, which does not open the registry either.
  assert.notEqual((await project.run('resume', 'theirs')).code, 0)
  const { stdout } = await project.run('ps', '--all', '-o', 'json')
  assert.deepEqual(
    JSON.parse(stdout).map((row: { thread_id: string; status: string }) => [row.thread_id, row.status]),
    [['theirs', 'spawning']],
  )
  assert.equal(project.model.requests().length, 0)
})

test('a registry that is made here is used, by every process of the user', async () => {
  renameSync(threads(), `${threads()}-theirs`)
  for (const time of [1, 2]) {
    const { code, stderr } = await project.run(...RUN)
    assert.equal(code, 0, `${time}: ${stderr}`)
    await project.run('host', 'stop')
  }
})

test('a folder of threads that is a link is not written to', async () => {
  renameSync(threads(), `${threads()}-mine`)
  mkdirSync(join(project.path, 'elsewhere'))
  symlinkSync('../elsewhere', threads())
  const { code, stderr } = await project.run(...RUN)
  assert.deepEqual([code, /is a link/.test(stderr)], [1, true])
})
