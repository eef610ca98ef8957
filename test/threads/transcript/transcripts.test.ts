import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { createTranscripts } from '../../../src/threads/transcript/transcripts.ts'
import type { Transcripts } from '../../../src/threads/transcript/transcripts.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { atEnd, bench, counting, poll, request, tempFolder } from '../fixture.ts'

interface Written {
  readonly folder: string
  readonly path: string
  readonly text: string
  readonly store: Store
  readonly client: ThreadsClient
  readonly problems: unknown[]
  readonly open: () => Transcripts
}

/** A thread that has run, and the means to write its transcript again. */
async function written(t: TestContext): Promise<Written> {
  const folder = tempFolder(t)
  const { client, store, engine } = bench(t, counting(3), { folder })
  await client.spawn(request('a'))
  await client.wait(['a'], { timeoutMs: 10_000 })
  await engine.close(1_000)
  const path = join(folder, '.ai', 'threads', 'a', 'transcript.jsonl')
  const problems: unknown[] = []
  const open = (): Transcripts => {
    const transcripts = createTranscripts({
      folder: join(folder, '.ai', 'threads'),
      store,
      onProblem: (_id, error) => problems.push(error),
    })
    atEnd(t, () => transcripts.close())
    return transcripts
  }
  return { folder, path, text: readFileSync(path, 'utf8'), store, client, problems, open }
}

test('a transcript holds one JSON object a line with seq, ts and type, and belongs to the user alone', async (t) => {
  const { path, text } = await written(t)
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(lines.map(({ seq, type }) => [seq, type]).slice(0, 3), [
    [1, 'status'],
    [2, 'status'],
    [3, 'assistant_message'],
  ])
  assert.deepEqual(Object.keys(lines[2]), ['seq', 'ts', 'type', 'turn', 'message_seq', 'content'])
  assert.match(lines[2].ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('a message in the transcript is not stored a second time in the registry', async (t) => {
  const { store } = await written(t)
  const rows = store.statement("SELECT payload_json, line_json FROM thread_events WHERE event_type = 'assistant_message'").all()
  assert.ok(rows.every((row) => !`${String(row['payload_json'])}${String(row['line_json'])}`.includes('turn 1')))
})

test('a transcript cut at any byte of its last three records opens, keeps the torn record aside, and becomes whole again', async (t) => {
  const { path, text, open, problems } = await written(t)
  const whole = Buffer.from(text)
  const lastThree = Buffer.byteLength(text.trimEnd().split('\n').slice(-3).join('\n')) + 1
  for (let size = whole.length - lastThree; size < whole.length; size += 1) {
    writeFileSync(path, whole.subarray(0, size))
    rmSync(`${path}.torn`, { force: true })
    open().repair('a')
    assert.equal(readFileSync(path, 'utf8'), text, `cut at byte ${size}`)
    const torn = size === 0 || whole[size - 1] === 10 ? '' : whole.subarray(whole.lastIndexOf(10, size - 1) + 1, size).toString()
    assert.equal(existsSync(`${path}.torn`) ? readFileSync(`${path}.torn`, 'utf8').slice(0, -1) : '', torn)
  }
  assert.deepEqual(problems, [])
})

test('a transcript that is gone is written again from the registry, byte for byte', async (t) => {
  const { path, text, open } = await written(t)
  rmSync(path)
  open().repair('a')
  assert.equal(readFileSync(path, 'utf8'), text)
})

test('a last line of several megabytes that was torn is found and cut', async (t) => {
  const { path, text, open } = await written(t)
  writeFileSync(path, `${text.split('\n').slice(0, 2).join('\n')}\n{"seq":3,"content":"${'x'.repeat(3_000_000)}`)
  open().repair('a')
  assert.equal(readFileSync(path, 'utf8'), text)
})

test('lines that could not be written are written with the next ones', async (t) => {
  const { path, text, open, problems } = await written(t)
  const transcripts = open()
  renameSync(path, `${path}.aside`)
  mkdirSync(path)
  const [, second = '', third = ''] = text.split('\n')
  transcripts.append('a', 2, `${second}\n`)
  transcripts.flush()
  assert.equal(problems.length, 1)
  rmSync(path, { recursive: true })
  renameSync(`${path}.aside`, path)
  truncateSync(path, Buffer.byteLength(text.split('\n')[0] ?? '') + 1)
  transcripts.append('a', 3, `${third}\n`)
  transcripts.flush()
  assert.equal(readFileSync(path, 'utf8'), text)
})

test('an event logged by another process stands in the transcript at its place', async (t) => {
  const folder = tempFolder(t)
  const { client } = bench(t, counting(1), { folder })
  await client.spawn(request('a'))
  await client.wait(['a'], { timeoutMs: 10_000 })
  await client.logEvent('a', 'reviewed', { by: 'me' })
  const path = join(folder, '.ai', 'threads', 'a', 'transcript.jsonl')
  const text = await poll(
    () => readFileSync(path, 'utf8'),
    (found) => found.includes('reviewed'),
  )
  assert.match(text.trimEnd().split('\n').at(-1) ?? '', /^\{"seq":5,"ts":"[^"]+","type":"reviewed","by":"me"\}$/)
})

test('a payload cannot pass for the seq, time or type of its line', async (t) => {
  const folder = tempFolder(t)
  const { client, store } = bench(t, counting(1), { folder })
  await client.spawn(request('a'))
  await client.wait(['a'], { timeoutMs: 10_000 })
  await client.logEvent('a', 'x', { type: 'completed', seq: 99, ts: 'never', note: 1 })
  assert.deepEqual(
    JSON.parse(String(store.statement("SELECT payload_json AS p FROM thread_events WHERE event_type = 'x'").get()?.['p'])),
    { type_: 'completed', seq_: 99, ts_: 'never', note: 1 },
  )
})

test('threat row 36: a transcript that is a link, a pipe, a hard link or in a linked folder is refused, and the thread runs on', async (t) => {
  const folder = tempFolder(t)
  const victim = join(folder, 'victim')
  writeFileSync(victim, 'precious')
  const threads = join(folder, '.ai', 'threads')
  for (const name of ['soft', 'hard', 'pipe']) mkdirSync(join(threads, name), { recursive: true })
  symlinkSync(victim, join(threads, 'soft', 'transcript.jsonl'))
  linkSync(victim, join(threads, 'hard', 'transcript.jsonl'))
  execFileSync('mkfifo', [join(threads, 'pipe', 'transcript.jsonl')])
  mkdirSync(join(folder, 'elsewhere'))
  symlinkSync(join(folder, 'elsewhere'), join(threads, 'linked'))
  const { client, problems } = bench(t, counting(2), { folder })
  const ids = ['soft', 'hard', 'pipe', 'linked']
  for (const id of ids) await client.spawn(request(id))
  const rows = await client.wait(ids, { timeoutMs: 10_000 })
  assert.deepEqual(
    rows.map(({ status }) => status),
    ['completed', 'completed', 'completed', 'completed'],
  )
  assert.equal(readFileSync(victim, 'utf8'), 'precious')
  assert.equal(existsSync(join(folder, 'elsewhere', 'transcript.jsonl')), false)
  assert.equal(new Set(problems.map((problem) => JSON.stringify(problem))).size >= 1, true)
})

test('many threads write their transcripts with a bounded number of open files', async (t) => {
  const { folder, store } = await written(t)
  const transcripts = createTranscripts({
    folder: join(folder, '.ai', 'threads'),
    store,
    onProblem: (_id, error) => assert.fail(String(error)),
    maxOpen: 10,
  })
  atEnd(t, () => transcripts.close())
  const before = openFiles()
  for (let n = 0; n < 300; n += 1) transcripts.append(`t${n}`, 1, '{"seq":1,"ts":"x","type":"y"}\n')
  transcripts.flush()
  // Far below the 300 that were written; not exactly 10, because the process opens files of its own.
  assert.ok(openFiles() - before <= 100)
  assert.equal(
    readFileSync(join(folder, '.ai', 'threads', 't299', 'transcript.jsonl'), 'utf8'),
    '{"seq":1,"ts":"x","type":"y"}\n',
  )
})

function openFiles(): number {
  return execFileSync('ls', [`/proc/${process.pid}/fd`])
    .toString()
    .trim()
    .split('\n').length
}
