import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../../src/json.ts'
import { TemplateError } from '../../../src/kernel/template/placeholder.ts'
import { compileTemplate } from '../../../src/kernel/template/template.ts'

interface Given {
  readonly optional?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

function render(config: JsonObject, parameters: JsonObject, { optional = [], env = {} }: Given = {}): JsonObject {
  return compileTemplate(config).render({ parameters, isOptional: (name) => optional.includes(name), env: (name) => env[name] })
}

function refusal(run: () => unknown): TemplateError {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof TemplateError, String(error))
    return error
  }
  throw new assert.AssertionError({ message: 'expected a TemplateError' })
}

test('a lone placeholder keeps the type of its value', () => {
  assert.deepEqual(render({ body: { n: '{n}', b: '{b}', z: '{z}' } }, { n: 3, b: false, z: null }), {
    body: { n: 3, b: false, z: null },
  })
})

test('a lone placeholder passes a large value by reference', () => {
  const messages = [{ role: 'user', content: 'hello' }]
  const rendered = render({ body: { messages: '{messages}' } }, { messages })
  assert.equal((rendered['body'] as JsonObject)['messages'], messages)
})

test('a placeholder in text is rendered as a string', () => {
  assert.deepEqual(render({ body: 'n={n}, o={o}' }, { n: 3, o: { a: [1] } }), { body: 'n=3, o={"a":[1]}' })
})

test('an absent optional parameter removes its key and its list element', () => {
  const rendered = render({ body: { a: '{x}', b: 'is {x}', list: ['{x}', 1], keep: 1 } }, {}, { optional: ['x'] })
  assert.deepEqual(rendered, { body: { list: [1], keep: 1 } })
})

test('an absent required parameter is an error that names it and the place', () => {
  const error = refusal(() => render({ body: { model: '{model}' } }, {}))
  assert.match(error.message, /parameter model is required/)
  assert.deepEqual(error.path, ['body', 'model'])
})

test('keys are never templated', () => {
  assert.deepEqual(render({ body: { '{x}': 1 } }, { x: 'y' }), { body: { '{x}': 1 } })
})

test('values are never expanded a second time', () => {
  const rendered = render({ body: { a: '{a}', b: 'x {a}' } }, { a: '{b} ${HOME} {{c}}', b: 'no' }, { env: { HOME: '/root' } })
  assert.deepEqual(rendered, { body: { a: '{b} ${HOME} {{c}}', b: 'x {b} ${HOME} {{c}}' } })
})

test('only an identifier in braces is a placeholder, so JSON text needs no escape', () => {
  assert.deepEqual(render({ body: '{"a":{"b":"{x}"}}' }, { x: 1 }), { body: '{"a":{"b":"1"}}' })
})

test('doubled braces and a doubled dollar give literal braces', () => {
  assert.deepEqual(render({ body: 'write {{name}} and $${HOME}' }, {}), { body: 'write {name} and ${HOME}' })
})

test('environment variables come from the tool text, with defaults', () => {
  const rendered = render({ headers: { a: 'Bearer ${KEY}', b: '${NONE:-fallback}' } }, {}, { env: { KEY: 'k' } })
  assert.deepEqual(rendered, { headers: { a: 'Bearer k', b: 'fallback' } })
})

test('an unset environment variable without a default is an error that names it', () => {
  assert.match(refusal(() => render({ headers: { a: '${KEY}' } }, {})).message, /KEY is not set/)
})

test('parts without placeholders are shared between renderings', () => {
  const compiled = compileTemplate({ body: { fixed: { deep: [1, 2] }, x: '{x}' } })
  const bodyFor = (x: string): JsonObject =>
    compiled.render({ parameters: { x }, isOptional: () => false, env: () => undefined })['body'] as JsonObject
  assert.equal(bodyFor('a')['fixed'], bodyFor('b')['fixed'])
})

test('an absent optional query value of a URL removes its pair', () => {
  const url = 'http://h/p?a={a}&b={b}'
  assert.equal(render({ url }, { a: 1 }, { optional: ['b'] })['url'], 'http://h/p?a=1')
})

for (const value of ['a\r\nX: y', 'a\rb', 'a\nb', 'a\u0000b', 'a\u007fb']) {
  test(`threat row 15: ${JSON.stringify(value)} is refused in a header, a path and a URL`, () => {
    for (const config of [
      { headers: { h: 'x {v}' } },
      { headers: { h: '{v}' } },
      { path: '/{v}' },
      { url: 'http://h/{v}' },
      { url: 'http://h/?q={v}' },
      { query: { q: '{v}' } },
    ]) {
      assert.match(refusal(() => render(config, { v: value })).message, /control character/)
    }
  })
}

test('threat row 15: a character that latin1 would cut to a line feed is refused in a header and encoded in a URL', () => {
  assert.match(refusal(() => render({ headers: { h: '{v}' } }, { v: 'a\u010aX: y' })).message, /latin1/)
  assert.equal(render({ url: 'http://h/{v}' }, { v: 'a\u010ab' })['url'], 'http://h/a%C4%8Ab')
})

const BREAKOUTS: readonly (readonly [string, string])[] = [
  ['../admin', 'http://h/u/..%2Fadmin/x'],
  ['@evil', 'http://h/u/%40evil/x'],
  ['evil.com#', 'http://h/u/evil.com%23/x'],
  ['%2f..', 'http://h/u/%252f../x'],
  ['a?b=c&d', 'http://h/u/a%3Fb%3Dc%26d/x'],
  ['a\\b', 'http://h/u/a%5Cb/x'],
]
for (const [value, expected] of BREAKOUTS) {
  test(`threat row 16: the path value ${value} stays in its segment`, () => {
    const url = render({ url: 'http://h/u/{v}/x' }, { v: value })['url']
    assert.equal(url, expected)
    assert.equal(new URL(expected).pathname.split('/').length, 4)
  })
}

for (const value of ['..', '.', '']) {
  test(`threat row 16: the path value ${JSON.stringify(value)} is refused`, () => {
    assert.match(refusal(() => render({ url: 'http://h/u/{v}/x' }, { v: value })).message, /path/)
  })
}

test('threat row 16: two values cannot make a dot segment together', () => {
  assert.match(refusal(() => render({ path: '/{a}{b}/x' }, { a: '.', b: '.' })).message, /"\.\."/)
})

for (const url of ['{s}://h/', 'http://{s}/', 'http://h:{s}/', 'http://{s}@h/', 'http://h{s}', '{s}', 'http:/{s}/x']) {
  test(`threat row 16: a placeholder before the path of ${url} is refused`, () => {
    assert.match(refusal(() => render({ url }, { s: 'evil.com' })).message, /scheme, user, host or port/)
  })
}

test('a tool can leave its whole URL and all of its headers to its caller', () => {
  const config = { url: '{url}', headers: '{headers}' }
  const parameters = { url: 'https://h:8443/p?q=1', headers: { a: 'x', n: 1, gone: null } }
  assert.deepEqual(render(config, parameters), { url: 'https://h:8443/p?q=1', headers: { a: 'x', n: '1' } })
  assert.deepEqual(render({ headers: '{headers}' }, {}, { optional: ['headers'] }), {})
})

for (const url of [
  '/p',
  'h',
  'file:///etc/passwd',
  'javascript:1',
  'http://user:word@h/',
  'http://h/\r\nX: y',
  '',
  7,
  ['http://h/'],
]) {
  test(`threat row 16: ${JSON.stringify(url)} is no whole URL`, () => {
    assert.match(refusal(() => render({ url: '{url}' }, { url })).message, /whole URL/)
  })
}

test('threat row 16: a whole URL goes nowhere but into the url of the call', () => {
  for (const config of [{ base_url: '{v}' }, { mcp_url: '{v}' }, { stream: { destinations: [{ url: '{v}' }] } }])
    assert.throws(() => render(config, { v: 'http://h/' }), TemplateError, JSON.stringify(config))
})

for (const headers of ['a: b', ['a'], { a: 'x\r\nb: y' }, { a: { b: 1 } }]) {
  test(`threat row 15: ${JSON.stringify(headers)} is refused as all headers`, () => {
    assert.match(refusal(() => render({ headers: '{headers}' }, { headers })).message, /map of names|control|must be text/)
  })
}

test('the host of a URL can come from the environment', () => {
  const env = { BASE: 'http://127.0.0.1:9' }
  assert.equal(render({ url: '${BASE}/v1/{x}' }, { x: 'a' }, { env })['url'], 'http://127.0.0.1:9/v1/a')
})

for (const text of ["${x.constructor.constructor('..')()}", '${__proto__.x}', '{x.constructor}', "{x['__proto__']}", '${1+1}']) {
  test(`threat row 18: ${text} is refused as an expression`, () => {
    assert.match(refusal(() => compileTemplate({ body: text })).message, /expression|variable name/)
  })
}

for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
  test(`threat row 18: {${name}} reads own parameters only`, () => {
    assert.match(refusal(() => render({ body: `{${name}}` }, {})).message, new RegExp(`parameter ${name} is required`))
  })
}

for (const value of ['../x', 'a/b', '..', 'a.b', '%2e%2e', '', 'a\u0000', 'ｅ', 'C:\\x']) {
  test(`threat row 35: ${JSON.stringify(value)} is refused in the path of a sink`, () => {
    const config = { stream: { destinations: [{ type: 'file', path: '.ai/threads/{thread_id}/stream.jsonl' }] } }
    assert.match(refusal(() => render(config, { thread_id: value })).message, /\[A-Za-z0-9_-\]/)
  })
}
