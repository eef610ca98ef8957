import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wireByName } from '../../../../src/harness/base/wires/known-wires.ts'
import { foldPieces, foldText } from './folded-bytes.ts'
import { recordedStreams } from './recorded-streams.ts'

for (const { name, wire: wireName, text } of recordedStreams) {
  test(`${name} gives the same turn wherever its bytes are cut in two`, () => {
    const wire = wireByName(wireName)
    const bytes = Buffer.from(text)
    const whole = foldText(wire, text)
    for (let at = 1; at < bytes.length; at += 1) {
      assert.deepEqual(foldPieces(wire, [bytes.subarray(0, at), bytes.subarray(at)]), whole, `cut at byte ${at}`)
    }
  })

  test(`${name} gives the same turn byte by byte`, () => {
    const wire = wireByName(wireName)
    const bytes = Buffer.from(text)
    const pieces = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
    assert.deepEqual(foldPieces(wire, pieces), foldText(wire, text))
  })

  test(`${name} never throws and never invents a call when it ends after any byte`, () => {
    const wire = wireByName(wireName)
    const bytes = Buffer.from(text)
    const calls = foldText(wire, text).tool_calls.map(({ id }) => id)
    for (let at = 0; at < bytes.length; at += 1) {
      const turn = foldPieces(wire, [bytes.subarray(0, at)])
      assert.deepEqual(
        turn.tool_calls.map(({ id }) => id),
        calls.slice(0, turn.tool_calls.length),
        `ended after byte ${at}`,
      )
    }
  })
}
