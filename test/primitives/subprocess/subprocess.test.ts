import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Grant } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive, type SubprocessOutcome } from '../../../src/primitives/subprocess/subprocess.ts'

const HOST_ENV: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/home/someone',
  MY_API_KEY: 'canary-secret',
  PLAIN: 'plain',
}
const primitive = createSubprocessPrimitive({ sandbox: createSandbox({ mode: 'bubblewrap' }), env: (name) => HOST_ENV[name] })
/** The operator's: the whole project and the host's network. */
const GRANT: Grant = {
  id: 'operator',
  threadId: null,
  read: [],
  write: [{ kind: 'tree', base: [] }],
  network: { kind: 'open' },
  isLive: () => true,
}
let project = ''

before(async () => {
  project = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-subprocess-')))
})
after(async () => await rm(project, { recursive: true, force: true }))

async function run(config: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<SubprocessOutcome> {
  const context = { projectPath: project, __grant: GRANT, ...(signal === undefined ? {} : { signal }) }
  return await primitive.execute({ config, context })
}

async function shell(
  script: string,
  more: Readonly<Record<string, unknown>> = {},
  signal?: AbortSignal,
): Promise<SubprocessOutcome> {
  return await run({ command: 'sh', args: ['-c', script], ...more }, signal)
}

test('output, exit code and byte counts of a command come back', async () => {
  const { value, error } = await shell('printf out; printf err >&2')
  assert.equal(error, null)
  assert.deepEqual([value?.stdout, value?.stderr, value?.exit_code, value?.stdout_bytes], ['out', 'err', 0, 3])
})

test('a failing command is an error that keeps its result', async () => {
  const { value, error } = await shell('echo why >&2; exit 3')
  assert.deepEqual([error?.code, value?.exit_code, value?.stderr], ['PROCESS_FAILED', 3, 'why\n'])
})

test('a command that does not exist is named in the error', async () => {
  const { error } = await run({ command: 'no-such-command-here' })
  assert.match(error?.message ?? '', /no-such-command-here could not be started: there is no such command/)
})

test('arguments are never read by a shell', async () => {
  const { value } = await run({ command: 'printf', args: ['%s', '$(id); `id` && x'] })
  assert.equal(value?.stdout, '$(id); `id` && x')
})

test('standard input reaches the command and is closed', async () => {
  const { value } = await run({ command: 'cat', stdin: 'hello' })
  assert.equal(value?.stdout, 'hello')
})

test('a command that never reads its input does not fail for it', async () => {
  const { error } = await run({ command: 'true', stdin: 'x'.repeat(1_000_000) })
  assert.equal(error, null)
})

test('threat row 5: the process sees allowed and given variables and no secret of the host', async () => {
  const { value } = await run({ command: 'env', env: { GIVEN: 'yes' }, env_allow: ['PATH', 'PLAIN'] })
  const lines = value?.stdout.split('\n') ?? []
  assert.ok(lines.includes('GIVEN=yes') && lines.includes('PLAIN=plain'))
  assert.doesNotMatch(value?.stdout ?? '', /canary-secret|someone/)
})

test('threat row 5: the name of a secret is refused in env_allow', async () => {
  const { error } = await run({ command: 'env', env_allow: ['MY_API_KEY'] })
  assert.match(error?.message ?? '', /MY_API_KEY, which looks like a secret/)
})

for (const cwd of ['..', '/', 'link-out']) {
  test(`a working folder outside the project is refused like one that is not there: ${cwd}`, async () => {
    await symlink('/', join(project, 'link-out')).catch(() => undefined)
    const { error } = await run({ command: 'pwd', cwd })
    assert.deepEqual([error?.code, /does not exist in the project/.test(error?.message ?? '')], ['CONFIG_VALIDATION_ERROR', true])
  })
}

test('threat row 50: long output is kept as beginning and end with its byte count', async () => {
  const { value } = await shell('echo first; head -c 50000000 /dev/zero | tr "\\0" x; echo; echo last', {
    max_output_bytes: 1000,
  })
  assert.equal(value?.stdout_bytes, 50_000_000 + 6 + 6)
  assert.match(value?.stdout ?? '', /^first\nx+\n\[… 49999012 bytes left out …\]\nx+\nlast\n$/)
})

test('a file beyond the limit ends the command with a signal that is explained', async () => {
  const { value, error } = await shell('head -c 3000000 /dev/zero > big', { limits: { file_bytes: 1_000_000 } })
  assert.deepEqual([value?.exit_code, value?.signal], [153, 'SIGXFSZ'])
  assert.equal(error?.message, 'sh ended with signal SIGXFSZ (it wrote a file larger than `limits.file_bytes`).')
})

test('a limit of another name is refused with the names that exist', async () => {
  const { error } = await shell('true', { limits: { procs: 5 } })
  assert.match(error?.message ?? '', /`limits` has no "procs"; it has processes, file_bytes/)
})

test('a command that may not be executed is named in the error', async () => {
  await writeFile(join(project, 'plain.txt'), 'text')
  const { error } = await run({ command: './plain.txt' })
  assert.match(error?.message ?? '', /plain\.txt could not be started: it may not be executed/)
})

test('the working folder is where it is in the project, and the process sees it below /project', async () => {
  await mkdir(join(project, 'sub/deep'), { recursive: true })
  const { value } = await run({ command: 'pwd', cwd: 'sub/deep' })
  assert.equal(value?.stdout, '/project/sub/deep\n')
})

test('a closed folder is refused as working folder', async () => {
  await mkdir(join(project, '.git'), { recursive: true })
  const { error } = await run({ command: 'pwd', cwd: '.git' })
  assert.match(error?.message ?? '', /`cwd` \("\.git"\) is refused: \.git is closed to tools/)
})

test('the result says that the command ran in a sandbox', async () => {
  const { value, sandbox } = await shell('true')
  assert.deepEqual([value?.sandbox, sandbox], ['bubblewrap', 'bubblewrap'])
})

test('a call whose thread was cancelled meanwhile starts nothing', async () => {
  const context = { projectPath: project, __grant: { ...GRANT, isLive: () => false } }
  const { error } = await primitive.execute({ config: { command: 'touch', args: ['dead'] }, context })
  assert.deepEqual([error?.code, existsSync(join(project, 'dead'))], ['ABORTED', false])
})

test('a call that was cancelled before it began starts nothing', async () => {
  const { error } = await shell('touch started', {}, AbortSignal.abort())
  assert.equal(error?.code, 'ABORTED')
  assert.equal(existsSync(join(project, 'started')), false)
})

test('threat row 5: a thread does not choose which variables of the host its command gets; a signed file does', async () => {
  // Guard: `saidByThread` of process-config.ts. Without it the parameters of a call name any variable that does not look like a secret.
  const config = { command: 'env', env_allow: ['PLAIN', 'LANG'] }
  const context = { projectPath: project, __grant: { ...GRANT, threadId: 'one' } }
  const asked = await primitive.execute({ config, context, parameters: { env_allow: config.env_allow } })
  assert.deepEqual([asked.value, asked.error?.code], [null, 'CONFIG_VALIDATION_ERROR'])
  const written = await primitive.execute({ config, context, parameters: {} })
  assert.match(written.value?.stdout ?? '', /^PLAIN=plain$/m)
  const operator = await primitive.execute({ config, context: { projectPath: project, __grant: GRANT }, parameters: config })
  assert.match(operator.value?.stdout ?? '', /^PLAIN=plain$/m)
})

test('threat row 50: a thread lowers the limits of its command and does not raise them', async () => {
  // Guard: `mayRaise` of process-config.ts. Without it a call names how much memory its /tmp may take.
  const limits = (tmp: number): object => ({ command: 'df', args: ['--output=size', '-B1', '/tmp'], limits: { tmp_bytes: tmp } })
  const sizeOf = async (tmp: number, threadId: string | null): Promise<number> => {
    const config = { ...limits(tmp) }
    const { value } = await primitive.execute({
      config,
      parameters: config,
      context: { projectPath: project, __grant: { ...GRANT, threadId } },
    })
    return Number(value?.stdout.split('\n')[1])
  }
  const gigabyte = 1024 ** 3
  assert.deepEqual(
    [await sizeOf(gigabyte, 'one'), await sizeOf(gigabyte / 1024, 'one'), await sizeOf(gigabyte, null)],
    [gigabyte / 2, gigabyte / 1024, gigabyte],
  )
})
