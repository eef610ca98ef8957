import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { finished, kiwi, startKiwi } from './kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from './scripted-project.ts'

let project: ScriptedProject
let threadId = ''

before(async () => {
  project = await createScriptedProject()
})
after(() => project.close())

test('run streams to stderr, puts the result on stdout and exits 0', async () => {
  const { code, stdout, stderr } = await project.run('run', 'hello_kiwi', 'Count.', '--input', 'text=one two three')
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^Scripted answer: the instructions of this thread have \d+ words\.\n$/u)
  assert.match(stderr, /I count the words first\./u)
  assert.match(stderr, /status\s+completed/u)
  threadId = /^thread (\S+)$/mu.exec(stderr)?.[1] ?? ''
  assert.match(threadId, /^hello_kiwi_\d{8}_\d{6}/u)
})

test('ps, show, wait, tail and the transcript agree on the thread', async () => {
  const [ps, show, wait, tail] = await Promise.all([
    project.run('ps', '--all', '-o', 'json'),
    project.run('show', threadId, '-o', 'json'),
    project.run('wait', threadId, '-o', 'json'),
    project.run('tail', threadId, '-n', '1000', '-o', 'json'),
  ])
  assert.deepEqual([ps.code, show.code, wait.code, tail.code], [0, 0, 0, 0])
  const row = JSON.parse(ps.stdout).find((candidate: { thread_id: string }) => candidate.thread_id === threadId)
  const {
    events,
    capabilities,
    denials,
    children,
    chain,
    approvals,
    allowed_actions: allowed,
    ...shown
  } = JSON.parse(show.stdout)
  assert.deepEqual(shown, row)
  assert.deepEqual([children, approvals, chain.length, allowed], [[], [], 1, ['read', 'retry', 'fork']])
  assert.deepEqual([capabilities['tool.execute'], denials], [['count_words'], []])
  assert.deepEqual(JSON.parse(wait.stdout), [row])
  const tailed = tail.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(events, tailed.slice(-events.length))
  const transcript = readFileSync(join(project.path, row.transcript_path), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    transcript.map(({ type }) => type),
    tailed.map(({ event_type }) => event_type),
  )
  assert.equal(row.status, 'completed')
  assert.equal(row.end_reason, 'done')
})

test('show and tail say what was said', async () => {
  const [show, tail] = await Promise.all([project.run('show', threadId), project.run('tail', threadId, '-n', '1000')])
  assert.match(show.stdout, /assistant_message {2}content=Scripted answer/u)
  assert.match(tail.stdout, /user_message {7}content=<directive name="hello_kiwi"/u)
  assert.match(tail.stdout, /assistant_message {2}content=I count the words first\./u)
})

test('ps without --all shows unfinished threads only and says where the others are', async () => {
  const { code, stdout } = await project.run('ps')
  assert.equal(code, 0)
  assert.match(stdout, /No unfinished threads \(\d+ finished: kiwi ps --all\)/u)
})

test('an unknown thread is an error with a suggestion for every verb that takes an id', async () => {
  for (const args of [
    ['show', 'nope'],
    ['tail', 'nope'],
    ['wait', 'nope'],
    ['pause', 'nope'],
    ['resume', 'nope'],
    ['cancel', 'nope'],
    ['inject', 'nope', 'x'],
  ]) {
    const { code, stdout } = await project.run(...args, '-o', 'json')
    assert.equal(code, 1, args.join(' '))
    assert.equal(JSON.parse(stdout).error.code, 'THREAD_NOT_FOUND', args.join(' '))
  }
})

test('an unknown directive spawns nothing and exits 1', async () => {
  const { code, stdout, stderr } = await project.run('run', 'no_such_directive')
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /^error: .*no_such_directive/u)
})

test('a thread without a key says once what is missing, and how to go on', async () => {
  const keyless = { cwd: project.path, env: { ...project.options.env, ANTHROPIC_API_KEY: '' } }
  const { code, stderr } = await kiwi(['run', 'hello_kiwi'], keyless)
  assert.equal(code, 1)
  assert.equal(stderr.match(/error: The model could not be called/gu)?.length, 1, stderr)
  assert.match(stderr, /→ kiwi doctor says which model, endpoint and key are used/u)
})

test('a finished thread cannot be steered', async () => {
  const { code, stdout } = await project.run('cancel', threadId, '-o', 'json')
  assert.equal(code, 1)
  assert.equal(JSON.parse(stdout).error.code, 'ILLEGAL_TRANSITION')
})

test('detached runs give their id at once and end by themselves', async () => {
  const started = await project.run('run', 'hello_kiwi', '--detach')
  assert.equal(started.code, 0, started.stderr)
  const id = started.stdout.trim()
  const waited = await project.run('wait', id, '--timeout', '60')
  assert.equal(waited.code, 0, waited.stderr)
  assert.match(waited.stdout, new RegExp(`${id}[^]*Scripted answer`, 'u'))
})

test('tail -f follows to the end and exits like the thread', async () => {
  const { stdout } = await project.run('run', 'hello_kiwi', '-d')
  const tailed = await project.run('tail', '-f', stdout.trim())
  assert.equal(tailed.code, 0, tailed.stderr)
  assert.match(tailed.stdout, /completed/u)
})

test('a reader that goes away ends a verb without noise', async () => {
  const child = startKiwi(['tail', threadId, '-n', '1000'], project.options)
  child.stdout.destroy()
  const { code, stderr } = await finished(child)
  assert.deepEqual([code, stderr], [0, ''])
})

test('init a second time overwrites nothing and signs nothing', async () => {
  const { code, stdout } = await project.run('init', '-o', 'json')
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout).created, [])
  assert.deepEqual(JSON.parse(stdout).signed, [])
  assert.equal(readFileSync(join(project.path, '.gitignore'), 'utf8'), '.ai/threads/\n')
  assert.ok(existsSync(join(project.path, '.ai', 'knowledge')))
})

test('without a sandbox a tool still runs, and its result says so where the model and the user read it', async () => {
  const own = await createScriptedProject()
  try {
    mkdirSync(own.options.env?.['USER_SPACE'] ?? '', { recursive: true })
    writeFileSync(join(own.options.env?.['USER_SPACE'] ?? '', 'config.yaml'), 'sandbox: none\n')
    const { code, stdout, stderr } = await own.run('run', 'hello_kiwi', 'Count.')
    assert.equal(code, 0, stderr)
    // The scripted model found the number where it is in a sandbox too.
    assert.match(stdout, /have \d+ words/u)
    assert.match(stderr, /count_words: \{"words":\d+.*"sandbox":"none"\}/u)
    const direct = await own.run('execute', 'tool', 'count_words', '-p', 'text=one two')
    assert.equal(JSON.parse(direct.stdout).words, 2)
    assert.match(direct.stderr, /without a sandbox/u)
  } finally {
    await own.close()
  }
})
