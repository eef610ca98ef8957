import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'

import { directiveGaps } from '../src/kernel/items/directive-gaps.ts'
import { parseItem } from '../src/kernel/items/item-file.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

/** The quoted members of one union type, as written in its source. */
function unionMembers(path: string, type: string): readonly string[] {
  const [, body = ''] = new RegExp(`export type ${type} =([^]*?)\\n\\n`).exec(read(path)) ?? []
  return Array.from(body.matchAll(/'([^']+)'/g), ([, member = '']) => member).toSorted()
}

/** First column of every table row that holds code spans. */
function documented(path: string, pattern: RegExp): readonly string[] {
  const rows = Array.from(read(path).matchAll(/^\| (`[^|]+`) \|/gm), ([, cell = '']) => cell)
  return rows
    .flatMap((cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name = '']) => name))
    .filter((name) => pattern.test(name))
}

test('docs/errors.md explains every error code, and no other', () => {
  const codes = unionMembers('src/kernel/errors.ts', 'ErrorCode')
  assert.ok(codes.length > 30)
  assert.deepEqual(documented('docs/errors.md', /^[A-Z0-9_]+$/).toSorted(), codes)
})

test('docs/errors.md names every end reason, and no other', () => {
  assert.deepEqual(documented('docs/errors.md', /^[a-z_]+$/).toSorted(), unionMembers('src/threads/engine.ts', 'EndReason'))
})

test('docs/threads.md explains every type of event that threads log, and no other', () => {
  const written = globSync('src/{threads,harness}/**/*.ts', { cwd: ROOT }).flatMap((path) =>
    Array.from(read(path).matchAll(/\btype: (`[^`]+`|[^,\n]+),\s*payload\b/g), ([, type = '']) => type),
  )
  const types = written.flatMap((type) =>
    type.startsWith('`approval_') ? ['approval_expired', 'approval_cancelled'] : (type.match(/[a-z_]+(?=')/g) ?? []),
  )
  assert.ok(types.length > 30)
  const [, table = ''] = /^## Events\n([^]*?)^## /mu.exec(read('docs/threads.md')) ?? []
  const rows = Array.from(table.matchAll(/^\| (`[^|]+`) \|/gm), ([, cell = '']) => cell.match(/[a-z_]+/g) ?? [])
  assert.deepEqual([...new Set(rows.flat())].toSorted(), [...new Set(types)].toSorted())
})

test('docs/phases.md has a row for each capability from 8.1 to 8.13', () => {
  const rows = Array.from(read('docs/phases.md').matchAll(/^## (8\.\d+) /gm), ([, phase]) => phase)
  assert.deepEqual(
    rows,
    Array.from({ length: 13 }, (_, index) => `8.${index + 1}`),
  )
})

test('every relative link of the documents leads to a file', () => {
  const documents = [
    'README.md',
    'CHANGELOG.md',
    'bench/README.md',
    'examples/README.md',
    ...globSync('docs/*.md', { cwd: ROOT }),
  ]
  const links = documents.flatMap((document) =>
    Array.from(read(document).matchAll(/\]\((?!https?:|#)([^)#]+)/g), ([, target = '']) => ({ document, target })),
  )
  assert.ok(links.length > 5)
  assert.deepEqual(
    links.filter(({ document, target }) => !existsSync(join(ROOT, dirname(document), target))),
    [],
  )
})

test('every file and folder that docs/phases.md names exists', () => {
  const named = Array.from(
    read('docs/phases.md').matchAll(/`((?:src|system|test|bench|docs)\/[^`\s*{]*)`/g),
    ([, path = '']) => path,
  )
  assert.ok(named.length > 20)
  assert.deepEqual(
    named.filter((path) => !existsSync(join(ROOT, path))),
    [],
  )
})

test('the README is short, and the commands it shows are scripts of the package', () => {
  const readme = read('README.md')
  // package.json is ours
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const shown = Array.from(readme.matchAll(/\bnpm run (?:-s )?([\w:-]+)/g), ([, name = '']) => name)
  assert.ok(readme.split('\n').length <= 150)
  assert.match(readme, /^npm ci && npm run demo$/m)
  assert.match(readme, /^npm ci && npm test$/m)
  assert.deepEqual(
    shown.filter((name) => !(name in scripts)),
    [],
  )
})

test('the gate runs the test line of the README', () => {
  assert.match(read('.ci/run'), /npm ci && npm test/)
})

test('the directive that the README shows is valid and lacks nothing that a spawn needs', () => {
  const [fence = ''] = /```xml\n[^]*?```/.exec(read('README.md')) ?? []
  const { definition, problems, warnings } = parseItem('directive', 'review_docs.md', Buffer.from(`# Review\n\n${fence}\n`))
  assert.deepEqual({ problems, warnings }, { problems: [], warnings: [] })
  assert.deepEqual(definition?.kind === 'directive' ? directiveGaps(definition) : null, [])
})

test('every row of the threat table that is said to be covered has a test', () => {
  const titles = globSync('test/**/*.test.ts', { cwd: ROOT }).flatMap((path) =>
    Array.from(read(path).matchAll(/threat row (\d+):/g), ([, row]) => Number(row)),
  )
  const covered = [
    1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 33, 35, 36, 40, 41, 42, 43, 44, 45, 46, 47, 49, 50, 54, 55, 57, 58, 59, 15, 16,
    17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 56, 30, 31, 32, 34, 38, 39, 48, 52,
  ]
  assert.deepEqual(
    covered.filter((row) => !titles.includes(row)),
    [],
  )
})
