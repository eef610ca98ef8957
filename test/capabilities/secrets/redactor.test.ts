import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createRedactor } from '../../../src/capabilities/secrets/redactor.ts'

const CANARY = 'sk-canary/9f+Zq~"x\\7 é=end'
const PLAIN = 'ghp_0123456789abcdefABCDEF'
const redactor = createRedactor([
  { name: 'CANARY_KEY', value: CANARY },
  { name: 'PLAIN_TOKEN', value: PLAIN },
])

const unicodeEscaped = (text: string): string =>
  Array.from(text, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
const percentEncoded = (text: string, upper: boolean): string =>
  [...Buffer.from(text)]
    .map((byte) => `%${upper ? byte.toString(16).padStart(2, '0').toUpperCase() : byte.toString(16).padStart(2, '0')}`)
    .join('')
const json = (text: string): string => JSON.stringify(text).slice(1, -1)

/** Spellings that end exactly where the secret does. */
const SPELLINGS: Readonly<Record<string, (text: string) => string>> = {
  'as it is': (text) => text,
  encodeURIComponent: encodeURIComponent,
  'every byte percent-encoded, upper case': (text) => percentEncoded(text, true),
  'every byte percent-encoded, lower case': (text) => percentEncoded(text, false),
  'percent-encoded twice': (text) => encodeURIComponent(encodeURIComponent(text)),
  'form-encoded': (text) => new URLSearchParams({ q: text }).toString().slice(2),
  'as JSON': json,
  'as JSON in JSON': (text) => json(json(text)),
  'as JSON in JSON in JSON': (text) => json(json(json(text))),
  'as JSON with escaped slashes': (text) => json(text).replaceAll('/', '\\/'),
  'as JSON in ASCII': (text) => json(text).replaceAll('é', '\\u00e9'),
  'as JSON of unicode escapes': unicodeEscaped,
  'as unicode escapes in JSON': (text) => json(unicodeEscaped(text)),
}

describe('a secret is found', () => {
  for (const [spelling, write] of Object.entries(SPELLINGS)) {
    test(`${spelling}, and nothing around it is touched`, () => {
      for (const [name, value] of [
        ['CANARY_KEY', CANARY],
        ['PLAIN_TOKEN', PLAIN],
      ] as const) {
        assert.equal(redactor.text(`before ${write(value)}; after`), `before [secret:${name}]; after`)
      }
    })
  }

  for (const alphabet of ['base64', 'base64url'] as const) {
    test(`in ${alphabet} at each of the three places of a group, whatever stands around it`, () => {
      for (let before = 0; before < 6; before += 1) {
        const encoded = Buffer.from(`${'u:'.repeat(3).slice(0, before)}${CANARY}:tail`).toString(alphabet)
        const shown = redactor.text(`Basic ${encoded}`)
        assert.match(shown, /^Basic .{0,9}\[secret:CANARY_KEY\]/, `${before} bytes before`)
        const left = shown.replace('Basic ', '').replace('[secret:CANARY_KEY]', '')
        assert.ok(left.length < 24, left)
      }
    })
  }

  test('in base64 that a program wrapped, also where the line end is escaped in JSON', () => {
    const wrapped = (
      Buffer.from(`${'x'.repeat(50)}${PLAIN}${'y'.repeat(60)}`)
        .toString('base64')
        .match(/.{1,76}/g) ?? []
    ).join('\n')
    assert.match(redactor.text(wrapped), /\[secret:PLAIN_TOKEN\]/)
    assert.match(redactor.text(JSON.stringify({ stdout: wrapped })), /\[secret:PLAIN_TOKEN\]/)
    assert.match(redactor.text(wrapped.replaceAll('\n', '\r\n')), /\[secret:PLAIN_TOKEN\]/)
  })

  test('line by line when it is a key of many lines, however it is indented', () => {
    const lines = ['MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw', 'ggSjAgEAAoIBAQC7VJTUt9Us8cKjMzEfYyji']
    const pem = createRedactor([
      { name: 'PEM', value: `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n` },
    ])
    assert.equal(pem.text(`key: |\n  ${lines.join('\n  ')}\n`), 'key: |\n  [secret:PEM]\n  [secret:PEM]\n')
    assert.equal(pem.text('-----BEGIN PRIVATE KEY-----'), '-----BEGIN PRIVATE KEY-----')
  })

  test('by a part of it when it is very long', () => {
    const value = Array.from({ length: 40 }, (_, index) => `piece-${index}-`).join('')
    const long = createRedactor([{ name: 'LONG', value }])
    assert.equal(long.text(`<${value}>`), '<[secret:LONG]>')
    assert.match(long.text(value.slice(0, 200)), /^\[secret:LONG\]/)
  })
})

describe('redaction', () => {
  test('replaces overlapping secrets without leaving a part of either', () => {
    const both = createRedactor([
      { name: 'A', value: 'abcdefgh12' },
      { name: 'B', value: 'efgh123456' },
    ])
    assert.equal(both.text('abcdefgh123456'), '[secret:A]')
    assert.equal(both.text('efgh123456 abcdefgh12'), '[secret:B] [secret:A]')
  })

  test('leaves values of fewer than eight characters alone', () => {
    assert.equal(createRedactor([{ name: 'PIN', value: '1234567' }]).text('1234567'), '1234567')
  })

  test('gives the same object back when nothing in it is secret', () => {
    const value = { text: `%41 \\u0041 \n ${PLAIN.slice(0, -1)}`, list: [1, null, { deep: true }] }
    assert.equal(redactor.json(value), value)
    assert.equal(redactor.json(value).list, value.list)
  })

  test('reaches keys and values of nested JSON and leaves the rest as it is', () => {
    const untouched = { a: 1 }
    const value = { [PLAIN]: [untouched, `x${PLAIN}`], __proto__: null }
    const shown = redactor.json(value)
    assert.deepEqual(shown, { '[secret:PLAIN_TOKEN]': [untouched, 'x[secret:PLAIN_TOKEN]'] })
    assert.equal(Object.values(shown)[0]?.[0], untouched)
  })

  test('names the first secret of a value, or none', () => {
    assert.equal(redactor.find({ url: `http://host/?q=${encodeURIComponent(CANARY)}` }), 'CANARY_KEY')
    assert.equal(redactor.find({ list: [{ [PLAIN]: 1 }] }), 'PLAIN_TOKEN')
    assert.equal(redactor.find({ url: 'http://host/?q=%20', list: [null, 3] }), null)
  })

  test('takes hostile texts in linear time', () => {
    const same = createRedactor([{ name: 'SAME', value: 'aaaaaaaaaaaa"' }])
    for (const unit of ['a', '\\', '%', '%61', '\\u0061', '\n', 'a\n', '\\r', '\\n']) {
      const text = unit.repeat(Math.ceil(400_000 / unit.length))
      same.text(text)
      const stream = same.stream()
      stream.push(text)
      stream.end()
    }
    assert.equal(same.text(`${'a'.repeat(100_000)}"`).endsWith('[secret:SAME]'), true)
  })
})

describe('redaction of a stream', () => {
  const inPieces = (text: string, sizes: readonly number[]): string => {
    const stream = redactor.stream()
    let shown = ''
    let at = 0
    for (let index = 0; at < text.length; index += 1) {
      const size = sizes[index % sizes.length] ?? 1
      shown += stream.push(text.slice(at, at + size))
      at += size
    }
    return shown + stream.end()
  }

  test('finds every spelling wherever it is cut in two', () => {
    for (const [spelling, write] of Object.entries(SPELLINGS)) {
      const text = `before ${write(PLAIN)}; after`
      for (let cut = 0; cut <= text.length; cut += 1) {
        const stream = redactor.stream()
        const shown = stream.push(text.slice(0, cut)) + stream.push(text.slice(cut)) + stream.end()
        assert.equal(shown, 'before [secret:PLAIN_TOKEN]; after', `${spelling}, cut at ${cut}`)
      }
    }
  })

  test('finds every spelling in pieces of one to five characters', () => {
    for (const [spelling, write] of Object.entries(SPELLINGS)) {
      for (const sizes of [[1], [2], [3, 1], [5, 4]]) {
        const text = `before ${write(CANARY)}; after ${write(PLAIN)}`
        assert.equal(
          inPieces(text, sizes),
          'before [secret:CANARY_KEY]; after [secret:PLAIN_TOKEN]',
          `${spelling} in ${sizes.join()}`,
        )
      }
    }
  })

  test('finds base64 and wrapped base64 in pieces', () => {
    const encoded = Buffer.from(`user:${PLAIN}:more`).toString('base64')
    const wrapped = (encoded.match(/.{1,20}/g) ?? []).join('\n')
    for (const sizes of [[1], [3], [7, 2]]) {
      assert.match(inPieces(encoded, sizes), /\[secret:PLAIN_TOKEN\]/)
      assert.match(inPieces(wrapped, sizes), /\[secret:PLAIN_TOKEN\]/)
    }
  })

  test('holds back nothing but what may be the beginning of a secret, and gives it at the end', () => {
    const stream = redactor.stream()
    assert.equal(stream.push('Hello, world.'), 'Hello, world.')
    assert.equal(stream.push('the token ghp_0'), 'the token ')
    assert.equal(stream.push('x'), 'ghp_0x')
    assert.equal(stream.push('gh'), '')
    assert.equal(stream.end(), 'gh')
  })

  test('text without secrets comes out as it went in, however it is cut', () => {
    const text = `plain 100% \\"quoted\\" \\u00e9 gh ghp_ ghp_0123\n${PLAIN.slice(0, 20)} https://x/?q=%67h\\`
    for (const sizes of [[1], [2, 3], [11]]) assert.equal(inPieces(text, sizes), text)
  })
})
