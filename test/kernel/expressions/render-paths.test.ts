import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json } from '../../../src/json.ts'
import { findPaths, renderPaths } from '../../../src/kernel/expressions/render-paths.ts'

const SCOPE = {
  event: { name: 'on_error', code: 'TIMEOUT', detail: { tool: 'bash', tries: [1, 2] }, none: null },
  cost: { spent_usd: 0.5 },
}

const render = (text: string): Json => renderPaths(text, SCOPE)

function lengthOf(value: Json): number {
  assert(typeof value === 'string')
  return value.length
}

test('a placeholder alone gives the value with its type', () => {
  assert.deepEqual(['${event.detail}', '${cost.spent_usd}', '${event.code}', '${event.nothing}'].map(render), [
    { tool: 'bash', tries: [1, 2] },
    0.5,
    'TIMEOUT',
    null,
  ])
})

test('placeholders in text become text: strings as they are, null as nothing, the rest as JSON', () => {
  assert.equal(
    render('${event.code} after ${cost.spent_usd} USD: ${event.detail}${event.none}${nobody.here}.'),
    'TIMEOUT after 0.5 USD: {"tool":"bash","tries":[1,2]}.',
  )
})

test('text without placeholders stays as it is, and $${ is a literal ${', () => {
  assert.equal(render('costs $5 {x} ${ } ${a b} $'), 'costs $5 {x} ${ } ${a b} $')
  assert.equal(render('$${event.code} is ${event.code}'), '${event.code} is TIMEOUT')
  assert.equal(render(''), '')
})

test('what is put in is never read again', () => {
  assert.equal(renderPaths('<${a}>', { a: '${b}', b: 'secret' }), '<${b}>')
  assert.equal(renderPaths('${a}', { a: '${b}', b: 'secret' }), '${b}')
  assert.equal(renderPaths('$${a}${c}', { a: 1, c: '{a}' }), '${a}{a}')
})

test('the paths of a text are found with their places, and broken placeholders too', () => {
  assert.deepEqual(findPaths('x ${event.code} $${no} ${cost}'), {
    kind: 'paths',
    paths: [
      { segments: ['event', 'code'], offset: 4 },
      { segments: ['cost'], offset: 25 },
    ],
  })
  for (const [text, offset] of [
    ['a ${event.code', 2],
    ['${}', 0],
    ['${ event }', 0],
    ['${event.0}', 0],
    ['$ ${x y}', 2],
  ] as const) {
    const use = findPaths(text)
    assert(use.kind === 'broken', text)
    assert.equal(use.offset, offset, text)
  }
})

// Own properties in readPath, MAX_RENDERED and MAX_PLACEHOLDERS are what stops these.
test('threat row 48: placeholders reach no prototype', () => {
  assert.equal(render('${event.constructor}${event.__proto__.x}${event.name.length}!'), '!')
})

test('threat row 48: many placeholders of huge or deep values give a bounded text', () => {
  const big = 'x'.repeat(1_000_000)
  let deep: Json = []
  for (let level = 0; level < 100_000; level += 1) deep = [deep]
  const text = renderPaths(`a ${'${big}${list}'.repeat(10_000)}`, { big, list: Array.from({ length: 10_000 }, () => big) })
  assert.equal(lengthOf(text), 65_537)
  assert(lengthOf(renderPaths('deep: ${deep}', { deep })) <= 65_537)
  assert.equal(findPaths('${big}'.repeat(65)).kind, 'broken')
})

test('threat row 48: a megabyte of dollar signs and open braces is read once', () => {
  for (const text of ['${', '$${', '$', '${a', '${a.a', '${a}'])
    assert.equal(typeof renderPaths(`x${text.repeat(1_000_000 / text.length)}`, {}), 'string')
  assert.equal(lengthOf(renderPaths(`x$\{${'a.'.repeat(500_000)}`, {})), 65_537)
})
