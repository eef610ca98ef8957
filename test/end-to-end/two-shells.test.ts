import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { startScriptedModel } from '../../src/scripted-model/server.ts'
import { kiwi } from '../cli/kiwi-process.ts'
import { createScriptedProject } from '../cli/scripted-project.ts'

test('each thread talks to the endpoint of the shell that spawned it, whichever shell started the host', async (t) => {
  const project = await createScriptedProject()
  const other = await startScriptedModel({ scenario: join(project.path, '.ai', 'scenarios', 'hello_kiwi.yaml') })
  t.after(async () => {
    await other.close()
    await project.close()
  })
  const otherShell = { ...project.options, env: { ...project.options.env, ANTHROPIC_BASE_URL: other.anthropicBaseUrl } }
  assert.equal((await project.run('run', 'hello_kiwi')).code, 0)
  const asked = project.model.requests().length
  assert.ok(asked > 0)
  assert.equal((await kiwi(['run', 'hello_kiwi'], otherShell)).code, 0)
  assert.equal(project.model.requests().length, asked)
  assert.equal(other.requests().length, asked)
  assert.equal((await project.run('run', 'hello_kiwi')).code, 0)
  assert.equal(other.requests().length, asked)
})
