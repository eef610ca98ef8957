import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createConnectedProject, npmServer, outcomes } from './connected-project.ts'
import { errorOf, valueOf } from '../kernel/project.ts'

test('the tools of server-memory become signed files that run', async (t) => {
  const project = await createConnectedProject(t)
  const id = await project.connector('memory', {
    ...npmServer(project, 'memory'),
    env: { MEMORY_FILE_PATH: '/tmp/memory.jsonl' },
  })
  const created = await project.run(id)
  assert.ok(outcomes(created).includes('read_graph created'))
  assert.ok(created.every(({ what }) => what === 'created'))
  assert.deepEqual(new Set(outcomes(await project.run(id)).map((one) => one.split(' ')[1])), new Set(['unchanged']))
  const entities = [{ name: 'kiwi', entityType: 'fruit', observations: ['green'] }]
  const added = valueOf(await project.execute('memory_create_entities', { entities }))
  assert.match(JSON.stringify(added), /kiwi/)
  assert.match(JSON.stringify(valueOf(await project.execute('memory_read_graph'))), /green/)
  const refused = errorOf(await project.execute('memory_create_entities', { entities: 'none' }))
  assert.equal(refused.code, 'PARAMETER_VALIDATION_ERROR')
})
