import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { projectPathOf } from '../../src/cli/project-path.ts'
import { KiwiError } from '../../src/kernel/errors.ts'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-project-path-')))
after(() => rmSync(root, { recursive: true, force: true }))

function folder(...parts: string[]): string {
  const path = join(root, ...parts)
  mkdirSync(path, { recursive: true })
  return path
}

test('the nearest folder with .ai is the project', () => {
  folder('a', '.ai')
  assert.equal(projectPathOf({ given: undefined, cwd: folder('a', 'b', 'c'), home: undefined }), join(root, 'a'))
})

test('without .ai anywhere the current folder is the project', () => {
  const cwd = folder('repo', 'src')
  folder('repo', '.git')
  assert.equal(projectPathOf({ given: undefined, cwd, home: undefined }), cwd)
})

test("the user's own .ai folder is not a project on the way up", () => {
  folder('home', '.ai')
  const cwd = folder('home', 'work')
  assert.equal(projectPathOf({ given: undefined, cwd, home: join(root, 'home') }), cwd)
})

test('the search stops at the root of a repository', () => {
  folder('outer', '.ai')
  folder('outer', 'repo', '.git')
  const cwd = folder('outer', 'repo', 'src')
  assert.equal(projectPathOf({ given: undefined, cwd, home: undefined }), cwd)
})

test('a given folder is taken as it is, and must exist', () => {
  assert.equal(projectPathOf({ given: 'a/b', cwd: root, home: undefined }), join(root, 'a', 'b'))
  const missing = (): string => projectPathOf({ given: 'missing', cwd: root, home: undefined })
  assert.throws(missing, (error: unknown) => error instanceof KiwiError && error.code === 'INVALID_REQUEST')
})
