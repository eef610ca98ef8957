import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Sink } from '../../../src/primitives/http-client/contract.ts'
import { createRuntimePrimitive } from '../../../src/primitives/runtime/runtime.ts'
import type { Grant } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { tree, within } from '../sandbox/sandboxed.ts'

const project = mkdtempSync(join(tmpdir(), 'kiwi-worker-sinks-'))
const primitive = createRuntimePrimitive({ sandbox: createSandbox({ mode: 'bubblewrap' }) })

after(async () => {
  await primitive.close()
  rmSync(project, { recursive: true, force: true })
})

const GRANT: Grant = {
  id: 'g',
  threadId: null,
  read: [],
  write: [tree('out')],
  network: { kind: 'none' },
  isLive: () => true,
}

async function open(code: string, options: Readonly<Record<string, unknown>> = {}, context: object = {}): Promise<Sink> {
  const path = join(project, '.ai/tools/my_sink.ts')
  const tool = { id: 'my_sink', path, space: 'project', bytes: Buffer.from(code), imports: new Map() } as const
  return await primitive.openSink({ tool, options, context: { projectPath: project, ...context } })
}

const event = (data: string): { event: string; data: string; id: string } => ({ event: 'message', data, id: '' })

function children(): number {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).length
}

const FILE_SINK = `import * as fs from 'node:fs'
export default async ({ name }: { name: string }, { projectPath }: any) => {
  const lines: string[] = []
  return {
    write: async ({ data }: any) => { lines.push(data); fs.writeFileSync(projectPath + '/out/' + name, lines.join('\\n')) },
    close: async () => { fs.appendFileSync(projectPath + '/out/' + name, '\\nclosed') },
  }
}`

test('a sink of a project gets its options, each event in order and its close, and its worker ends with it', async () => {
  const sink = await open(FILE_SINK, { name: 'a.txt' }, { __grant: GRANT })
  await sink.write(event('one'))
  // Each write is acknowledged when it is done.
  assert.equal(readFileSync(join(project, 'out/a.txt'), 'utf8'), 'one')
  await Promise.all(['two', 'three'].map(async (data) => await sink.write(event(data))))
  await sink.close()
  assert.equal(readFileSync(join(project, 'out/a.txt'), 'utf8'), 'one\ntwo\nthree\nclosed')
  assert.equal(await within(10_000, () => children() === 0), true)
})

test('a sink whose call has no grant reaches nothing', async () => {
  const sink = await open(FILE_SINK, { name: 'b.txt' })
  await assert.rejects(async () => await sink.write(event('one')), /may not write.*__requires__/)
  await assert.rejects(async () => await sink.close(), /may not write/)
  assert.equal(await within(10_000, () => children() === 0), true)
})

test('what a sink throws comes back as an error of that write, and the next event is written', async () => {
  const sink = await open(
    `export default () => ({ write({ data }: any) { if (data === 'bad') throw new RangeError('no ' + data) }, close() {} })`,
  )
  await assert.rejects(async () => await sink.write(event('bad')), /RangeError: no bad/)
  await sink.write(event('good'))
  await sink.close()
})

test('a sink that cannot be made says why and leaves no worker', async () => {
  await assert.rejects(async () => await open(`export default () => { throw new Error('no room') }`), /no room/)
  await assert.rejects(async () => await open('export default () => 1'), /returned no object with write/)
  await assert.rejects(async () => await open('export const x = 1'), /no default export/)
  assert.equal(await within(10_000, () => children() === 0), true)
})

test('a sink of two streams is two processes', async () => {
  const code = `export default () => ({ write() { throw new Error('pid ' + process.pid + ' ' + (globalThis as any).seen) ; }, close() {} }); (globalThis as any).seen = Math.random()`
  const [one, two] = [await open(code), await open(code)]
  const told = async (sink: Sink): Promise<string> =>
    await Promise.resolve(sink.write(event(''))).then(
      () => '',
      (error: unknown) => String(error),
    )
  assert.notEqual(await told(one), await told(two))
  await Promise.all([one.close(), two.close()])
})

test('a cancelled stream aborts the signal of its sink', async () => {
  const controller = new AbortController()
  const code = `export default (_: unknown, { signal }: any) => ({ write: () => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))), close() {} })`
  const sink = await open(code, {}, { signal: controller.signal })
  const writing = Promise.resolve(sink.write(event('x')))
  controller.abort()
  await assert.rejects(writing, /The stream was cancelled/)
  await sink.close()
})
