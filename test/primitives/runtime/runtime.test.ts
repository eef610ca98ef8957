import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { RuntimeOutcome } from '../../../src/primitives/runtime/contract.ts'
import { createRuntimePrimitive } from '../../../src/primitives/runtime/runtime.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'

const primitive = createRuntimePrimitive({ sandbox: createSandbox({ mode: 'bubblewrap' }) })
let folder = ''
let files = 0

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kiwi-runtime-'))
})
after(async () => {
  await primitive.close()
  await rm(folder, { recursive: true, force: true })
})

interface Call {
  readonly config?: Readonly<Record<string, unknown>>
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly context?: Readonly<Record<string, unknown>>
  readonly onDisk?: string
  readonly path?: string
}

/** Runs a shipped tool, which is one of this process. */
async function run(
  code: string,
  { config = {}, parameters = {}, context = {}, onDisk = code, path }: Call = {},
): Promise<RuntimeOutcome> {
  files += 1
  const file = path ?? join(folder, `tool${files}.ts`)
  await writeFile(file, onDisk)
  const runtimeTool = { id: 'tool', path: file, space: 'system', bytes: Buffer.from(code), imports: new Map() } as const
  return await primitive.execute({ config, parameters, context: { projectPath: folder, ...context }, runtimeTool })
}

test('a TypeScript tool runs with its parameters', async () => {
  const { value } = await run('export default async ({ a }: { a: number }) => ({ sum: a + 1 })', { parameters: { a: 1 } })
  assert.deepEqual(value, { sum: 2 })
})

test('threat row 41: what runs are the verified bytes, not what the file holds by then', async () => {
  const { value } = await run('export default () => "verified"', { onDisk: 'export default () => "swapped"' })
  assert.equal(value, 'verified')
})

test('a changed tool is loaded anew and an unchanged one is not', async () => {
  const path = join(folder, 'counter.ts')
  const counter = (step: number): string => `let n = 0; export default () => { n += ${step}; return n }`
  const values: unknown[] = []
  for (const step of [1, 1, 10]) values.push((await run(counter(step), { path })).value)
  assert.deepEqual(values, [1, 2, 10])
})

test('a shipped tool gets the services of its caller, but neither its sinks nor its grant', async () => {
  const context = { services: { kiwi: { name: 'services' } }, __sinks: [], __grant: {} }
  const code =
    'export default (_: unknown, context: any) => [context.services.kiwi.name, "__sinks" in context, "__grant" in context]'
  assert.deepEqual((await run(code, { context })).value, ['services', false, false])
})

test('a late tool ends with TIMEOUT and sees its signal aborted', async () => {
  const code =
    'export default (_: unknown, { signal }: any) => new Promise((_, reject) => signal.addEventListener("abort", () => { globalThis.kiwiSawAbort = true; reject(new Error("late")) }))'
  const { error } = await run(code, { config: { timeout_ms: 30 } })
  assert.equal(error?.code, 'TIMEOUT')
  assert.equal(Reflect.get(globalThis, 'kiwiSawAbort'), true)
})

test('a cancelled tool is not waited for', async () => {
  const controller = new AbortController()
  const started = Promise.withResolvers<void>()
  Reflect.set(globalThis, 'kiwiStarted', started)
  const running = run('export default () => new Promise(() => { globalThis.kiwiStarted.resolve() })', {
    context: { signal: controller.signal },
  })
  await started.promise
  controller.abort()
  assert.equal((await running).error?.code, 'ABORTED')
})

test('what a shipped tool throws is thrown on unchanged', async () => {
  await assert.rejects(run('export default () => { throw new RangeError("too much") }'), {
    name: 'RangeError',
    message: 'too much',
  })
})

const NOT_JSON: readonly (readonly [string, RegExp])[] = [
  ['({ f: () => 1 })', /result\.f is a function/],
  ['({ list: [1, 10n] })', /result\.list\[1\] is a bigint/],
  ['({ n: NaN })', /result\.n is NaN/],
  ['new Map()', /result is a Map/],
  ['(() => { const a: any = {}; a.self = a; return a })()', /contains itself/],
]
for (const [expression, message] of NOT_JSON) {
  test(`a result that is not JSON is refused with its place: ${expression}`, async () => {
    const { error } = await run(`export default () => ${expression}`)
    assert.match(error?.message ?? '', message)
  })
}

test('nothing returned is null', async () => {
  assert.deepEqual(await run('export default () => undefined'), { value: null, error: null })
})

test('an imported name that is only a type is explained', async () => {
  await writeFile(join(folder, 'types.ts'), 'export interface Thing { a: number }')
  await assert.rejects(run('import { Thing } from "./types.ts"; export default (thing: Thing) => thing'), /import type/)
})

test('a module without a default function is refused', async () => {
  assert.match((await run('export const x = 1')).error?.message ?? '', /no default export/)
})
