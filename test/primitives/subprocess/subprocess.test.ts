import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createSubprocessPrimitive, type SubprocessOutcome } from '../../../src/primitives/subprocess/subprocess.ts'

const HOST_ENV: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/home/someone',
  MY_API_KEY: 'canary-secret',
  PLAIN: 'plain',
}
const primitive = createSubprocessPrimitive((name) => HOST_ENV[name])
let project = ''

before(async () => {
  project = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-subprocess-')))
})
after(async () => await rm(project, { recursive: true, force: true }))

async function run(config: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<SubprocessOutcome> {
  return await primitive.execute({ config, context: { projectPath: project, ...(signal === undefined ? {} : { signal }) } })
}

async function shell(
  script: string,
  more: Readonly<Record<string, unknown>> = {},
  signal?: AbortSignal,
): Promise<SubprocessOutcome> {
  return await run({ command: 'sh', args: ['-c', script], ...more }, signal)
}

/** A killed process may stay in the table until its new parent has collected it. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !condition(); tries += 1) await delay(20)
  assert.ok(condition(), 'the condition did not come true in 10 seconds')
}

function pidIn(name: string): number {
  return Number(readFileSync(join(project, name), 'utf8'))
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
  assert.doesNotMatch(value?.stdout ?? '', /canary-secret|HOME=/)
})

test('threat row 5: the name of a secret is refused in env_allow', async () => {
  const { error } = await run({ command: 'env', env_allow: ['MY_API_KEY'] })
  assert.match(error?.message ?? '', /MY_API_KEY, which looks like a secret/)
})

for (const cwd of ['..', '/', 'link-out']) {
  test(`a working folder outside the project is refused: ${cwd}`, async () => {
    await symlink('/', join(project, 'link-out')).catch(() => undefined)
    const { error } = await run({ command: 'pwd', cwd })
    assert.deepEqual([error?.code, /outside the project/.test(error?.message ?? '')], ['CONFIG_VALIDATION_ERROR', true])
  })
}

test('threat row 50: long output is kept as beginning and end with its byte count', async () => {
  const { value } = await shell('echo first; head -c 50000000 /dev/zero | tr "\\0" x; echo; echo last', {
    max_output_bytes: 1000,
  })
  assert.equal(value?.stdout_bytes, 50_000_000 + 6 + 6)
  assert.match(value?.stdout ?? '', /^first\nx+\n\[… 49999012 bytes left out …\]\nx+\nlast\n$/)
})

test('threat row 49: a timeout kills the whole group, also what ignores SIGTERM', async () => {
  const script = `sh -c 'trap "" TERM; echo $$ > stubborn.pid; while :; do sleep 1; done' & wait`
  const { value, error } = await shell(script, { timeout_ms: 500 })
  assert.equal(error?.code, 'TIMEOUT')
  assert.equal(value?.exit_code, null)
  await until(() => !isRunning(pidIn('stubborn.pid')))
})

test('threat row 49: cancelling kills the whole group', async () => {
  const controller = new AbortController()
  const running = shell('sleep 600 & echo $! > child.pid; wait', {}, controller.signal)
  await until(() => existsSync(join(project, 'child.pid')) && pidIn('child.pid') > 0)
  controller.abort()
  assert.equal((await running).error?.code, 'ABORTED')
  await until(() => !isRunning(pidIn('child.pid')))
})

test('threat row 49: what a command leaves in the background does not outlive it or hold up its result', async () => {
  const { error } = await shell('sleep 600 & echo $! > left.pid')
  assert.equal(error, null)
  await until(() => !isRunning(pidIn('left.pid')))
})

test('a call that was cancelled before it began starts nothing', async () => {
  const { error } = await shell('touch started', {}, AbortSignal.abort())
  assert.equal(error?.code, 'ABORTED')
  assert.equal(existsSync(join(project, 'started')), false)
})
