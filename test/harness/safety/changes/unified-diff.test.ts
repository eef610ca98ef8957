import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { unifiedDiff } from '../../../../src/harness/safety/changes/unified-diff.ts'

/** What `git apply` makes of `before`: a judge of its own of what a difference says. */
function patched(before: string, diff: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-diff-'))
  try {
    writeFileSync(join(folder, 'a.txt'), before)
    writeFileSync(join(folder, 'a.diff'), diff)
    execFileSync('git', ['apply', '-p1', 'a.diff'], { cwd: folder })
    return readFileSync(join(folder, 'a.txt'), 'utf8')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const LINES = Array.from({ length: 40 }, (_, index) => `line ${index}`)
const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

for (const [title, before, after] of [
  ['a changed line', text(LINES), text(LINES.with(20, 'other'))],
  [
    'changes far apart',
    text(LINES),
    text(
      LINES.with(2, 'other')
        .with(35, 'another')
        .filter((line) => line !== 'line 20'),
    ),
  ],
  ['changes close together', text(LINES), text(LINES.with(10, 'a').with(16, 'b').with(24, 'c'))],
  ['lines at both ends', text(LINES), text(['first', ...LINES, 'last'])],
  ['a last line without end', text(LINES), text(LINES).slice(0, -1)],
  ['a last line that gets an end', text(LINES).slice(0, -1), text([...LINES, 'more'])],
  ['everything', text(LINES), text(['nothing', 'of', 'it'])],
] as const) {
  test(`${title} in a difference is what git makes of it`, () => {
    assert.equal(patched(before, unifiedDiff('a.txt', before, after)), after)
  })
}

test('a new file is all additions, an equal one has no difference', () => {
  assert.equal(unifiedDiff('a.txt', null, 'one\ntwo\n'), '--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n')
  assert.equal(unifiedDiff('a.txt', 'one\n', 'one\n'), '')
})

test('a long difference is cut between lines and says how many are left out', () => {
  const diff = unifiedDiff('a.txt', '', text(Array.from({ length: 5_000 }, (_, index) => `line ${index}`)))
  assert.match(diff, /\n\+line 9\d\d\n… \d+ more lines\n$/)
})

test('files of many different lines are compared in bounded time', { timeout: 20_000 }, () => {
  const [before, after] = ['a', 'b'].map((name) => text(Array.from({ length: 50_000 }, (_, index) => `${name} ${index}`)))
  assert.match(unifiedDiff('a.txt', before ?? '', after ?? ''), /^--- a\/a\.txt/)
})
