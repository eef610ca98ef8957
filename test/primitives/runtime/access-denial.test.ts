import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { explainDenial } from '../../../src/primitives/runtime/access-denial.ts'
import type { RuntimeOutcome } from '../../../src/primitives/runtime/contract.ts'
import { createRuntimePrimitive } from '../../../src/primitives/runtime/runtime.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'

const project = mkdtempSync(join(tmpdir(), 'kiwi-denial-'))
const primitives = (['bubblewrap', 'none'] as const).map((mode) => createRuntimePrimitive({ sandbox: createSandbox({ mode }) }))
after(async () => {
  for (const primitive of primitives) await primitive.close()
  rmSync(project, { recursive: true, force: true })
})

/** What a tool without any grant is told when it does this, in the sandbox and without it. */
async function told(body: string): Promise<readonly NonNullable<RuntimeOutcome['error']>[]> {
  const code = `import * as fs from 'node:fs'; import { execSync } from 'node:child_process'; import { connect } from 'node:net'
    export default async (_: unknown, { projectPath }: any) => { ${body} }`
  const errors: NonNullable<RuntimeOutcome['error']>[] = []
  for (const primitive of primitives) {
    const { error } = await primitive.execute({
      config: {},
      parameters: {},
      context: { projectPath: project },
      runtimeTool: {
        id: 'tool',
        path: join(project, '.ai/tools/tool.ts'),
        space: 'project',
        bytes: Buffer.from(code),
        imports: new Map(),
      },
    })
    assert(error !== null)
    errors.push(error)
  }
  return errors
}

test('a tool that touches a file which it may not is told what to require and to declare', async () => {
  for (const { code, message, suggestion } of await told("fs.writeFileSync(projectPath + '/out/a.txt', 'x')")) {
    assert.deepEqual([code, message], ['EXECUTION_FAILED', 'this call may not write out/a.txt.'])
    assert.match(suggestion ?? '', /__requires__ = .*'fs\.write', scope: \{ path: 'out\/a\.txt' \}/)
    assert.match(suggestion ?? '', /<write resource="filesystem" path="out\/a\.txt"\/>/)
  }
  for (const { message, suggestion } of await told("fs.readFileSync(projectPath + '/a.txt')")) {
    assert.equal(message, 'this call may not read a.txt.')
    assert.match(suggestion ?? '', /'fs\.read'.*<read resource="filesystem" path="a\.txt"\/>/)
  }
})

test('a tool is told which way leads to files outside of the project, processes and the network', async () => {
  for (const { message } of await told("fs.readFileSync('/etc/passwd')"))
    assert.match(message, /\/etc\/passwd, which is not in the project/)
  for (const { suggestion } of await told("execSync('id')"))
    assert.match(suggestion ?? '', /subprocess.*<execute resource="shell"\/>/)
  const connecting = "await new Promise((_, no) => connect(80, '127.0.0.1').on('error', no))"
  for (const { suggestion } of await told(connecting)) assert.match(suggestion ?? '', /fetch\(\).*net\.http/)
})

test('a path that cannot stand in a tag is not spelled into one, and an unknown permission keeps the words of Node', () => {
  const odd = explainDenial({ permission: 'FileSystemRead', resource: '/project/a"/><write path="**' }, '/project')
  assert.match(odd?.suggestion ?? '', /<read resource="filesystem" path="…"\/>/)
  assert.equal(explainDenial({ permission: 'Inspector', resource: '' }, '/project'), null)
})
