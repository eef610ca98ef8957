import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { judge, notOfFixtures, parseBaseline, type Check, type ScenarioResult } from './baseline.ts'

function scenario(name: string, ...checks: [id: string, status: Check['status']][]): ScenarioResult {
  return { scenario: name, checks: checks.map(([id, status]) => ({ id, status, errorMessage: `${id} is ${status}` })) }
}

test('every baseline in use names single checks with their reasons', () => {
  const folder = new URL('baselines/', import.meta.url)
  const files = readdirSync(folder)
  for (const file of files) parseBaseline(readFileSync(new URL(file, folder), 'utf8'))
  assert.equal(files.length, 4)
})

test('a baseline that excuses a whole scenario, or the schema check, or without a reason is refused', () => {
  assert.throws(() => parseBaseline('server:\n  - caching # why\n'), /single checks/u)
  assert.throws(() => parseBaseline('server:\n  - caching:wire-schema-valid # why\n'), /single checks/u)
  assert.throws(() => parseBaseline('server:\n  - caching: ttl # why\n'), /single checks/u)
  assert.throws(() => parseBaseline('server:\n  - caching:ttl\n'), /no comment/u)
  assert.throws(() => parseBaseline('server:\n  - caching:ttl # why\n  - caching:ttl # why\n'), /twice/u)
})

test('a check that fails or warns and is not listed is unexpected, with its reason', () => {
  const results = [scenario('caching', ['ttl', 'FAILURE'], ['scope', 'WARNING'], ['list', 'SUCCESS'], ['read', 'SKIPPED'])]
  const { unexpected, expected, passed, skipped } = judge(results, ['caching:ttl'])
  assert.deepEqual(
    { unexpected, expected, passed, skipped },
    {
      unexpected: ['caching:scope: scope is WARNING'],
      expected: ['caching:ttl'],
      passed: 1,
      skipped: 1,
    },
  )
})

test('a check that failed once and passed once has failed', () => {
  const results = [scenario('caching', ['ttl', 'SUCCESS'], ['ttl', 'FAILURE'])]
  assert.equal(judge(results, []).unexpected.length, 1)
})

test('an entry is stale when its check passes, was skipped, or is not there', () => {
  const results = [scenario('caching', ['ttl', 'SUCCESS'], ['scope', 'SKIPPED'])]
  const baseline = ['caching:ttl', 'caching:scope', 'caching:gone', 'nothing:at-all']
  assert.deepEqual(judge(results, baseline).stale, baseline)
})

test('a check that fails with the fixtures too is no matter of fixtures, unless it is a known limit', () => {
  const results = [scenario('image', ['image', 'FAILURE'], ['text', 'SUCCESS']), scenario('polling', ['retry', 'WARNING'])]
  const entries = ['image:image', 'polling:retry']
  assert.deepEqual(notOfFixtures(entries, { results, baseline: ['polling:retry'] }), ['image:image'])
})

test('a check that is there only when its scenario cannot begin is explained by what else passes with the fixtures', () => {
  const results = [scenario('wire', ['field', 'SUCCESS']), scenario('hollow', ['wire-schema-valid', 'SUCCESS'])]
  const entries = ['wire:setup', 'hollow:setup', 'absent:setup']
  assert.deepEqual(notOfFixtures(entries, { results, baseline: [] }), ['hollow:setup', 'absent:setup'])
})
