import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Sink, StreamEvent } from '../../../src/primitives/http-client/contract.ts'
import createFileSink from '../../../system/tools/sinks/file_sink.ts'

interface Project extends Disposable {
  readonly path: string
  sink(options: Record<string, unknown>): Promise<Sink>
  read(name: string): string
}

function createProject(): Project {
  const path = mkdtempSync(join(tmpdir(), 'kiwi-file-sink-'))
  return {
    path,
    sink: (options) => createFileSink({ path: 'out.jsonl', ...options }, { projectPath: path }),
    read: (name) => readFileSync(join(path, name), 'utf8'),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

const event = (data: string): StreamEvent => ({ event: 'message', data, id: '' })

async function writeAll(sink: Sink, ...payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await sink.write(event(payload))
  await sink.close()
}

test('jsonl writes each payload on a line of its own, exactly as it came', async () => {
  using project = createProject()
  await writeAll(await project.sink({}), '{"a": 1}', '{"b":"ü€𝄞"}', 'not json', '')
  assert.equal(project.read('out.jsonl'), '{"a": 1}\n{"b":"ü€𝄞"}\nnot json\n\n')
})

test('jsonl puts JSON with line ends on one line and leaves other text as it came', async () => {
  using project = createProject()
  await writeAll(await project.sink({}), '{\n  "a": [\n1]\n}', 'two\nlines')
  assert.equal(project.read('out.jsonl'), '{"a":[1]}\ntwo\nlines\n')
})

test('raw writes the payloads with nothing between them', async () => {
  using project = createProject()
  await writeAll(await project.sink({ format: 'raw', path: 'out.txt' }), 'Hel', 'lo\n', 'world')
  assert.equal(project.read('out.txt'), 'Hello\nworld')
})

test('events are appended to what is there', async () => {
  using project = createProject()
  await writeAll(await project.sink({}), '1')
  await writeAll(await project.sink({}), '2', '3')
  assert.equal(project.read('out.jsonl'), '1\n2\n3\n')
})

test('missing folders are created, and folders and file are for the owner only', async () => {
  using project = createProject()
  await writeAll(await project.sink({ path: '.ai/threads/t1/stream.jsonl' }), '1')
  const mode = (name: string): number => statSync(join(project.path, name)).mode & 0o777
  assert.deepEqual([mode('.ai'), mode('.ai/threads/t1'), mode('.ai/threads/t1/stream.jsonl')], [0o700, 0o700, 0o600])
})

test('a reader sees events while the stream still runs', { timeout: 10_000 }, async () => {
  using project = createProject()
  const sink = await project.sink({ flush_every: 1000 })
  const seen = new Promise<void>((resolve) => {
    const watcher = watch(project.path, () => {
      if (project.read('out.jsonl') !== '1\n') return
      watcher.close()
      resolve()
    })
  })
  await sink.write(event('1'))
  await seen
  await sink.close()
})

test('at most flush_every events wait beyond the turn of the loop that brought them', async () => {
  using project = createProject()
  const sink = await project.sink({ flush_every: 3 })
  for (const payload of ['1', '2', '3', '4']) await sink.write(event(payload))
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  assert.equal(project.read('out.jsonl'), '1\n2\n3\n4\n')
  await sink.close()
})

test('a megabyte of events in one go reaches the file whole', async () => {
  using project = createProject()
  const payload = 'é'.repeat(50_000)
  await writeAll(await project.sink({ flush_every: 10_000 }), ...Array.from({ length: 30 }, () => payload))
  assert.equal(project.read('out.jsonl'), `${payload}\n`.repeat(30))
})

test('a disk that takes only a part is noticed: the write that cannot be kept is refused and the close says so', async () => {
  using project = createProject()
  // The shell's limit on file sizes makes the real system write short, then fail.
  const script = `
    import createFileSink from ${JSON.stringify(new URL('../../../system/tools/sinks/file_sink.ts', import.meta.url).href)}
    process.on('SIGXFSZ', () => {})
    const sink = await createFileSink({ path: 'out.jsonl', format: 'raw', flush_every: 1 }, { projectPath: ${JSON.stringify(project.path)} })
    const refused = []
    for (const data of ['a'.repeat(600), 'b'.repeat(600), 'c'.repeat(600)]) {
      try { sink.write({ event: 'message', data, id: '' }) } catch (error) { refused.push(error.code) }
      await new Promise(setImmediate)
    }
    const close = await sink.close().then(() => 'closed', (error) => error.code)
    console.log(JSON.stringify([refused, close]))
  `
  const command = `ulimit -f 1; exec "$0" --input-type=module -e "$1"`
  const output = execFileSync('bash', ['-c', command, process.execPath, script], { encoding: 'utf8' })
  assert.deepEqual(JSON.parse(output), [['EFBIG'], 'EFBIG'])
  assert.equal(project.read('out.jsonl'), 'a'.repeat(600) + 'b'.repeat(424))
})

for (const path of ['/tmp/x.jsonl', '../x.jsonl', 'a/../../x.jsonl', 'a/..', '..', '.', 'folder/', 'a\0b']) {
  test(`the path ${JSON.stringify(path)} is refused`, async () => {
    using project = createProject()
    await assert.rejects(project.sink({ path }), { code: 'PATH_OUTSIDE_PROJECT' })
  })
}

test('a link, a link on the way, a second name and a pipe are refused and nothing is written through them', async () => {
  using project = createProject()
  using elsewhere = createProject()
  writeFileSync(join(elsewhere.path, 'target'), 'untouched')
  symlinkSync(join(elsewhere.path, 'target'), join(project.path, 'link'))
  symlinkSync(elsewhere.path, join(project.path, 'folder-link'))
  linkSync(join(elsewhere.path, 'target'), join(project.path, 'second-name'))
  execFileSync('bash', ['-c', 'mkfifo "$0"', join(project.path, 'pipe')])
  mkdirSync(join(project.path, 'folder'))
  writeFileSync(join(project.path, 'file'), '')
  for (const path of ['link', 'folder-link/new', 'second-name', 'pipe', 'folder', 'file/new']) {
    await assert.rejects(project.sink({ path }), { code: 'PATH_OUTSIDE_PROJECT' }, path)
  }
  assert.equal(elsewhere.read('target'), 'untouched')
  assert.equal(existsSync(join(elsewhere.path, 'new')), false)
})

test('a wrong option is an error that names it', async () => {
  using project = createProject()
  for (const [name, value] of Object.entries({ path: '', format: 'csv', flush_every: 0 })) {
    await assert.rejects(project.sink({ [name]: value }), { code: 'CONFIG_VALIDATION_ERROR', message: new RegExp(name) })
  }
})
