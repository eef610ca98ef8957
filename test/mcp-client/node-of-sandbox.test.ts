import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { createSandbox } from '../../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from '../../src/primitives/subprocess/subprocess.ts'
import { OPERATOR } from './peers.ts'

const WHAT_TO_DO =
  'Tests of servers start `node` in the sandbox, which shows /usr of this machine and no home folder: have a Node 20 or newer there (Debian: apt-get install nodejs).'

test('a command in the sandbox finds a Node that runs the servers of the tests', async () => {
  const primitive = createSubprocessPrimitive({ sandbox: createSandbox({ mode: 'bubblewrap' }), env: () => undefined })
  const config = { command: 'node', args: ['--version'] }
  const { value, error } = await primitive.execute({ config, context: { projectPath: tmpdir(), __grant: OPERATOR } })
  const version = /"v(\d+)\./u.exec(JSON.stringify(value ?? null))?.[1]
  assert.ok(Number(version) >= 20, `${WHAT_TO_DO} Found: ${JSON.stringify(value ?? error)}`)
})
