import assert from 'node:assert/strict'
import { test } from 'node:test'
import { visibleText } from '../../src/cli/terminal-text.ts'

test('threat row 33: nothing that a font leaves out goes unseen in a text that somebody decides on', () => {
  // Without UNSEEN in terminal-text.ts the first four stay as they are.
  const hidden = ['\u{E0100}', '\u2800', '\u034F', '\u3164', '\u202E', '\u200B']
  for (const character of hidden) assert.match(visibleText(`rm${character} -r`), /^rm(?:\\u[0-9a-f]{4})+ -r$/u)
  assert.equal(visibleText('é 日本 😀\tline\nline'), 'é 日本 😀\tline\nline')
})
