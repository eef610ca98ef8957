import assert from 'node:assert/strict'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { createTestProject, errorOf, type TestProject, valueOf } from '../../kernel/project.ts'

async function call<T>(project: TestProject, tool: string, parameters: JsonObject = {}): Promise<T> {
  return valueOf(await project.execute(tool, parameters)) as T
}

async function text(project: TestProject, path: string): Promise<string> {
  return await readFile(join(project.root, path), 'utf8')
}

interface Page {
  readonly content: string | null
  readonly first_line: number
  readonly last_line: number
  readonly total_lines: number | null
  readonly truncated: boolean
  readonly next_line: number | null
  readonly binary: boolean
  readonly size: number
}

test('read_file pages through a file without losing or repeating a line', async () => {
  await using project = await createTestProject()
  const whole = Array.from({ length: 50 }, (_, index) => `line ${index}\r\n`).join('')
  await project.write('long.txt', whole)
  let joined = ''
  for (let next: number | null = 1; next !== null;) {
    const page: Page = await call(project, 'read_file', { path: 'long.txt', offset_line: next, limit_lines: 7, max_bytes: 60 })
    joined += page.content
    next = page.next_line
  }
  assert.equal(joined, whole)
})

test('read_file says which lines it shows and how many there are', async () => {
  await using project = await createTestProject()
  await project.write('a.txt', 'one\ntwo\nthree')
  const page = await call<Page>(project, 'read_file', { path: 'a.txt', offset_line: 2, limit_lines: 1 })
  assert.deepEqual([page.content, page.first_line, page.last_line, page.total_lines, page.next_line], ['two\n', 2, 2, 3, 3])
})

test('read_file reports a binary file instead of showing it', async () => {
  await using project = await createTestProject()
  await writeFile(join(project.root, 'image'), Buffer.from([1, 0, 2]))
  const page = await call<Page>(project, 'read_file', { path: 'image' })
  assert.deepEqual([page.binary, page.content, page.size], [true, null, 3])
})

test('read_file cuts a line that is longer than its cap', async () => {
  await using project = await createTestProject()
  await project.write('wide.txt', 'x'.repeat(1000))
  const page = await call<Page>(project, 'read_file', { path: 'wide.txt', max_bytes: 10 })
  assert.deepEqual([page.content, page.truncated], ['x'.repeat(10), true])
})

test('a file that is not there is FILE_NOT_FOUND without an absolute path', async () => {
  await using project = await createTestProject()
  const error = errorOf(await project.execute('read_file', { path: 'src/none.txt' }))
  assert.deepEqual(
    [error.code, error.message, error['path']],
    ['FILE_NOT_FOUND', 'There is no "src/none.txt" in the project.', 'src/none.txt'],
  )
})

interface Listing {
  readonly count: number
  readonly files: number
  readonly total_bytes: number
  readonly truncated: boolean
  readonly entries: readonly { readonly path: string; readonly type: string; readonly size: number }[]
}

test('list_files counts everything and leaves out what is closed, generated or linked away', async () => {
  await using project = await createTestProject()
  for (const path of ['a.txt', 'src/b.txt', 'node_modules/p/x.js', '.git/config', '.env', '.ai/threads/t/x'])
    await project.write(path, path)
  await symlink('/etc', join(project.root, 'etc'))
  const listing = await call<Listing>(project, 'list_files', { recursive: true })
  assert.deepEqual(
    listing.entries.map(({ path, type, size }) => [path, type, size]),
    [
      ['.ai', 'folder', 0],
      ['a.txt', 'file', 5],
      ['etc', 'link', 0],
      ['src', 'folder', 0],
      ['src/b.txt', 'file', 9],
    ],
  )
  assert.deepEqual([listing.count, listing.files, listing.total_bytes], [5, 2, 14])
})

test('list_files shows node_modules when it is named, and counts past its limit', async () => {
  await using project = await createTestProject()
  await project.write('node_modules/p/x.js', 'x')
  await project.write('node_modules/p/y.js', 'y')
  const listing = await call<Listing>(project, 'list_files', { path: 'node_modules/p', limit: 1 })
  assert.deepEqual([listing.entries.length, listing.count, listing.truncated], [1, 2, true])
})

interface Found {
  readonly matches: readonly { readonly path: string; readonly line: number; readonly text: string }[]
  readonly files_searched: number
  readonly files_skipped: number
  readonly truncated: boolean
}

test('search_files finds literal text, also where it looks like a pattern', async () => {
  await using project = await createTestProject()
  await project.write('a.ts', 'x\nif (a.*b+) {\n')
  await project.write('b.bin', 'if (a.*b+) {\u0000')
  const found = await call<Found>(project, 'search_files', { pattern: '(a.*b+)' })
  assert.deepEqual(found.matches, [{ path: 'a.ts', line: 2, text: 'if (a.*b+) {' }])
  assert.deepEqual([found.files_searched, found.files_skipped], [1, 1])
})

test('threat row 46: a pattern that would stall a regular expression is only text', async () => {
  await using project = await createTestProject()
  await project.write('a.txt', 'a'.repeat(50_000))
  assert.deepEqual((await call<Found>(project, 'search_files', { pattern: '(a+)+b' })).matches, [])
})

test('search_files stops at its limit and searches a single file', async () => {
  await using project = await createTestProject()
  await project.write('a.txt', 'Hit\nhit\nhit\n')
  const found = await call<Found>(project, 'search_files', { pattern: 'HIT', path: 'a.txt', ignore_case: true, limit: 2 })
  assert.deepEqual([found.matches.length, found.truncated], [2, true])
})

test('write_file makes folders and replaces a file', async () => {
  await using project = await createTestProject()
  assert.deepEqual(await call(project, 'write_file', { path: 'out/report.md', content: 'é' }), {
    path: 'out/report.md',
    bytes: 2,
    created: true,
  })
  assert.deepEqual(await call(project, 'write_file', { path: 'out/report.md', content: 'b' }), {
    path: 'out/report.md',
    bytes: 1,
    created: false,
  })
  assert.equal(await text(project, 'out/report.md'), 'b')
})

test('edit_file replaces exactly one occurrence and nothing else', async () => {
  await using project = await createTestProject()
  await project.write('a.txt', '\ufeffone\r\ntwo $& two\r\n')
  await call(project, 'edit_file', { path: 'a.txt', old_text: 'one\r\n', new_text: "$& $' $1\r\n" })
  assert.equal(await text(project, 'a.txt'), "\ufeff$& $' $1\r\ntwo $& two\r\n")
})

test('edit_file refuses an ambiguous and an absent text, and replaces all on request', async () => {
  await using project = await createTestProject()
  await project.write('a.txt', 'x x')
  assert.match(
    errorOf(await project.execute('edit_file', { path: 'a.txt', old_text: 'x', new_text: 'y' })).message,
    /occurs 2 times/,
  )
  assert.match(
    errorOf(await project.execute('edit_file', { path: 'a.txt', old_text: 'z', new_text: 'y' })).message,
    /does not occur/,
  )
  await call(project, 'edit_file', { path: 'a.txt', old_text: 'x', new_text: 'y', replace_all: true })
  assert.equal(await text(project, 'a.txt'), 'y y')
})

test('edit_file does not touch a file that is not UTF-8', async () => {
  await using project = await createTestProject()
  await writeFile(join(project.root, 'latin'), Buffer.from([0x61, 0xe9, 0x62]))
  assert.match(errorOf(await project.execute('edit_file', { path: 'latin', old_text: 'a', new_text: 'b' })).message, /not UTF-8/)
})

const CLOSED = [
  ['read_file', { path: '../x' }, 'PATH_OUTSIDE_PROJECT'],
  ['read_file', { path: '.env' }, 'PERMISSION_DENIED'],
  ['list_files', { path: '/etc' }, 'PATH_OUTSIDE_PROJECT'],
  ['list_files', { path: '.git' }, 'PERMISSION_DENIED'],
  ['search_files', { path: 'out', pattern: 'root' }, 'PATH_OUTSIDE_PROJECT'],
  ['write_file', { path: 'out/x', content: 'x' }, 'PATH_OUTSIDE_PROJECT'],
  ['write_file', { path: '.ai/tools/evil.ts', content: 'x' }, 'PERMISSION_DENIED'],
  ['edit_file', { path: '.git/config', old_text: 'a', new_text: 'b' }, 'PERMISSION_DENIED'],
] as const
for (const [tool, parameters, code] of CLOSED) {
  test(`${tool} refuses ${JSON.stringify(parameters)} with ${code}`, async () => {
    await using project = await createTestProject()
    await mkdir(join(project.root, '.git'))
    await symlink('/etc', join(project.root, 'out'))
    assert.equal(errorOf(await project.execute(tool, parameters)).code, code)
  })
}
