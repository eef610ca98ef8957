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

// Each fails (it never ends) where a pattern is compiled as a regular expression.
for (const pattern of ['(a+)+b', '(a|a)*b', '([a-z]+)*$b', '(.*a){20}b', '^(a?){28}a{28}b']) {
  test(`threat row 46: the pattern ${pattern} is only text`, { timeout: 60_000 }, async () => {
    await using project = await createTestProject()
    await project.write('a.txt', `${'a'.repeat(50_000)}\n${'a'.repeat(28)}\nsee ${pattern} here\n`)
    const found = await call<Found>(project, 'search_files', { pattern })
    assert.deepEqual(
      found.matches.map(({ line }) => line),
      [3],
    )
  })
}

// Fails without the bound of `pattern`: text times pattern is what a longer one may cost.
test('threat row 46: a pattern is at most 250 characters', async () => {
  await using project = await createTestProject()
  const error = errorOf(await project.execute('search_files', { pattern: 'a'.repeat(251) }))
  assert.equal(error.code, 'PARAMETER_VALIDATION_ERROR')
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

const NOTE = '---\ntitle: A note\n---\nold text\n'

test('threat row 55: edit_file takes the signature out of an item, and no edit puts it back', async () => {
  await using project = await createTestProject()
  await project.item('knowledge/note.md', NOTE)
  const signed = await text(project, '.ai/knowledge/note.md')
  const [line = ''] = signed.split('\n')
  const edit = async (oldText: string, newText: string): Promise<unknown> =>
    await call(project, 'edit_file', { path: '.ai/knowledge/note.md', old_text: oldText, new_text: newText })
  assert.deepEqual(await edit('old text', 'new text'), {
    path: '.ai/knowledge/note.md',
    replacements: 1,
    bytes: NOTE.length,
    signature_removed: true,
  })
  // Fails without `withoutSignatureLines`: this is the file that was signed.
  await edit('---\ntitle: A note\n---\nnew text\n', signed)
  assert.equal(await text(project, '.ai/knowledge/note.md'), NOTE)
  assert.equal(
    errorOf(await project.execute('write_file', { path: '.ai/knowledge/note.md', content: signed })).code,
    'INVALID_REQUEST',
  )
  assert.equal(
    errorOf(await project.kernel.execute({ item_type: 'knowledge', item_id: 'note' })).code,
    'ITEM_UNSIGNED',
    `signed by ${line}`,
  )
})

// Fails without the question before a tool runs (`askForPart`).
test('threat row 55: a tool is not written where its caller may not modify tools', async () => {
  await using project = await createTestProject({
    authorize: async ({ verb, requires, parameters }) => {
      const { path } = parameters
      const isItem = typeof path === 'string' && path.startsWith('.ai/tools/')
      return verb === 'execute' && requires.includes('fs.write') && isItem
        ? { permitted: false, missing: ['tool.modify'], suggestion: 'Declare <modify resource="tool"/>.' }
        : { permitted: true }
    },
  })
  const error = errorOf(await project.execute('write_file', { path: '.ai/tools/evil.ts', content: 'x' }))
  assert.deepEqual([error.code, error['missing']], ['PERMISSION_DENIED', ['tool.modify']])
  await assert.rejects(text(project, '.ai/tools/evil.ts'), { code: 'ENOENT' })
})

// Fails without `__user_space` in the context that the kernel makes.
test("threat row 55: the user's own items are closed where they lie below the project", async () => {
  await using project = await createTestProject({ userSpace: 'home/kiwi' })
  await project.write('home/kiwi/keys/install.key', 'secret')
  const write = await project.kernel.execute(
    { item_type: 'tool', item_id: 'write_file', parameters: { path: 'home/kiwi/config.yaml', content: 'sandbox: none' } },
    { __user_space: 'elsewhere' },
  )
  assert.equal(errorOf(write).code, 'PERMISSION_DENIED')
  assert.equal(errorOf(await project.execute('read_file', { path: 'home/kiwi/keys/install.key' })).code, 'PERMISSION_DENIED')
  const found = await call<Found>(project, 'search_files', { pattern: 'secret' })
  assert.deepEqual(found.matches, [])
})

test('edit_file does not make a file that is larger than its cap', async () => {
  await using project = await createTestProject()
  await project.write('a.txt', 'a'.repeat(100))
  const error = errorOf(
    await project.execute('edit_file', { path: 'a.txt', old_text: 'a', new_text: 'b'.repeat(1_000_000), replace_all: true }),
  )
  assert.equal(error.code, 'LIMIT_EXCEEDED')
})

const CLOSED = [
  ['read_file', { path: '../x' }, 'PATH_OUTSIDE_PROJECT'],
  ['read_file', { path: '.env' }, 'PERMISSION_DENIED'],
  ['list_files', { path: '/etc' }, 'PATH_OUTSIDE_PROJECT'],
  ['list_files', { path: '.git' }, 'PERMISSION_DENIED'],
  ['search_files', { path: 'out', pattern: 'root' }, 'PATH_OUTSIDE_PROJECT'],
  ['write_file', { path: 'out/x', content: 'x' }, 'PATH_OUTSIDE_PROJECT'],
  ['write_file', { path: '.ai/config.yaml', content: 'x' }, 'PERMISSION_DENIED'],
  ['write_file', { path: '.git/hooks/pre-commit', content: 'x' }, 'PERMISSION_DENIED'],
  ['write_file', { path: 'sub/.ai/tools/x.yaml', content: 'x' }, 'PERMISSION_DENIED'],
  ['write_file', { path: '.ai/tools/x.yaml', content: '# kiwi:signed:x' }, 'INVALID_REQUEST'],
  ['write_file', { path: 'big', content: '\u20ac'.repeat(3_000_000) }, 'LIMIT_EXCEEDED'],
  ['edit_file', { path: '.git/config', old_text: 'a', new_text: 'b' }, 'PERMISSION_DENIED'],
] as const
for (const [tool, parameters, code] of CLOSED) {
  test(`${tool} refuses ${JSON.stringify(parameters).slice(0, 80)} with ${code}`, async () => {
    await using project = await createTestProject()
    await mkdir(join(project.root, '.git'))
    await symlink('/etc', join(project.root, 'out'))
    assert.equal(errorOf(await project.execute(tool, parameters)).code, code)
  })
}
