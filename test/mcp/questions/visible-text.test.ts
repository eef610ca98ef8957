import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cutText, visibleLine, visibleText } from '../../../src/mcp/questions/visible-text.ts'

test('characters that hide, reorder or steer are written as escapes, line ends and tabs stay', () => {
  assert.equal(visibleText('a\u202Eb\u200Bc\u0007\u001B[2J\r\nd\te'), 'a\\u{202E}b\\u{200B}c\\u{7}\\u{1B}[2J\nd\te')
  assert.equal(visibleText('x\u2028y\rz\u{E0041}\uD800'), 'x\\u{2028}y\\u{D}z\\u{E0041}\\u{D800}')
})

test('letters of every script stay as they are, floods of marks do not', () => {
  assert.equal(visibleText('Ærø ąß 漢字 \u0645\u0631\u062D\u0628\u0627 नमस्ते'), 'Ærø ąß 漢字 \u0645\u0631\u062D\u0628\u0627 नमस्ते')
  assert.equal(visibleText(`z${'\u0335'.repeat(10)}`), `z${'\u0335'.repeat(8)}\\u{335}\\u{335}`)
})

test('a line has no line ends', () => {
  assert.equal(visibleLine(' a\nb\tc  d\r\n'), 'a b c d')
})

test('what is cut off is counted, and no character is halved', () => {
  assert.deepEqual(cutText('abcdef', 4), { text: 'abcd… (2 more characters)', isCut: true })
  assert.deepEqual(cutText('abcd', 4), { text: 'abcd', isCut: false })
  assert.equal(cutText('abc😀', 4).text, 'abc\uFFFD… (1 more characters)')
})
