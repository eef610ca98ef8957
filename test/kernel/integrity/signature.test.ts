import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { checkIntegrity, readSignature, signBytes, signedKindOf } from '../../../src/kernel/integrity/signature.ts'
import type { SignedKind, SignedSubject } from '../../../src/kernel/integrity/signature.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { createTestKeys } from '../test-keys.ts'

const NOW_MS = Date.UTC(2026, 2, 4, 5, 6, 7)
const FILES: Readonly<Record<SignedKind, string>> = { yaml: 'a: 1\n', module: 'export const a = 1\n', markdown: '# A\n' }

const KEYS = createTestKeys()
const SUBJECT: SignedSubject = { type: 'tool', category: 'demo', id: 'a' }

async function sign(text: string, kind: SignedKind = 'yaml', nowMs: number = NOW_MS): Promise<string> {
  return (await signBytes(Buffer.from(text), kind, { nowMs, subject: SUBJECT, keys: KEYS })).toString()
}

function check(text: string, kind: SignedKind = 'yaml', subject: SignedSubject = SUBJECT) {
  return checkIntegrity(Buffer.from(text), kind, subject)
}

test('the signature line is a comment of the language with UTC time, hash, key id and signature', async () => {
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  for (const [kind, open, close] of [
    ['yaml', '# ', ''],
    ['module', '// ', ''],
    ['markdown', '<!-- ', ' -->'],
  ] as const) {
    const [line = '', ...rest] = (await sign(FILES[kind], kind)).split('\n')
    const start = `${open}kiwi:signed:20260304T050607Z:${hash(FILES[kind])}:${KEYS.keyId}:`
    assert.equal(line.slice(0, start.length), start)
    assert.match(line.slice(start.length, line.length - close.length), /^[A-Za-z0-9_-]{86}$/)
    assert(line.endsWith(close))
    assert.equal(rest.join('\n'), FILES[kind])
  }
})

test('a signed file of each kind is intact', async () => {
  for (const kind of ['yaml', 'module', 'markdown'] as const) {
    const integrity = check(await sign(FILES[kind], kind), kind)
    assert.equal(integrity.kind, 'signed')
  }
})

test('a signature tells when and by which key it was made', async () => {
  const integrity = check(await sign(FILES.yaml))
  assert(integrity.kind === 'signed')
  assert.equal(integrity.keyId, KEYS.keyId)
  assert.equal(integrity.signedAt, '20260304T050607Z')
})

test('signing again replaces the line and keeps the hash', async () => {
  const once = await sign(FILES.yaml)
  const twice = await sign(once, 'yaml', NOW_MS + 86_400_000)
  assert.equal(twice.split('\n').length, once.split('\n').length)
  assert.equal(await sign(twice), once)
})

test('every changed byte outside of the signature line is noticed', async () => {
  const signed = Buffer.from(await sign('a: 1\nb: 2\n'))
  const bodyStart = signed.indexOf(0x0a) + 1
  for (let offset = bodyStart; offset < signed.length; offset += 1) {
    const changed = Buffer.from(signed)
    changed[offset] = (changed[offset] ?? 0) ^ 1
    assert.equal(checkIntegrity(changed, 'yaml', SUBJECT).kind, 'changed', `offset ${offset}`)
  }
})

test('a changed file tells the hash it should have and the one it has', async () => {
  const integrity = check(`${await sign(FILES.yaml)}b: 2\n`)
  assert(integrity.kind === 'changed')
  assert.notEqual(integrity.expected, integrity.actual)
})

test('a file without the line is unsigned', async () => {
  assert.deepEqual(check(FILES.yaml), { kind: 'unsigned' })
  assert.deepEqual(check(''), { kind: 'unsigned' })
  assert.deepEqual(check('text: "kiwi:signed: is only a word here"\n'), { kind: 'unsigned' })
})

test('the line follows a shebang, which stays first and is part of the hash', async () => {
  const signed = await sign('#!/usr/bin/env node\nrun()\n', 'module')
  assert.match(signed, /^#!\/usr\/bin\/env node\n\/\/ kiwi:signed:/)
  assert.equal(check(signed, 'module').kind, 'signed')
  assert.equal(check(signed.replace('env node', 'env evil'), 'module').kind, 'changed')
})

test('a shebang without a line end gets one before it is signed', async () => {
  const signed = await sign('#!/usr/bin/env node', 'module')
  assert.equal(check(signed, 'module').kind, 'signed')
  assert.equal(await sign(signed, 'module'), signed)
})

test('a byte-order mark stays first and line ends keep their style', async () => {
  const signed = await sign('\ufeffa: 1\r\nb: 2\r\n')
  assert.match(signed, /^\ufeff# kiwi:signed:[^\n]*\r\na: 1\r\nb: 2\r\n$/)
  assert.equal(check(signed).kind, 'signed')
  assert.equal(await sign(signed), signed)
})

test('an empty file can be signed', async () => {
  assert.equal(check(await sign('')).kind, 'signed')
})

test('two signature lines are malformed, and the line of the second is told', async () => {
  const signed = await sign(FILES.yaml)
  const [line = ''] = signed.split('\n')
  assert.deepEqual(check(`${line}\n${signed}`), { kind: 'malformed', line: 2, reason: 'a second signature line' })
})

test('a signature line that is not in its place is malformed and is not removed by signing', async () => {
  const moved = `title: x\n${await sign(FILES.yaml)}`
  assert.deepEqual(check(moved).kind, 'malformed')
  await assert.rejects(
    sign(moved),
    (error) => error instanceof KiwiError && error.code === 'INVALID_REQUEST' && /line 2/.test(error.message),
  )
})

test('a line of another form is malformed, and signing replaces it', async () => {
  for (const line of [
    '# kiwi:signed:',
    '#kiwi:signed:x',
    '# kiwi:signed:20260304T050607Z:abc:none:-',
    '  # kiwi:signed:20260304T050607Z',
  ]) {
    assert.equal(check(`${line}\na: 1\n`).kind, 'malformed', line)
    assert.equal(check(await sign(`${line}\na: 1\n`)).kind, 'signed', line)
  }
})

test('code cannot hide behind the signature line, which is not hashed', async () => {
  const [line = '', ...rest] = (await sign(FILES.module, 'module')).split('\n')
  for (const hidden of ['\rrun()', '\u2028run()', ' run()', '\u0000']) {
    assert.equal(check([line + hidden, ...rest].join('\n'), 'module').kind, 'malformed', JSON.stringify(hidden))
  }
  const [comment = '', ...text] = (await sign(FILES.markdown, 'markdown')).split('\n')
  assert.equal(check([`${comment} <b>hidden</b>`, ...text].join('\n'), 'markdown').kind, 'malformed')
})

test('the line can be read without checking it', async () => {
  const found = readSignature(Buffer.from(`${await sign(FILES.yaml)}more: 1\n`), 'yaml')
  assert(found.kind === 'found')
  assert.deepEqual([found.line, found.start, found.keyId, found.signature.length], [1, 0, KEYS.keyId, 86])
})

test('the kind of comment follows from the file name', async () => {
  assert.deepEqual(['a.yaml', 'a.yml', 'a.ts', 'a.js', 'a.md', 'a.txt'].map(signedKindOf), [
    'yaml',
    'yaml',
    'module',
    'module',
    'markdown',
    null,
  ])
})
