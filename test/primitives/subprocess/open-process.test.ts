import assert from 'node:assert/strict'
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Grant, Sandbox, SandboxMode } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import type {
  OpenedProcess,
  OpenedProcessEnd,
  OpenProcess,
  OpenProcessRequest,
} from '../../../src/primitives/subprocess/contract.ts'
import { createProcessOpener } from '../../../src/primitives/subprocess/open-process.ts'
import { processesWith, within } from '../sandbox/sandboxed.ts'

const HOST_ENV: Readonly<Record<string, string>> = { PATH: process.env['PATH'] ?? '', PLAIN: 'plain', MY_API_KEY: 'canary' }
const env = (name: string): string | undefined => HOST_ENV[name]
const openers: Readonly<Record<SandboxMode, OpenProcess>> = {
  bubblewrap: createProcessOpener({ sandbox: createSandbox({ mode: 'bubblewrap' }), env }),
  none: createProcessOpener({ sandbox: createSandbox({ mode: 'none' }), env }),
}
const OPERATOR: Grant = {
  id: 'operator',
  threadId: null,
  read: [],
  write: [{ kind: 'tree', base: [] }],
  network: { kind: 'none' },
  isLive: () => true,
}
/** Of a thread that was granted nothing. */
const THREAD: Grant = { ...OPERATOR, id: 'thread', threadId: 'one', write: [] }
let project = ''

before(async () => {
  project = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-open-')))
  await mkdir(join(project, 'node_modules', 'server'), { recursive: true })
  await writeFile(join(project, 'node_modules', 'server', 'main.sh'), 'echo served\n')
  await mkdir(join(project, 'server'))
  await writeFile(join(project, 'server', '.env'), 'secret\n')
  await writeFile(join(project, '.env'), 'secret\n')
  await writeFile(join(project, 'other.txt'), 'other\n')
  await mkdir(join(project, '.git'))
  await symlink('/etc', join(project, 'link'))
})
after(async () => await rm(project, { recursive: true, force: true }))

interface Opened {
  readonly process: OpenedProcess
  readonly lines: string[]
  /** Resolves with the next line that nobody waited for yet. */
  readonly next: () => Promise<string>
}

interface Ask extends Partial<Omit<OpenProcessRequest, 'config' | 'context'>> {
  readonly grant?: Grant
  readonly mode?: SandboxMode
  readonly config?: Readonly<Record<string, unknown>>
}

async function open(script: string, { grant = OPERATOR, mode = 'bubblewrap', config, ...more }: Ask = {}): Promise<Opened> {
  const lines: string[] = []
  const waiting: ((line: string) => void)[] = []
  let taken = 0
  const opened = await openers[mode]({
    config: { command: 'sh', args: ['-c', script], ...config },
    context: { projectPath: project, __grant: grant },
    maxLineBytes: 1_000_000,
    onLine(line) {
      lines.push(line)
      const waiter = waiting.shift()
      if (waiter === undefined) return
      taken += 1
      waiter(line)
    },
    ...more,
  })
  const next = async (): Promise<string> => {
    const line = lines[taken]
    if (line === undefined) return await new Promise((resolve) => waiting.push(resolve))
    taken += 1
    return line
  }
  return { process: opened, lines, next }
}

async function endOf(script: string, ask: Ask = {}): Promise<OpenedProcessEnd & { readonly lines: readonly string[] }> {
  const { process: opened, lines } = await open(script, ask)
  return { ...(await opened.ended), lines }
}

for (const mode of ['bubblewrap', 'none'] as const) {
  test(`${mode}: a process answers line by line and ends when its input is closed`, async () => {
    const { process: opened, next } = await open('while read -r line; do echo "<$line>"; done', { mode })
    await opened.write('one')
    assert.equal(await next(), '<one>')
    await opened.write('two')
    assert.equal(await next(), '<two>')
    await opened.close()
    const { exitCode, endedBy, neverRan } = await opened.ended
    assert.deepEqual([exitCode, endedBy, neverRan, opened.mode], [0, 'close', null, mode])
  })

  test(`${mode}: closing ends a process that goes on, with everything it started`, async () => {
    const mark = `86${Date.now()}`
    const { process: opened, next } = await open(`trap "" TERM; sleep ${mark} & (sleep ${mark} &) ; echo up; sleep ${mark}`, {
      mode,
    })
    await next()
    await opened.close(10)
    assert.equal((await opened.ended).endedBy, 'close')
    assert.ok(await within(1_000, async () => (await processesWith(mark)).length === 0))
  })

  test(`${mode}: an abort ends a process with everything it started`, async () => {
    const mark = `87${Date.now()}`
    const cancel = new AbortController()
    const { process: opened, next } = await open(`sleep ${mark} & echo up; wait`, { mode, signal: cancel.signal })
    await next()
    cancel.abort()
    assert.equal((await opened.ended).endedBy, 'abort')
    assert.ok(await within(1_000, async () => (await processesWith(mark)).length === 0))
  })

  test(`threat row 34: a line of 100 MB ends its process and is not kept (${mode})`, async () => {
    // Guard: the byte cap of the line reader.
    const { endedBy, lines } = await endOf('echo first; head -c 100000000 /dev/zero | tr "\\0" x', { mode })
    assert.deepEqual([endedBy, lines], ['line_too_long', ['first']])
  })
}

test('more lines than may come in a second end the process', async () => {
  const { endedBy, lines } = await endOf('yes', { maxLinesPerSecond: 500 })
  assert.deepEqual([endedBy, lines.length], ['too_many_lines', 500])
})

test('the beginning and the end of what a process writes to stderr are kept', async () => {
  const { stderr } = await endOf('echo first >&2; head -c 1000000 /dev/zero | tr "\\0" x >&2; echo last >&2')
  assert.match(stderr, /^first\nx+\n\[… \d+ bytes left out …\]\nx+last\n$/)
  assert.ok(Buffer.byteLength(stderr) < 8_400)
})

test('a last line without its end is told when the process ended well, and not when it failed', async () => {
  assert.deepEqual((await endOf('printf "one\\ntwo"')).lines, ['one', 'two'])
  assert.deepEqual((await endOf('printf "one\\ntwo"; exit 1')).lines, ['one'])
})

test('how a process ended by itself is told', async () => {
  const { exitCode, endedBy, stderr } = await endOf('echo why >&2; exit 3')
  assert.deepEqual([exitCode, endedBy, stderr], [3, null, 'why\n'])
})

test('a signal that ended the process is named', async () => {
  assert.equal((await endOf('kill -9 $$')).signal, 'SIGKILL')
})

test('a command that is not there is told by what never ran', async () => {
  const { neverRan } = await endOf('', { config: { command: 'no-such-command', args: [] } })
  assert.match(neverRan ?? '', /no-such-command could not be started: there is no such command/)
})

test('without a sandbox a command that is not there is refused at once', async () => {
  await assert.rejects(open('', { mode: 'none', config: { command: 'no-such-command' } }), { code: 'EXECUTION_FAILED' })
})

test('writing waits for a process that does not read, and fails when it is gone', async () => {
  const { process: opened, next } = await open('echo up; exec sleep 100')
  await next()
  const written = assert.rejects(opened.write('x'.repeat(5_000_000)), { code: 'EXECUTION_FAILED' })
  await opened.close(10)
  await written
  await assert.rejects(opened.write('more'), /takes no more input/)
})

test('what is written arrives whole however long it is', async () => {
  const { process: opened, next } = await open('while read -r line; do echo "${#line}"; done')
  await opened.write('x'.repeat(3_000_000))
  assert.equal(await next(), '3000000')
  await opened.close()
})

test('a line with a line feed is refused', async () => {
  const { process: opened } = await open('cat')
  await assert.rejects(opened.write('a\nb'), TypeError)
  await opened.close()
})

test('closing twice is closing once', async () => {
  const { process: opened } = await open('cat')
  await Promise.all([opened.close(), opened.close()])
  await opened.close()
  assert.equal((await opened.ended).endedBy, 'close')
})

test('a process that starts more than its limit of processes is ended', async () => {
  const script = 'for i in 1 2 3 4 5 6; do sleep 100 & done; echo up; wait'
  // Where the system itself holds the caller to the limit, the shell cannot start them and says so.
  const { endedBy, exitCode } = await endOf(script, { config: { limits: { processes: 3 } } })
  assert.ok(endedBy === 'processes' || (endedBy === null && exitCode !== 0))
})

test('threat row 49: a process whose caller was cancelled is ended', async () => {
  // Guard: the watch asks the grant whether its caller still lives.
  let live = true
  const { process: opened, next } = await open('echo up; exec sleep 100', { grant: { ...THREAD, isLive: () => live } })
  await next()
  live = false
  assert.equal((await opened.ended).endedBy, 'abort')
})

test('a caller that was cancelled before gets no process', async () => {
  await assert.rejects(open('true', { signal: AbortSignal.abort() }), { code: 'ABORTED' })
  await assert.rejects(open('true', { grant: { ...THREAD, isLive: () => false } }), { code: 'ABORTED' })
})

test('threat row 5: the process sees what it was given of the environment and no secret', async () => {
  const { lines } = await endOf('env', { config: { env: { GIVEN: 'yes' }, env_allow: ['PLAIN'] } })
  assert.ok(lines.includes('GIVEN=yes') && lines.includes('PLAIN=plain'))
  assert.equal(
    lines.some((line) => line.includes('canary')),
    false,
  )
})

test('threat row 5: variables of the host are not given at the word of a thread', async () => {
  const config = { env_allow: ['PLAIN'] }
  await assert.rejects(
    open('env', { grant: THREAD, config, parameters: config }),
    /a thread cannot ask for variables of the host/,
  )
})

test('the files of a program are shown read-only to a caller that was granted nothing', async () => {
  const script = 'sh node_modules/server/main.sh; ls; ls -A node_modules/server; echo x > node_modules/new || echo refused'
  const { lines } = await endOf(script, { grant: THREAD, program: ['node_modules'] })
  assert.deepEqual(lines, ['served', 'node_modules', 'main.sh', 'refused'])
})

test('what is closed to tools is empty in the folder of a program', async () => {
  const { lines } = await endOf('cat server/.env; echo end', { grant: THREAD, program: ['server'] })
  assert.deepEqual(lines, ['end'])
})

test('a program is read-only also where its caller may write', async () => {
  const script = 'echo x > node_modules/server/main.sh || echo refused; echo y > mine && cat mine'
  const { lines } = await endOf(script, { program: ['node_modules/server/main.sh'] })
  assert.deepEqual(lines, ['refused', 'y'])
})

for (const path of ['../x', '/etc', '.', '.git', 'server/.env', 'link', 'link/ssl', 'missing', '.ai/keys']) {
  test(`${path} is refused as the program of a process`, async () => {
    await assert.rejects(open('true', { program: [path] }), { code: 'CONFIG_VALIDATION_ERROR', message: /program/ })
  })
}

test('an argument that no process can be given is refused', async () => {
  await assert.rejects(open('', { config: { args: ['x'.repeat(128 * 1024)] } }), /`args\[0\]` has 128 KiB or more/)
})

/** Counts what is disposed of. */
function counting(mode: SandboxMode): { readonly sandbox: Sandbox; readonly disposals: () => number } {
  const real = createSandbox({ mode })
  let disposals = 0
  const wrap: Sandbox['wrap'] = async (command) => {
    const wrapped = await real.wrap(command)
    const dispose = async (): ReturnType<typeof wrapped.dispose> => {
      disposals += 1
      return await wrapped.dispose()
    }
    return { ...wrapped, dispose }
  }
  return { sandbox: { ...real, wrap }, disposals: () => disposals }
}

for (const mode of ['bubblewrap', 'none'] as const) {
  test(`the sandbox of a process that is closed twice is disposed of once (${mode})`, async () => {
    const { sandbox, disposals } = counting(mode)
    const context = { projectPath: project, __grant: OPERATOR }
    const opener = createProcessOpener({ sandbox, env })
    const opened = await opener({ config: { command: 'cat' }, context, onLine: () => undefined, maxLineBytes: 100 })
    await Promise.all([opened.close(), opened.close(), opened.ended])
    assert.equal(disposals(), 1)
  })
}

test('the sandbox of a process that cannot be started is disposed of once', async () => {
  const { sandbox, disposals } = counting('none')
  const context = { projectPath: project, __grant: OPERATOR }
  const config = { command: 'no-such-command' }
  const opener = createProcessOpener({ sandbox, env })
  await assert.rejects(opener({ config, context, onLine: () => undefined, maxLineBytes: 100 }), { code: 'EXECUTION_FAILED' })
  assert.equal(disposals(), 1)
})
