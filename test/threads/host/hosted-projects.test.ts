import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { createHostedProjects } from '../../../src/threads/host/hosted-projects.ts'
import { openProjectList } from '../../../src/threads/host/project-list.ts'
import { bench, counting, tempFolder } from '../fixture.ts'

test('a project that cannot be recovered is closed, and opened anew when it is asked for again', async (t) => {
  const folder = tempFolder(t)
  const { engine, store, bus } = bench(t, counting(1))
  const closed: string[] = []
  let opened = 0
  const projects = createHostedProjects({
    list: openProjectList(join(folder, 'projects.json'), () => undefined),
    log: () => undefined,
    openProject: async () => {
      opened += 1
      const recover = opened === 1 ? () => Promise.reject(new Error('The registry cannot be read.')) : () => Promise.resolve([])
      const close = async (): Promise<void> => void closed.push(`engine ${opened}`)
      return { engine: { ...engine, recover, close }, store, bus, close: async () => void closed.push(`project ${opened}`) }
    },
  })
  await assert.rejects(projects.get(folder), /cannot be read/)
  assert.deepEqual(closed, ['engine 1', 'project 1'])
  assert.equal((await projects.get(folder)).isEnded('nobody'), null)
  assert.equal(opened, 2)
})
