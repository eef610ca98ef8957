import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { checkIntegrity, readSignature, signBytes, signedKindOf } from '../../../src/kernel/integrity/signature.ts'
import type { SignedKind } from '../../../src/kernel/integrity/signature.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'

const NOW_MS = Date.UTC(2026, 2, 4, 5, 6, 7)
const FILES: Readonly<Record<SignedKind, string>> = { yaml: 'a: 1\n', module: 'export const a = 1\n', markdown: '# A\n' }

function sign(text: string, kind: SignedKind = 'yaml', nowMs: number = NOW_MS): string {
  return signBytes(Buffer.from(text), kind, { nowMs }).toString()
}

function check(text: string, kind: SignedKind = 'yaml') {
  return checkIntegrity(Buffer.from(text), kind)
}

test('the signature line is a comment of the language with UTC time, hash, key id and signature', () => {
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  assert.equal(sign(FILES.yaml), `# kiwi:signed:20260304T050607Z:${hash(FILES.yaml)}:none:-\n${FILES.yaml}`)
  assert.equal(sign(FILES.module, 'module'), `// kiwi:signed:20260304T050607Z:${hash(FILES.module)}:none:-\n${FILES.module}`)
  assert.equal(
    sign(FILES.markdown, 'markdown'),
    `<!-- kiwi:signed:20260304T050607Z:${hash(FILES.markdown)}:none:- -->\n${FILES.markdown}`,
  )
})

test('a signed file of each kind is intact', () => {
  for (const kind of ['yaml', 'module', 'markdown'] as const) {
    const integrity = check(sign(FILES[kind], kind), kind)
    assert.equal(integrity.kind, 'signed')
  }
})

test('a signature tells when and by which key it was made', () => {
  const integrity = check(sign(FILES.yaml))
  assert(integrity.kind === 'signed')
  assert.equal(integrity.keyId, 'none')
  assert.equal(integrity.signedAt, '20260304T050607Z')
})

test('signing again replaces the line and keeps the hash', () => {
  const once = sign(FILES.yaml)
  const twice = sign(once, 'yaml', NOW_MS + 86_400_000)
  assert.equal(twice.split('\n').length, once.split('\n').length)
  assert.equal(sign(twice), once)
})

test('every changed byte outside of the signature line is noticed', () => {
  const signed = signBytes(Buffer.from('a: 1\nb: 2\n'), 'yaml', { nowMs: NOW_MS })
  const bodyStart = signed.indexOf(0x0a) + 1
  for (let offset = bodyStart; offset < signed.length; offset += 1) {
    const changed = Buffer.from(signed)
    changed[offset] = (changed[offset] ?? 0) ^ 1
    assert.equal(checkIntegrity(changed, 'yaml').kind, 'changed', `offset ${offset}`)
  }
})

test('a changed file tells the hash it should have and the one it has', () => {
  const integrity = check(`${sign(FILES.yaml)}b: 2\n`)
  assert(integrity.kind === 'changed')
  assert.notEqual(integrity.expected, integrity.actual)
})

test('a file without the line is unsigned', () => {
  assert.deepEqual(check(FILES.yaml), { kind: 'unsigned' })
  assert.deepEqual(check(''), { kind: 'unsigned' })
  assert.deepEqual(check('text: "kiwi:signed: is only a word here"\n'), { kind: 'unsigned' })
})

test('the line follows a shebang, which stays first and is part of the hash', () => {
  const signed = sign('#!/usr/bin/env node\nrun()\n', 'module')
  assert.match(signed, /^#!\/usr\/bin\/env node\n\/\/ kiwi:signed:/)
  assert.equal(check(signed, 'module').kind, 'signed')
  assert.equal(check(signed.replace('env node', 'env evil'), 'module').kind, 'changed')
})

test('a shebang without a line end gets one before it is signed', () => {
  const signed = sign('#!/usr/bin/env node', 'module')
  assert.equal(check(signed, 'module').kind, 'signed')
  assert.equal(sign(signed, 'module'), signed)
})

test('a byte-order mark stays first and line ends keep their style', () => {
  const signed = sign('\ufeffa: 1\r\nb: 2\r\n')
  assert.match(signed, /^\ufeff# kiwi:signed:[^\n]*\r\na: 1\r\nb: 2\r\n$/)
  assert.equal(check(signed).kind, 'signed')
  assert.equal(sign(signed), signed)
})

test('an empty file can be signed', () => {
  assert.equal(check(sign('')).kind, 'signed')
})

test('two signature lines are malformed, and the line of the second is told', () => {
  const signed = sign(FILES.yaml)
  const [line = ''] = signed.split('\n')
  assert.deepEqual(check(`${line}\n${signed}`), { kind: 'malformed', line: 2, reason: 'a second signature line' })
})

test('a signature line that is not in its place is malformed and is not removed by signing', () => {
  const moved = `title: x\n${sign(FILES.yaml)}`
  assert.deepEqual(check(moved).kind, 'malformed')
  assert.throws(
    () => sign(moved),
    (error) => error instanceof KiwiError && error.code === 'INVALID_REQUEST' && /line 2/.test(error.message),
  )
})

test('a line of another form is malformed, and signing replaces it', () => {
  for (const line of [
    '# kiwi:signed:',
    '#kiwi:signed:x',
    '# kiwi:signed:20260304T050607Z:abc:none:-',
    '  # kiwi:signed:20260304T050607Z',
  ]) {
    assert.equal(check(`${line}\na: 1\n`).kind, 'malformed', line)
    assert.equal(check(sign(`${line}\na: 1\n`)).kind, 'signed', line)
  }
})

test('code cannot hide behind the signature line, which is not hashed', () => {
  const [line = '', ...rest] = sign(FILES.module, 'module').split('\n')
  for (const hidden of ['\rrun()', '\u2028run()', ' run()', '\u0000']) {
    assert.equal(check([line + hidden, ...rest].join('\n'), 'module').kind, 'malformed', JSON.stringify(hidden))
  }
  const [comment = '', ...text] = sign(FILES.markdown, 'markdown').split('\n')
  assert.equal(check([`${comment} <b>hidden</b>`, ...text].join('\n'), 'markdown').kind, 'malformed')
})

test('the line can be read without checking it', () => {
  const found = readSignature(Buffer.from(`${sign(FILES.yaml)}more: 1\n`), 'yaml')
  assert(found.kind === 'found')
  assert.deepEqual([found.line, found.start, found.keyId, found.signature], [1, 0, 'none', '-'])
})

test('the kind of comment follows from the file name', () => {
  assert.deepEqual(['a.yaml', 'a.yml', 'a.ts', 'a.js', 'a.md', 'a.txt'].map(signedKindOf), [
    'yaml',
    'yaml',
    'module',
    'module',
    'markdown',
    null,
  ])
})
