import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createRedactor } from '../../../src/capabilities/secrets/redactor.ts'

const PLAIN = 'ghp_0123456789abcdefABCDEF'
const redactor = createRedactor([{ name: 'PLAIN_TOKEN', value: PLAIN }])

const textEvent = (text: string): { data: string } => ({
  data: JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
})
const chunk = (content: string): { data: string } => ({
  data: JSON.stringify({ id: 'chatcmpl-1', model: 'm', choices: [{ index: 0, delta: { content } }], obfuscation: 'x7' }),
})
const ping = { data: '{"type":"ping"}' }

const through = (events: readonly { data: string }[]): readonly { data: string }[] => {
  const redaction = redactor.events<{ data: string }>()
  return [...events.flatMap((event) => redaction.push(event)), ...redaction.end()]
}
/** What a reader of the stream gets who joins all texts. */
const joined = (events: readonly { data: string }[]): string =>
  events
    .map(({ data }) => JSON.parse(data))
    .map((event) => event.delta?.text ?? event.choices?.[0].delta.content ?? '')
    .join('')

const pieces = (text: string, size: number): readonly string[] => text.match(new RegExp(`.{1,${size}}`, 'gs')) ?? []

describe('redaction of raw events', () => {
  for (const make of [textEvent, chunk]) {
    test(`a secret that is split over events is not left in what is joined (${make.name})`, () => {
      for (let size = 1; size <= 40; size += 1) {
        const shown = through(pieces(`before ${PLAIN}; after`, size).map(make))
        assert.equal(joined(shown), 'before [secret:PLAIN_TOKEN]; after', `pieces of ${size}`)
      }
    })
  }

  test('a secret that is split in two is found wherever it is cut, and however it is spelled', () => {
    const spellings = [
      encodeURIComponent(`${PLAIN}/`),
      Array.from(PLAIN, (c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
      Array.from(PLAIN, (c) => `\\u00${c.charCodeAt(0).toString(16)}`).join(''),
      Buffer.from(`ab${PLAIN}yz`).toString('base64'),
    ]
    for (const spelling of spellings) {
      for (let cut = 0; cut <= spelling.length; cut += 1) {
        const shown = joined(through([textEvent(`(${spelling.slice(0, cut)}`), textEvent(`${spelling.slice(cut)})`)]))
        assert.match(shown, /^\(.{0,4}\[secret:PLAIN_TOKEN\].{0,5}\)$/, `${spelling} at ${cut}: ${shown}`)
      }
    }
  })

  test('a ping between the pieces does not hide a secret', () => {
    const shown = through([textEvent(PLAIN.slice(0, 9)), ping, textEvent(PLAIN.slice(9))])
    assert.deepEqual(
      shown.map(({ data }) => data),
      [textEvent('[secret:PLAIN_TOKEN]').data, ping.data, textEvent('').data],
    )
  })

  test('events without secrets leave as the objects they came as, in order and at once', () => {
    const redaction = redactor.events<{ data: string }>()
    const beat = { data: '{"type":"heartbeat"}' }
    for (const event of [textEvent('Hello'), beat, textEvent(' there.'), { data: 'no JSON' }, { data: '[DONE]' }, { data: '' }])
      assert.deepEqual(redaction.push(event), [event])
    assert.deepEqual(redaction.end(), [])
  })

  test('an event that only looked like the beginning of a secret leaves unchanged with the next one', () => {
    const redaction = redactor.events<{ data: string }>()
    const first = textEvent('see gh')
    const second = textEvent(' and so on')
    const third = textEvent('.')
    assert.deepEqual(redaction.push(first), [])
    const left = [...redaction.push(second), ...redaction.push(third), ...redaction.end()]
    assert.deepEqual(left, [first, second, third])
    assert.equal(left[0], first)
  })

  test('what is held is bounded, and all of it leaves at the end', () => {
    const redaction = redactor.events<{ data: string }>()
    const events = Array.from({ length: 3000 }, (_, index) => textEvent(index === 0 ? PLAIN.slice(0, 12) : ''))
    const left = [...events.flatMap((event) => redaction.push(event)), ...redaction.end()]
    assert.deepEqual(left, events)
  })
})
