import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isWanted, requiredCapabilities } from '../../../src/connectors/generate/required-capabilities.ts'

const CAPABILITIES = {
  capabilities: [
    { pattern: 'list_migrations', requires: [] },
    { pattern: 'list_*', requires: ['db.query'] },
    { pattern: 'apply_migration', requires: ['db.migrate', { cap: 'fs.read', scope: { path: '{file}' } }] },
    { pattern: '*', requires: ['net.http'] },
  ],
}

test('the first pattern that fits says what is required', () => {
  assert.deepEqual(requiredCapabilities('list_tables', CAPABILITIES), ['db.query'])
  assert.deepEqual(requiredCapabilities('list_migrations', CAPABILITIES), [])
  assert.deepEqual(requiredCapabilities('apply_migration', CAPABILITIES), CAPABILITIES.capabilities[2]?.requires)
  assert.deepEqual(requiredCapabilities('apply_migrations', CAPABILITIES), ['net.http'])
})

test('a name that no pattern fits requires nothing more', () => {
  assert.deepEqual(requiredCapabilities('List_tables', { capabilities: CAPABILITIES.capabilities.slice(0, 3) }), [])
})

test('a star counts only at the end, and nothing else is a pattern', () => {
  assert.equal(isWanted('a.c', { tools: ['a?c', 'a[.]c', '*c'] }), false)
  assert.equal(isWanted('*c', { tools: ['*c'] }), true)
})

test('a connector without a list of tools makes all of them', () => {
  assert.equal(isWanted('anything', { tools: null }), true)
  assert.equal(isWanted('anything', { tools: [] }), false)
})
