import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createClosedEntries } from '../../../src/primitives/sandbox/closed-entries.ts'
import { SandboxError } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from '../../../src/primitives/subprocess/subprocess.ts'

let project = ''
before(async () => {
  project = await mkdtemp(join(tmpdir(), 'kiwi-sandbox-'))
})
after(async () => await rm(project, { recursive: true, force: true }))

const call = (): { config: { command: string }; context: { projectPath: string } } => ({
  config: { command: 'true' },
  context: { projectPath: project },
})

test('where bubblewrap is missing a command is refused with the line that installs it', async () => {
  const sandbox = createSandbox({ mode: 'bubblewrap', programs: { bwrap: '/no/such/bwrap', prlimit: 'prlimit' } })
  const { value, error } = await createSubprocessPrimitive({ sandbox, env: () => undefined }).execute(call())
  assert.deepEqual([value, error?.code], [null, 'SANDBOX_UNAVAILABLE'])
  assert.match(
    error?.message ?? '',
    /bubblewrap \(bwrap\) is not installed\. Run `.* bubblewrap` .*Fedora: dnf install -y bubblewrap.*sandbox: none/,
  )
})

test('where bubblewrap may not make namespaces a command is refused with what it said', async () => {
  const bwrap = join(project, 'bwrap')
  await writeFile(
    bwrap,
    '#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.9.0 && exit 0\necho "bwrap: No permissions to create new namespace" >&2; exit 1\n',
  )
  await chmod(bwrap, 0o755)
  const sandbox = createSandbox({ mode: 'bubblewrap', programs: { bwrap, prlimit: 'prlimit' } })
  const found = await sandbox.availability()
  assert.match(found.kind === 'broken' ? found.reason : '', /No permissions to create new namespace/)
})

test('a bubblewrap that is too old is refused', async () => {
  const bwrap = join(project, 'old-bwrap')
  await writeFile(bwrap, '#!/bin/sh\necho bubblewrap 0.4.1\n')
  await chmod(bwrap, 0o755)
  const found = await createSandbox({ mode: 'bubblewrap', programs: { bwrap, prlimit: 'prlimit' } }).availability()
  assert.match(found.kind === 'broken' ? found.reason : '', /0\.4\.1 is too old/)
})

test('a command runs without a sandbox only where the configuration says so, and then the result says so', async () => {
  const primitive = createSubprocessPrimitive({ sandbox: createSandbox({ mode: 'none' }), env: (name) => process.env[name] })
  const { value, error, sandbox } = await primitive.execute({ ...call(), config: { command: 'pwd' } })
  assert.deepEqual([error, value?.stdout, value?.sandbox, sandbox], [null, `${project}\n`, 'none', 'none'])
})

test('a project with more names than can be looked at is refused, not half closed', async () => {
  // Fails without the bound of closed-entries.ts.
  await Promise.all(Array.from({ length: 50 }, async (_, index) => await writeFile(join(project, `f${index}`), '')))
  const entries = createClosedEntries(project, { hidden: [], maxEntries: 40 })
  await assert.rejects(
    entries.below([[]]),
    (error) => error instanceof SandboxError && /more than 40 names.*narrower path/.test(error.message),
  )
})
