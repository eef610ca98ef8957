import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startWorker } from '../../../src/primitives/runtime/worker-process.ts'
import { CALLERS, createSandboxProject } from '../sandbox/sandboxed.ts'
import { runTools, valueOf } from './tool-host.ts'

test('a worker that the system refuses to start is one that has ended, and its sandbox is let go', async () => {
  let disposed = 0
  const wrapped = {
    command: process.execPath,
    args: ['x'.repeat(8 * 1024 * 1024)],
    env: {},
    cwd: '/',
    inherit: [],
    mode: 'bubblewrap',
    processCount: () => null,
    dispose: async () => {
      disposed += 1
      return { started: false, movedAside: [], deniedHosts: [] }
    },
  } as const
  const worker = startWorker({ wrapped, projectPath: '/project', fetch: () => Promise.reject(new Error('no network')) })
  await worker.gone
  const answer = await worker.call('run', {}, { timeoutMs: 1_000 })
  assert.deepEqual([disposed, worker.usable(), answer.kind], [1, false, 'ended'])
})

const LIST = `import { readdirSync } from 'node:fs'
export default async () => { try { return readdirSync('/opt/tool/node_modules') } catch (error: any) { return error.code } }`

for (const caller of CALLERS) {
  test(`a link in place of the packages of a project shows a tool of ${caller.name} nothing beyond that project`, async () => {
    // Guard: `packagesOf` of worker-layout.ts. Without it whoever brings the folder brings a mount of anything that its user can read.
    const elsewhere = mkdtempSync(join(tmpdir(), 'kiwi-elsewhere-'))
    try {
      writeFileSync(join(elsewhere, 'id_rsa'), 'canary')
      for (const [target, seen] of [
        [elsewhere, 'ERR_ACCESS_DENIED'],
        ['../src', 'ERR_ACCESS_DENIED'],
        ['../node_modules', ['left-pad']],
      ] as const) {
        const files = { '.ai/node_modules': `-> ${target}`, 'node_modules/left-pad/index.js': '', 'src/secret.ts': '' }
        await using project = await createSandboxProject(caller, files)
        const { outcomes } = await runTools(caller, { project: project.root, runs: [{ code: LIST }] })
        assert.deepEqual(valueOf(outcomes[0]), seen)
      }
    } finally {
      rmSync(elsewhere, { recursive: true, force: true })
    }
  })
}
