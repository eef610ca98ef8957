import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Expression } from '../../../src/kernel/expressions/expression.ts'
import { parseExpression } from '../../../src/kernel/expressions/parse-expression.ts'
import { assertBroken, parsed, valueOf } from './expressions.ts'

/** An expression with all its parentheses. */
function shown(expression: Expression): string {
  switch (expression.kind) {
    case 'literal':
      return JSON.stringify(expression.value)
    case 'path':
      return expression.segments.join('.')
    case 'not':
      return `(not ${shown(expression.operand)})`
    case 'binary':
      return `(${shown(expression.left)} ${expression.operator} ${shown(expression.right)})`
  }
}

test('operators bind from or, the loosest, over and, not, comparisons and sums to products', () => {
  assert.equal(shown(parsed('a or b and not c == d + e * f')), '(a or (b and (not (c == (d + (e * f))))))')
  assert.equal(shown(parsed('a * b + c < d and e or f')), '((((a * b) + c) < d) and e) or f)'.replace(/^/, '('))
  assert.equal(shown(parsed('not a in b')), '(not (a in b))')
})

test('operators of one level bind from the left', () => {
  assert.equal(shown(parsed('a - b - c + d')), '(((a - b) - c) + d)')
  assert.equal(shown(parsed('a / b * c')), '((a / b) * c)')
  assert.equal(shown(parsed('a or b or c')), '((a or b) or c)')
})

test('parentheses bind first', () => {
  assert.equal(shown(parsed('(a or b) and (c - (d - e)) * 2 > 1')), '((a or b) and (((c - (d - e)) * 2) > 1))')
  assert.equal(shown(parsed('(a < b) == (c < d)')), '((a < b) == (c < d))')
})

test('a minus before a value makes a number of the other sign', () => {
  assert.deepEqual(parsed('-5'), { kind: 'literal', value: -5 })
  assert.equal(shown(parsed('- a * b')), '((0 - a) * b)')
  assert.equal(shown(parsed('a - -1')), '(a - -1)')
})

test('texts stand in either quotes, with a backslash before a quote or a backslash', () => {
  assert.equal(valueOf(`"it's"`), "it's")
  assert.equal(valueOf(`'say "x"'`), 'say "x"')
  assert.equal(valueOf(String.raw`'it\'s a \\ and \"'`), 'it\'s a \\ and "')
})

test('numbers have digits, one point and an exponent', () => {
  assert.deepEqual(
    ['0', '12.50', '1e3', '2.5E-1'].map((text) => valueOf(text)),
    [0, 12.5, 1000, 0.25],
  )
})

test('blanks and line breaks are free between words, and names may be words after a dot', () => {
  assert.equal(shown(parsed('\n  event.in\r\n\tnot  in\tb.or.not \n')), '(event.in not in b.or.not)')
})

test('the paths of an expression are told with their places', () => {
  const outcome = parseExpression('cost.spent_usd > 1 and event.name == "x"')
  assert(outcome.kind === 'parsed')
  assert.deepEqual(outcome.paths, [
    { segments: ['cost', 'spent_usd'], offset: 0 },
    { segments: ['event', 'name'], offset: 23 },
  ])
})

test('a comparison is not compared again', () => {
  assertBroken('a < b < c', 6, /comparison of a comparison/)
  assertBroken('a == b not in c', 7, /comparison of a comparison/)
})

for (const [text, offset, reason] of [
  ['', 0, /empty/],
  [' \n', 0, /empty/],
  ['a and', 5, /ends where a value is missing/],
  ['a ==', 4, /ends where a value is missing/],
  ['(a or b', 0, /never closed/],
  ['a or b)', 6, /`\)` where it does not belong/],
  ['()', 1, /`\)` where it does not belong/],
  ['a b', 2, /value after a value/],
  ['a "b"', 2, /value after a value/],
  ['a or or b', 5, /`or` where it does not belong/],
  ['a == not b', 5, /`not` within a comparison/],
  ['a not b', 2, /`not` between two values/],
  ['+1', 0, /`\+` where it does not belong/],
  ['"open', 0, /not closed/],
  ['"two\nlines"', 0, /not closed/],
  [String.raw`"a\n"`, 2, /unknown escape/],
  ['"a\\', 2, /unknown escape/],
  ['1.', 1, /a number ends in/],
  ['1.2.3', 3, /a number ends in/],
  ['12px', 2, /a number ends in/],
  ['1e999', 0, /too large/],
  ['event.', 6, /no name after the dot/],
  ['event.0', 6, /no name after the dot/],
  ['event..name', 6, /no name after the dot/],
  ['a[0]', 1, /no indexing/],
  ['true.x', 0, /begins with the word/],
  ['max(1, 2)', 3, /is called/],
] as const) {
  test(`${JSON.stringify(text)} is refused at character ${offset}`, () => {
    assertBroken(text, offset, reason)
  })
}

for (const text of ['=', '===', '&&', '||', '!', '%', '`', '#', ';', '{', '🤖', '\0', '\u2028', '.5', '@', '$', '\\', 'é']) {
  test(`the unknown character ${JSON.stringify(text)} is refused`, () => {
    assertBroken(`a ${text} b`, 2, /means nothing here/)
  })
}

test('what other languages write is answered with what is written here', () => {
  const fixOf = (text: string): string => {
    const outcome = parseExpression(text)
    return outcome.kind === 'broken' ? outcome.fix : ''
  }
  assert.match(fixOf('a = b'), /`==`/)
  assert.match(fixOf('a && b'), /`and`/)
  assert.match(fixOf('a || b'), /`or`/)
  assert.match(fixOf('!a'), /`not`/)
})

// What each of these is stopped by: MAX_CHARACTERS, MAX_DEPTH and MAX_NODES of the parser.
test('threat row 48: parentheses, not and signs nested deeper than 32 are refused, 32 are not', () => {
  const nested = (open: string, close: string, depth: number): string => `${open.repeat(depth)}a${close.repeat(depth)}`
  for (const [open, close] of [
    ['(', ')'],
    ['not ', ''],
    ['-', ''],
    ['not (', ')'],
  ] as const) {
    parsed(nested(open, close, open === 'not (' ? 16 : 32))
    const outcome = parseExpression(nested(open, close, 400))
    assert(outcome.kind === 'broken')
    assert.match(outcome.reason, /deeper than 32/)
  }
})

test('threat row 48: chains of more than 512 parts are refused, 256 values in a chain are not', () => {
  for (const operator of [' or ', ' and ', '+', '*']) {
    parsed(Array.from({ length: 256 }, () => 'a').join(operator))
    const outcome = parseExpression(Array.from({ length: 300 }, () => 'a').join(operator))
    assert(outcome.kind === 'broken')
    assert.match(outcome.reason, /more than 512 parts/)
  }
})

test('threat row 48: texts of megabytes are refused unread', () => {
  for (const text of ['a', '(', 'not ', '"', 'a.', '1', '-', ' ', '\\'])
    assertBroken(text.repeat(1_000_000), 4096, /characters, the limit is 4096/)
})

test('threat row 48: whatever 4,096 characters hold, it is read or refused and nothing is thrown', () => {
  const pieces = [
    '(',
    ')',
    'not ',
    'and ',
    'or ',
    '"',
    "'",
    '\\',
    '-',
    '<',
    '=',
    '!',
    'a.',
    '.',
    '1',
    'e',
    ' in ',
    '\n',
    '$',
    '\ud800',
  ]
  for (let seed = 1; seed <= 2000; seed += 1) {
    let state = seed
    const text = Array.from({ length: seed % 400 }, () => {
      state = (state * 48_271) % 2_147_483_647
      return pieces[state % pieces.length]
    }).join('')
    const outcome = parseExpression(text)
    if (outcome.kind === 'broken') assert(outcome.offset >= 0 && outcome.offset <= text.length, text)
  }
})
