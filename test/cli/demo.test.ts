import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { kiwi } from './kiwi-process.ts'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-demo-test-')))
const temporary = join(root, 'tmp')
mkdirSync(temporary)
after(() => rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))

function repository(name: string): string {
  const path = join(root, name)
  mkdirSync(path)
  for (const [file, lines] of [
    ['a.md', 3],
    ['b.txt', 5],
    ['c.json', 1],
    ['d.md', 9],
  ] as const) {
    writeFileSync(join(path, file), 'line\n'.repeat(lines))
  }
  return path
}

for (const wire of ['anthropic', 'openai'] as const) {
  test(`the demo writes a true report over the ${wire} wire, says where everything is and leaves nothing behind`, async () => {
    const cwd = repository(wire)
    const env = { HOME: join(root, 'home'), TMPDIR: temporary }
    const { code, stdout, stderr } = await kiwi(['demo', '--wire', wire, '-o', 'json'], { cwd, env })
    assert.equal(code, 0, stderr)
    const row = JSON.parse(stdout)
    assert.deepEqual([row.status, row.end_reason], ['completed', 'done'])
    assert.ok(row.turn >= 10)
    const report = readFileSync(join(cwd, row.report_path), 'utf8')
    assert.match(report, /Files: 4\b/u)
    assert.match(report, new RegExp(`Bytes: ${18 * 'line\n'.length}\\b`, 'u'))
    assert.ok(statSync(join(cwd, row.transcript_path)).size > 0)
    const shown = await kiwi(['show', row.thread_id, '-o', 'json'], { cwd, env })
    const { capabilities, denials, ...kept } = JSON.parse(shown.stdout)
    const { report_path: _report, ...ended } = row
    assert.partialDeepStrictEqual(kept, ended)
    assert.deepEqual(capabilities['fs.write'], ['reports/**'])
    assert.deepEqual(
      denials.map(({ missing }: { missing: string }) => missing).toSorted(), // both were asked for in one turn
      ['fs.write "kiwi-was-here.md"', 'tool.execute "bash"'],
    )
    assert.equal(existsSync(join(cwd, 'kiwi-was-here.md')), false)
    assert.deepEqual(readdirSync(temporary), [])
  })
}

test('the demo runs again, and beside threads of the user, in the same project', async () => {
  const cwd = repository('again')
  const env = { HOME: join(root, 'home'), TMPDIR: temporary }
  for (const time of [1, 2]) {
    const { code, stderr } = await kiwi(['demo', '-o', 'json'], { cwd, env })
    assert.equal(code, 0, `${time}: ${stderr}`)
  }
  // No key and no model: it fails, but as a thread of this registry.
  const own = await kiwi(['run', 'repository_report', '--detach'], { cwd, env })
  assert.equal(own.code, 0, own.stderr)
  await kiwi(['host', 'stop'], { cwd, env })
})
