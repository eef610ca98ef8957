import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createThreadSettings, type ThreadSettings } from '../../src/config/thread-settings.ts'

const PARENTS: Readonly<Record<string, string | null>> = { root: null, other: null, child: 'root', grandchild: 'child' }

function createSettings(t: TestContext): ThreadSettings {
  const root = mkdtempSync(join(tmpdir(), 'kiwi-settings-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const env = { USER_SPACE: root, ANTHROPIC_API_KEY: 'of the host', KIWI_MODEL: 'model-of-the-host' }
  return createThreadSettings({ projectPath: root, env, parentOf: (threadId) => PARENTS[threadId] })
}

test('a thread has the environment of the caller that spawned it, whole, and nothing of the host', (t) => {
  const settings = createSettings(t)
  settings.adopt('root', { ANTHROPIC_BASE_URL: 'http://127.0.0.1:1' })
  assert.equal(settings.of('root').lookup('ANTHROPIC_BASE_URL'), 'http://127.0.0.1:1')
  assert.equal(settings.of('root').lookup('ANTHROPIC_API_KEY'), undefined)
  assert.notEqual(settings.of('root').config.models.tiers['fast']?.model, 'model-of-the-host')
})

test('whoever speaks of a thread later does not change its environment', (t) => {
  const settings = createSettings(t)
  settings.adopt('root', { ANTHROPIC_API_KEY: 'first' })
  settings.adopt('root', { ANTHROPIC_API_KEY: 'second' })
  assert.equal(settings.of('root').lookup('ANTHROPIC_API_KEY'), 'first')
})

test('children have the environment of their root, and other threads do not', (t) => {
  const settings = createSettings(t)
  settings.adopt('root', { ANTHROPIC_API_KEY: 'of the root' })
  assert.equal(settings.of('grandchild').lookup('ANTHROPIC_API_KEY'), 'of the root')
  assert.equal(settings.of('other').lookup('ANTHROPIC_API_KEY'), 'of the host')
})

test('a thread that nobody announced, and calls outside of threads, have the environment of the process', (t) => {
  const settings = createSettings(t)
  assert.equal(settings.of('unknown').lookup('ANTHROPIC_API_KEY'), 'of the host')
  assert.equal(settings.of(undefined).config.models.tiers['fast']?.model, 'model-of-the-host')
})
