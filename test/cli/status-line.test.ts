import assert from 'node:assert/strict'
import type { WriteStream } from 'node:tty'
import { test } from 'node:test'
import { createStatusLine } from '../../src/cli/status-line.ts'

function screenOn(stream: { readonly isTTY: boolean }, env: NodeJS.ProcessEnv = {}) {
  const written: string[] = []
  // Only `isTTY` and `columns` of the stream are read.
  const target = { ...stream, columns: 40 } as unknown as WriteStream
  return { screen: createStatusLine(target, (text) => written.push(text), env), text: () => written.join('') }
}

test('without a terminal only the text itself is written', () => {
  const { screen, text } = screenOn({ isTTY: false })
  screen.set('turn 1')
  screen.write('half a ')
  screen.line('note')
  screen.close()
  assert.equal(text(), 'half a \nnote\n')
})

test('on a terminal the status is erased before text and drawn again below it', () => {
  const { screen, text } = screenOn({ isTTY: true })
  screen.set('turn 1')
  screen.write('token')
  screen.close()
  assert.match(text(), /turn 1.*\p{Cc}\[Jtoken.*turn 1.*\p{Cc}\[J\n$/su)
})

test('NO_COLOR draws no colour and TERM=dumb no status at all', () => {
  const plain = screenOn({ isTTY: true }, { NO_COLOR: '1' })
  plain.screen.set('turn 1')
  assert.doesNotMatch(plain.text(), /\p{Cc}\[\d*m/u)
  const dumb = screenOn({ isTTY: true }, { TERM: 'dumb' })
  dumb.screen.set('turn 1')
  assert.equal(dumb.text(), '')
})

test('a status longer than the terminal is cut, so that it cannot wrap', () => {
  const { screen, text } = screenOn({ isTTY: true }, { NO_COLOR: '1' })
  screen.set('x'.repeat(100))
  assert.match(text(), /[^x]x{38}…[^x]/u)
})
