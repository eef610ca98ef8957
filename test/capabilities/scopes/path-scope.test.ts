import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePathScope, toPathRule } from '../../../src/capabilities/scopes/path-scope.ts'
import { canonicalSet, containsValue, coversAll, meetSets, parseScope } from '../../../src/capabilities/scopes/scope-sets.ts'

for (const { text, rule } of [
  { text: 'a/b', rule: { kind: 'exact', base: ['a', 'b'] } },
  { text: 'a/**', rule: { kind: 'tree', base: ['a'] } },
  { text: '**', rule: { kind: 'tree', base: [] } },
  { text: '*', rule: { kind: 'children', base: [] } },
  { text: 'a/*.test.ts', rule: { kind: 'extension', base: ['a'], suffix: '.test.ts' } },
  { text: '.github/*', rule: { kind: 'children', base: ['.github'] } },
  { text: 'a/%2e%2e/b', rule: { kind: 'exact', base: ['a', '%2e%2e', 'b'] } },
]) {
  test(`the path scope \`${text}\` is a rule of the sandbox`, () => {
    assert.deepEqual(toPathRule(text), rule)
  })
}

for (const { text, canonical } of [
  { text: '**/*', canonical: '**' },
  { text: 'dir/**/*', canonical: 'dir/**' },
  { text: './src/**', canonical: 'src/**' },
  { text: './**', canonical: '**' },
]) {
  test(`the path scope \`${text}\` is read as \`${canonical}\``, () => {
    assert.deepEqual(parseScope(text, 'path'), { kind: 'scope', scope: canonical })
  })
}

for (const { text, offset, reason } of [
  { text: '', offset: 0, reason: /empty/ },
  { text: '.', offset: 0, reason: /`\.` is not/ },
  { text: '/etc/passwd', offset: 0, reason: /absolute/ },
  { text: 'C:/x', offset: 0, reason: /absolute/ },
  { text: '~/x', offset: 0, reason: /absolute/ },
  { text: 'src/', offset: 3, reason: /ends in/ },
  { text: 'a//b', offset: 2, reason: /empty part/ },
  { text: 'a/../b', offset: 2, reason: /`\.\.`/ },
  { text: '..', offset: 0, reason: /`\.\.`/ },
  { text: 'a/./b', offset: 2, reason: /`\.`/ },
  { text: 'a/**/b', offset: 2, reason: /pattern/ },
  { text: 'a/*/b', offset: 2, reason: /pattern/ },
  { text: '*.ts/b', offset: 0, reason: /pattern/ },
  { text: 'a/b*', offset: 3, reason: /pattern/ },
  { text: 'a/*.t*s', offset: 5, reason: /pattern/ },
  { text: 'a/*.', offset: 2, reason: /not a portable|pattern/ },
  { text: 'a/***', offset: 2, reason: /pattern/ },
  { text: 'a/{b,c}/**', offset: 2, reason: /pattern/ },
  { text: 'a/b[0]', offset: 3, reason: /pattern/ },
  { text: 'a/b?', offset: 3, reason: /pattern/ },
  { text: '!a/**', offset: 0, reason: /pattern/ },
  { text: 'a/@(b)', offset: 2, reason: /pattern/ },
  { text: 'a\\b', offset: 1, reason: /portable/ },
  { text: 'a/b:c', offset: 3, reason: /portable/ },
  { text: 'a/b\0', offset: 3, reason: /cannot be seen/ },
  { text: 'a/b\n', offset: 3, reason: /cannot be seen/ },
  { text: 'a/\u202eb', offset: 2, reason: /cannot be seen/ },
  { text: 'a/nul.txt', offset: 2, reason: /portable/ },
  { text: 'a/b.', offset: 2, reason: /portable/ },
  { text: 'a/b /**', offset: 2, reason: /portable/ },
  { text: 'cafe\u0301/**', offset: 0, reason: /portable/ },
  { text: `${'a/'.repeat(70)}b`, offset: 0, reason: /more than 64 parts/ },
]) {
  test(`the path scope ${JSON.stringify(text.slice(0, 30))} is refused at character ${offset}`, () => {
    const outcome = parsePathScope(text)
    assert(outcome.kind === 'refused')
    assert.match(outcome.reason, reason)
    assert.equal(outcome.offset, offset)
    assert.notEqual(outcome.fix, '')
    assert.equal(toPathRule(text), null)
  })
}

test('an absolute path scope names the capability that it would need', () => {
  const outcome = parsePathScope('/etc')
  assert(outcome.kind === 'refused')
  assert.match(outcome.fix, /fs\.absolute/)
})

for (const { scope, inside, outside } of [
  {
    scope: 'src/**',
    inside: ['src', 'src/', './src/a', 'src/a/b', 'src/.ssh', 'src/[id]/*'],
    outside: ['.', 'srcs', 'a/src', 'SRC/a', 'src\\a'],
  },
  { scope: '**', inside: ['.', '', 'a', '.hidden/b'], outside: ['..', '/a', 'a/../b', 'a//b', 'a\0b'] },
  { scope: 'src/*', inside: ['src/a', 'src/.env'], outside: ['src', 'src/a/b', '.'] },
  { scope: 'src/*.ts', inside: ['src/a.ts', 'src/a.test.ts'], outside: ['src/.ts', 'src/a.tsx', 'src/a/b.ts', 'src/a.TS'] },
  { scope: 'src/a', inside: ['src/a', 'src/a/', './src/a'], outside: ['src', 'src/a/b', 'src/A', 'src/%61'] },
]) {
  test(`the path scope \`${scope}\` contains exactly its paths`, () => {
    assert.deepEqual(
      inside.filter((path) => !containsValue([scope], path, 'path')),
      [],
    )
    assert.deepEqual(
      outside.filter((path) => containsValue([scope], path, 'path')),
      [],
    )
  })
}

test('a name in another form of Unicode lies in no scope', () => {
  assert(containsValue(['caf\u00e9/**'], 'caf\u00e9/menu', 'path'))
  assert(!containsValue(['caf\u00e9/**'], 'cafe\u0301/menu', 'path'))
})

test('a folder with what is below it is one entry among its neighbours', () => {
  assert.deepEqual(meetSets(['a/b.ts/**'], ['a/*.ts'], 'path'), ['a/b.ts'])
  assert.deepEqual(meetSets(['a/*'], ['a/b/**'], 'path'), ['a/b'])
  assert.deepEqual(meetSets(['a/*.ts'], ['a/*.test.ts'], 'path'), ['a/*.test.ts'])
  assert.deepEqual(meetSets(['a/*.ts'], ['a/*.js'], 'path'), [])
})

test('a list without what another entry contains, and sorted, is its canonical form', () => {
  assert.deepEqual(canonicalSet(['src/**', 'src/a', 'docs/*', 'src/**/*', 'docs/x', 'a*b'], 'path'), ['docs/*', 'src/**'])
})

test('a text that is no scope contains nothing and is covered by nothing', () => {
  assert(!containsValue(['a/../**'], 'a/b', 'path'))
  assert(!coversAll(['**'], ['a/../b'], 'path'))
  assert.deepEqual(meetSets(['**'], ['../**'], 'path'), [])
})

// Guard: in src/capabilities/scopes/path-scope.ts, `refuseSegment` before a segment becomes part of a rule. Without it `*` in the middle becomes a name.
test('threat row 47: a scope that would be slow as a glob is no scope at all', () => {
  for (const text of ["'*a'".repeat(14), '*a'.repeat(14), `src/${'*a'.repeat(14)}`]) {
    const outcome = parsePathScope(text)
    assert(outcome.kind === 'refused', text)
    assert.equal(outcome.offset, text.indexOf('*'))
    assert.equal(parseScope(text, 'id').kind, 'refused')
    assert.equal(parseScope(text, 'host').kind, 'refused')
  }
})
