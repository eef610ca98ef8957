import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Json } from '../../../src/json.ts'
import { evaluate, isTrue } from '../../../src/kernel/expressions/evaluate.ts'
import type { ExpressionScope } from '../../../src/kernel/expressions/expression.ts'
import { parsed, valueOf } from './expressions.ts'

const SCOPE: ExpressionScope = {
  event: { name: 'on_limit', code: 'max_turns', detail: null },
  cost: { spent_usd: 0.9, turns: 3, none: null },
  limits: { max_cost_usd: 1, max_turns: 3 },
  permissions: { granted: ['fs.read', 'net.http'], required: { 'x.y': true, read: ['a'] } },
}

const valueIn = (text: string): Json => valueOf(text, SCOPE)

for (const [text, value] of [
  ['event.name == "on_limit" and cost.spent_usd / limits.max_cost_usd > 0.8', true],
  ['"fs.read" in permissions.granted', true],
  ['"fs.write" not in permissions.granted', true],
  ['"read" in permissions.required', true],
  ['"x.y" in permissions.required', true],
  ['"turns" in event.code', true],
  ['"" in event.code', true],
  ['1 in "1"', false],
  ['"a" in null', false],
  ['"a" not in 5', true],
  ['cost.turns >= limits.max_turns', true],
  ['1 + 2 * 3 - 4 / 2', 5],
  ['-cost.turns + 1', -2],
  ['not event.detail', true],
] as const) {
  test(`${text} is ${JSON.stringify(value)}`, () => {
    assert.deepEqual(valueIn(text), value)
  })
}

test('what is missing is null, however far the path goes on', () => {
  assert.deepEqual(['nobody', 'event.nothing.at.all', 'event.name.length', 'cost.none.deeper'].map(valueIn), [
    null,
    null,
    null,
    null,
  ])
  assert.equal(valueIn('event.nothing == null'), true)
})

test('null is 0 in sums and products, and so is everything else that is no number', () => {
  assert.deepEqual(
    ['null + 1', 'nobody * 5', '"3" + 4', 'true + true', 'permissions.granted - 1', '-"x"'].map(valueIn),
    [1, 0, 4, 0, -1, 0],
  )
})

test('dividing by nothing gives 0, and no result is infinite or a negative zero', () => {
  assert.deepEqual(['1 / 0', '0 / 0', '1 / nobody', '1e308 * 10', '-1e308 * 10', '1e308 * 10 - 1e308 * 10'].map(valueIn), [
    0,
    0,
    0,
    Number.MAX_VALUE,
    -Number.MAX_VALUE,
    0,
  ])
  assert(Object.is(valueIn('0 * -1'), 0))
  assert(Object.is(valueIn('-0'), 0))
  assert.equal(valueOf('x + 1', { x: Number.NaN }), 1)
})

test('ordering is false against null, between types, and for what has no order', () => {
  const texts = [
    'null < 1',
    'nobody >= 0',
    '1 < "2"',
    'true > false',
    'null <= null',
    'true >= true',
    'permissions <= permissions',
  ]
  assert.deepEqual(
    texts.map(valueIn),
    texts.map(() => false),
  )
  assert.deepEqual(['"a" < "b"', '"b" <= "a"', '"a" >= "a"', '2 > 10', '1 <= 1'].map(valueIn), [true, false, true, false, true])
})

test('equality never converts', () => {
  const texts = [
    '1 == "1"',
    '0 == null',
    '0 == false',
    '"" == null',
    'true == 1',
    'permissions == "x"',
    'permissions.granted == permissions',
  ]
  assert.deepEqual(
    texts.map(valueIn),
    texts.map(() => false),
  )
  assert.deepEqual(['null == null', '1.0 == 1', '"a" != "b"'].map(valueIn), [true, true, true])
})

test('lists and maps are equal by content, whatever the order of the keys', () => {
  const scope = {
    a: { x: [1, { y: null }], z: 'q' },
    b: { z: 'q', x: [1, { y: null }] },
    c: { z: 'q', x: [1, {}] },
    l: [[1], { k: 2 }],
    m: { k: 2 },
  }
  assert.deepEqual(
    ['a == b', 'a == c', 'a != c', 'm in l', 'a in l'].map((text) => valueOf(text, scope)),
    [true, false, true, true, false],
  )
})

test('false, null, 0 and empty text count as false, and everything else as true', () => {
  assert.deepEqual([false, null, 0, ''].map(isTrue), [false, false, false, false])
  assert.deepEqual([true, 1, -1, 'false', [], {}].map(isTrue), [true, true, true, true, true, true])
})

test('and, or and not give booleans', () => {
  assert.deepEqual(['1 and "x"', '0 or "x"', '"" or 0', 'null and 1', 'not 5', 'not ""'].map(valueIn), [
    true,
    true,
    false,
    false,
    false,
    true,
  ])
})

test('and and or read only what they need', () => {
  const scope = {
    get trap(): Json {
      throw new Error('read')
    },
  }
  assert.equal(valueOf('false and trap', scope), false)
  assert.equal(valueOf('true or trap', scope), true)
  assert.throws(() => valueOf('true and trap', scope), /read/)
})

// FORBIDDEN_KEYS and Object.hasOwn in readPath and isWithin are what stops these.
test('threat row 48: no path leads to a prototype, a method or the length of anything', () => {
  const own: Json = JSON.parse('{"__proto__": {"x": 1}, "constructor": 2, "prototype": 3}')
  const scope = { own, list: [1, 2], text: 'abc', map: {} }
  for (const path of [
    'own.__proto__',
    'own.__proto__.x',
    'own.constructor',
    'own.prototype',
    'map.constructor.constructor',
    'map.toString',
    'map.hasOwnProperty',
    'map.__lookupGetter__',
    'list.length',
    'list.map',
    'text.length',
    'text.constructor',
    'constructor',
    '__proto__.polluted',
    'toString',
  ]) {
    assert.equal(valueOf(path, scope), null, path)
  }
  assert.deepEqual(
    ['"toString" in map', '"__proto__" in own', '"constructor" in map', '"length" in list'].map((text) => valueOf(text, scope)),
    [false, false, false, false],
  )
})

// MAX_COMPARED and MAX_COMPARED_DEPTH are what stops this: without the first everything is compared, without the second the stack overflows.
test('threat row 48: comparing huge or deep data many times ends, and what is too much to compare is unequal', () => {
  const wide = (): Json => Object.fromEntries(Array.from({ length: 300_000 }, (_, index) => [`k${index}`, index]))
  const deep = (): Json => {
    let value: Json = []
    for (let level = 0; level < 100_000; level += 1) value = [value]
    return value
  }
  const list = (): Json => Array.from({ length: 300_000 }, (_, index) => [index])
  const scope = { a: wide(), b: wide(), c: deep(), d: deep(), e: list(), f: list() }
  const often = (text: string): string => Array.from({ length: 120 }, () => text).join(' or ')
  for (const text of ['a == b', 'c == d', 'e == f', 'b in e']) assert.equal(valueOf(often(text), scope), false, text)
})

// containsText is what makes this linear: the built-in search takes 190 ms for each of them.
test('threat row 48: looking for a long text in a long text takes linear time', () => {
  const half = 'a'.repeat(250_000)
  const scope = { text: half.repeat(4), part: `${half}b${half}`, end: 'a'.repeat(100) }
  const often = Array.from({ length: 50 }, () => 'part in text').join(' or ')
  assert.equal(valueOf(often, scope), false)
  assert.equal(valueOf('end in text', scope), true)
  assert.equal(valueOf('part in text', { ...scope, text: `xx${scope.part}` }), true)
})

test('threat row 48: the longest chain that is read is evaluated without overflowing the stack', () => {
  assert.equal(valueOf(Array.from({ length: 256 }, () => '1').join('+')), 256)
  assert.equal(evaluate(parsed(`${'('.repeat(32)}1${')'.repeat(32)}`), {}), 1)
})
