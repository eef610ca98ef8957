import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'

import { longFunctions } from './architecture/function-length.ts'
import { violationOf } from './architecture/layers.ts'
import { findCycles, importsOf, readSources, readTexts, ROOT } from './architecture/source-graph.ts'

const PRODUCT = ['src/**/*.ts', 'system/tools/**/*.ts']
const files = readSources(PRODUCT)
const edges = files.flatMap(importsOf)

test('the checker sees the product: its files, its imports of every kind, and only files that exist', () => {
  assert.ok(files.length > 60, `expected more than 60 files, saw ${files.length}`)
  assert.ok(edges.length > 200, `expected more than 200 imports, saw ${edges.length}`)
  const missing = edges.filter(({ ours, to }) => ours && !existsSync(join(ROOT, to)))
  assert.deepEqual(missing, [])
})

test('every import follows an arrow of the architecture', () => {
  assert.deepEqual(edges.map(violationOf).filter(Boolean), [])
})

test('no files import each other in a ring, types included', () => {
  assert.deepEqual(findCycles(edges), [])
})

test('an arrow that points outward is caught, however it is written', () => {
  const planted = [
    `import { createEngine } from '../threads/engine.ts'`,
    `import type { Engine } from '../threads/engine.ts'`,
    `export { createEngine } from '../threads/engine.ts'`,
    `export type * from '../threads/engine.ts'`,
    `const engine = await import('../threads/engine.ts')`,
    `type Engine = import('../threads/engine.ts').Engine`,
    `const href = new URL('../threads/engine.ts', import.meta.url).href`,
  ]
  const caught = planted.map((text) => importsOf({ path: 'src/kernel/planted.ts', text }).map(violationOf))
  const expected = 'src/kernel/planted.ts imports src/threads/engine.ts: kernel must not import threads'
  assert.deepEqual(
    caught,
    planted.map(() => [expected]),
  )
})

test('a file outside every layer and a package below its door are caught', () => {
  const stray = importsOf({ path: 'src/utils/planted.ts', text: `import '../json.ts'` }).map(violationOf)
  const client = importsOf({ path: 'src/kernel/planted.ts', text: `import { Client } from '@modelcontextprotocol/client'` }).map(
    violationOf,
  )
  assert.match(String(stray[0]), /is in no layer/)
  assert.match(String(client[0]), /only the MCP client and the MCP doors speak MCP/)
})

test('a ring of three files is caught, and so is a file that imports itself', () => {
  const ring = [
    { from: 'a.ts', to: 'b.ts', ours: true },
    { from: 'b.ts', to: 'c.ts', ours: true },
    { from: 'c.ts', to: 'a.ts', ours: true },
    { from: 'c.ts', to: 'd.ts', ours: true },
    { from: 'e.ts', to: 'e.ts', ours: true },
  ]
  assert.deepEqual(findCycles(ring), [['a.ts', 'b.ts', 'c.ts'], ['e.ts']])
})

// Calls only: a door that keeps its stdout for a protocol may replace the object.
const CONSOLE = /\bconsole\s*(\.\s*\w+|\[[^\]]+\])\s*\(/

test('only the command line talks to the console', () => {
  const talkers = files.filter(({ path, text }) => !path.startsWith('src/cli/') && CONSOLE.test(text))
  assert.deepEqual(
    talkers.map(({ path }) => path),
    [],
  )
  assert.match('console.log(1)', CONSOLE)
})

// Written in pieces, so that this file does not find itself.
const MACHINE_PATH = new RegExp(`(^|[^\\w.~*])/(${['work', 'root', ['tmp', 'kiwi'].join('/')].join('|')})/`, 'm')
const REGISTRY_HOST = new RegExp(
  [['"resolved', '":'].join(''), `https?://[\\w.-]*(${['npmjs', 'artifactory', 'verdaccio', 'nexus'].join('|')})`].join('|'),
)

test('no text names a folder of the machine it was written on, or a package registry', () => {
  const texts = readTexts()
  const telling = texts.filter(({ text }) => MACHINE_PATH.test(text) || REGISTRY_HOST.test(text))
  assert.ok(texts.length > 100, `expected more than 100 texts, saw ${texts.length}`)
  assert.deepEqual(
    telling.map(({ path }) => path),
    [],
  )
  assert.match(['cd ', 'work', 'x'].join('/'), MACHINE_PATH)
})

test('no function of the product has more than 60 lines of its own', () => {
  assert.deepEqual(
    files.flatMap((file) => longFunctions(file, 60)),
    [],
  )
})

test('a long function is caught, and a long factory of short functions is not', () => {
  const lines = 'count += 1\n'.repeat(61)
  const long = { path: 'long.ts', text: `export function long() {\n${lines}}\n` }
  const inner = `function inner() {\n${'count += 1\n'.repeat(30)}}\n`
  const factory = { path: 'factory.ts', text: `export function create() {\n${inner.repeat(3)}return inner\n}\n` }
  assert.deepEqual(longFunctions(long, 60), [{ where: 'long.ts:1', ownLines: 63 }])
  assert.deepEqual(longFunctions(factory, 60), [])
})
