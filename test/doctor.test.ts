import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Check, doctor, nodeVersion } from '../src/doctor.ts'
import { signBytes } from '../src/kernel/integrity/signature.ts'
import { createTestKeys } from './kernel/test-keys.ts'

function emptyFolder(t: TestContext): {
  readonly folder: string
  readonly project: string
  readonly examine: (env?: Record<string, string>) => Promise<readonly Check[]>
} {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-doctor-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const project = join(folder, 'project')
  mkdirSync(project)
  const examine = (env = {}) => doctor({ projectPath: project, env: { USER_SPACE: join(folder, 'user'), ...env } })
  return { folder, project, examine }
}

const named = (checks: readonly Check[], name: string) => checks.filter((check) => check.name === name)

test('Node 24 is weaker than Node 26, and the check says in what', () => {
  assert.equal(nodeVersion('26.10.0').state, 'ok')
  const { state, detail } = nodeVersion('24.15.0')
  assert.equal(state, 'weak')
  assert.match(detail, /--permission .* network/)
})

test('the sandbox that is in force is said, and one that is switched off is a weakness', async (t) => {
  const { folder, examine } = emptyFolder(t)
  const [found] = named(await examine(), 'isolation')
  assert.match(`${found?.state} ${found?.detail}`, /^ok bubblewrap \d/)
  mkdirSync(join(folder, 'user'))
  writeFileSync(join(folder, 'user', 'config.yaml'), 'sandbox: none\n')
  const [off] = named(await examine(), 'isolation')
  assert.match(`${off?.state} ${off?.detail}`, /^weak sandbox: none/)
})

test('a file that cannot be used is named with its line and what to write', async (t) => {
  const { project, examine } = emptyFolder(t)
  mkdirSync(join(project, '.ai', 'tools'), { recursive: true })
  writeFileSync(join(project, '.ai', 'tools', 'broken.yaml'), 'tool_id: broken\ntool_type: http\n')
  const [first] = named(await examine(), 'items')
  assert.match(first?.detail ?? '', /^\.ai\/tools\/broken\.yaml:\d+:\d+ /)
  assert.notEqual(first?.fix, null)
})

test('items that nobody signed, or only a key that is not trusted, are named with the way to run them', async (t) => {
  const { folder, project, examine } = emptyFolder(t)
  assert.equal(named(await examine(), 'signatures').length, 0)
  const notes = join(project, '.ai', 'knowledge')
  mkdirSync(notes, { recursive: true })
  const text = Buffer.from('---\ntitle: A\n---\ntext\n')
  const subject = { type: 'knowledge', category: '', id: 'foreign' } as const
  writeFileSync(join(notes, 'bare.md'), text)
  writeFileSync(join(notes, 'foreign.md'), await signBytes(text, 'markdown', { nowMs: 0, subject, keys: createTestKeys() }))
  const [found] = named(await examine(), 'signatures')
  assert.equal(found?.state, 'weak')
  assert.match(found?.detail ?? '', /knowledge bare \(unsigned\), knowledge foreign \(its key is not trusted\)/)
  assert.match(found?.fix ?? '', /kiwi sign .*kiwi trust project/)
  assert.equal(existsSync(join(folder, 'user')), false)
  rmSync(join(notes, 'bare.md'))
  rmSync(join(notes, 'foreign.md'))
  assert.equal(named(await examine(), 'signatures')[0]?.state, 'ok')
})

test('a configuration that is not valid is one bad check, and the others are still made', async (t) => {
  const { folder, examine } = emptyFolder(t)
  mkdirSync(join(folder, 'user'))
  writeFileSync(join(folder, 'user', 'config.yaml'), 'modles: {}\n')
  const checks = await examine()
  assert.match(named(checks, 'configuration')[0]?.detail ?? '', /config\.yaml:1: .*Did you mean `models`/)
  assert.equal(named(checks, 'host').length, 1)
})

test('a key that is set is not shown', async (t) => {
  const checks = await emptyFolder(t).examine({ ANTHROPIC_API_KEY: 'sk-secret-value' })
  assert.equal(named(checks, 'key')[0]?.state, 'ok')
  assert.doesNotMatch(JSON.stringify(checks), /sk-secret-value/)
})

test('looking changes nothing', async (t) => {
  const { folder, examine } = emptyFolder(t)
  await examine()
  assert.equal(existsSync(join(folder, '.ai')), false)
  assert.equal(existsSync(join(folder, 'user')), false)
})
