import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PassThrough } from 'node:stream'
import { createOutput } from '../../src/cli/output.ts'
import { noteOf } from '../../src/cli/event-note.ts'
import { createTerminalFilter, terminalJson, terminalLine, terminalText } from '../../src/cli/terminal-text.ts'

const ESC = '\u001B'

test('threat row 33: an OSC 52 clipboard write is removed with its payload', () => {
  assert.equal(terminalText(`before${ESC}]52;c;ZXZpbA==\u0007after`), 'beforeafter')
  assert.equal(terminalText(`before${ESC}]52;c;ZXZpbA==${ESC}\\after`), 'beforeafter')
  assert.equal(terminalText('before\u009D52;c;ZXZpbA==\u009Cafter'), 'beforeafter')
})

test('threat row 33: screen clearing, cursor movement and colours are removed', () => {
  assert.equal(terminalText(`${ESC}[2J${ESC}[H${ESC}[31mred${ESC}[0m \u009B2Jdone${ESC}c${ESC}(B`), 'red done')
})

test('threat row 33: bidirectional and invisible characters are removed from text and lines', () => {
  assert.equal(terminalText('user\u202Etxt.exe\u2066\u200B\u{E0041}'), 'usertxt.exe')
  assert.equal(terminalLine('a\u202Eb\nc\td'), 'ab c d')
})

test('threat row 33: a carriage return cannot overwrite what was printed', () => {
  assert.equal(terminalText('safe\rEVIL\r\nnext\b\b\u007F'), 'safe\nEVIL\nnext')
})

test('ordinary text, emoji sequences and other scripts stay as they are', () => {
  const text = 'naïve — 日本語 مرحبا 👩\u200D🚀\n\tindented'
  assert.equal(terminalText(text), text)
})

test('cleaning twice changes nothing more, whatever is nested in the text', () => {
  const nested = `${ESC}${ESC}[2J[2J${ESC}]0;${ESC}]0;x\u0007y\u0007z\u009B\u009B1m`
  assert.equal(terminalText(terminalText(nested)), terminalText(nested))
  assert.doesNotMatch(terminalText(nested), /(?![\n\t])\p{Cc}/u)
})

test('the filter removes a sequence at every place where its text may be cut', () => {
  const text = `one${ESC}]52;c;ZXZpbA==\u0007two${ESC}[31mthree\r\nfour\u202E${ESC}]8;;http://x${ESC}\\five`
  for (let cut = 0; cut <= text.length; cut += 1) {
    const filter = createTerminalFilter()
    const shown = filter.write(text.slice(0, cut)) + filter.write(text.slice(cut)) + filter.end()
    assert.equal(shown, 'onetwothree\nfourfive', `cut at ${cut}`)
  }
})

test('the filter passes plain text on at once and does not hold an endless sequence for ever', () => {
  const filter = createTerminalFilter()
  assert.equal(filter.write('hello'), 'hello')
  const shown = filter.write(`${ESC}]52;${'x'.repeat(10_000)}`) + filter.write('visible') + filter.end()
  assert.match(shown, /visible$/u)
})

test('JSON keeps its value and carries no raw control or bidirectional character', () => {
  const value = { text: `a${ESC}[2J\u009B2J\u202Eb\u{E0041}\nc`, list: [1, null] }
  const json = terminalJson(value)
  assert.deepEqual(JSON.parse(json), value)
  assert.doesNotMatch(json, /(?!\n)[\p{Cc}\u202E\u{E0041}]/u)
})

test('many openers in front of a terminator are cleaned in linear time', () => {
  const filter = createTerminalFilter()
  const shown = filter.write(`${'\u009D'.repeat(200_000)}\u0007${`${ESC}]`.repeat(200_000)}\u0007end`)
  assert.equal(shown + filter.end(), 'end')
})

// Fails without `terminalText` in `data` and `talk`, or without `redact`.
test('threat row 33: nothing that a verb prints steers the terminal, and no secret is printed', () => {
  const printed: string[] = []
  const stream = new PassThrough()
  stream.on('data', (chunk: Buffer) => void printed.push(chunk.toString()))
  // The output only writes to it, and asks whether it is a terminal.
  const target = stream as unknown as NodeJS.WriteStream
  const output = createOutput({
    json: false,
    stdout: target,
    stderr: target,
    redact: (text) => text.replaceAll('hidden', '[secret:X]'),
  })
  output.data(null, () => `name${ESC}]0;title\u0007 hidden\u202E`)
  output.talk(`note${ESC}[2J`)
  output.error(new Error(`tool ${ESC}[31msaid hidden`))
  assert.doesNotMatch(printed.join(''), /(?!\n)[\p{Cc}\u202E]|hidden/u)
  assert.match(printed.join(''), /name \[secret:X\]\nnote\nerror: tool said \[secret:X\]/)
})

test('threat row 33: the note on an event is one clean line whatever its tool and summary hold', () => {
  const hostile = `x${ESC}]52;c;eA==\u0007\u202E\nforged`
  for (const event_type of [
    'tool_call',
    'tool_result',
    'error',
    'permission_denied',
    'secret_blocked',
    'stream_error',
    'intervention',
    'hook_finished',
    'check_failed',
    'checkpoint',
    'anything',
  ]) {
    const note =
      noteOf(
        {
          event_type,
          payload: {
            tool: hostile,
            summary: hostile,
            message: hostile,
            code: hostile,
            reason: hostile,
            detail: hostile,
            success: true,
          },
        },
        200,
      ) ?? ''
    assert.doesNotMatch(note, /[\p{Cc}\u202E]/u, event_type)
  }
})
