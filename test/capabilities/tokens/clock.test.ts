import assert from 'node:assert/strict'
import test from 'node:test'
import { createSteadyClock } from '../../../src/capabilities/tokens/steady-clock.ts'
import { grants, MINUTE_MS, type Office, openOffice } from './fixture.ts'

const HOUR_MS = 60 * MINUTE_MS

async function running(office: Office): Promise<{ token: string; authority: Awaited<ReturnType<Office['host']>>['authority'] }> {
  const { authority } = await office.host()
  await office.spawn('one')
  const declared = grants({ 'fs.read': ['docs/**'] })
  await authority.mint({ threadId: 'one', directiveId: 'work', parentThreadId: null, declared })
  return { authority, token: await authority.current('one') }
}

test('threat row 45: a clock that is set back an hour does not lengthen the life of a token', async (t) => {
  // Guard: `createSteadyClock`. With the clock of the machine alone the token lives for 75 minutes.
  const office = await openOffice(t)
  const { authority, token } = await running(office)
  office.clock.wallMs -= HOUR_MS
  office.clock.monotonicMs += 14 * MINUTE_MS
  assert.equal((await authority.verify(token)).threadId, 'one')
  office.clock.monotonicMs += MINUTE_MS
  await assert.rejects(authority.verify(token), /it has expired/)
})

test('threat row 45: a clock that is set forward a day ends the tokens, and running threads get new ones', async (t) => {
  // Guard: `current` renews what has expired. Without it every running thread fails at its next call.
  const office = await openOffice(t)
  const { authority, token } = await running(office)
  office.clock.wallMs += 24 * HOUR_MS
  await assert.rejects(authority.verify(token), /it has expired/)
  assert.equal((await authority.verify(await authority.current('one'))).threadId, 'one')
})

test('threat row 45: a clock that goes forward a day and back again leaves no token that outlives its 15 minutes', async (t) => {
  // Guard: `createSteadyClock` goes on from the latest time that was seen. Without it the token of the wrong day lives for a day.
  const office = await openOffice(t)
  const { authority } = await running(office)
  office.clock.wallMs += 24 * HOUR_MS
  const token = await authority.current('one')
  office.clock.wallMs -= 24 * HOUR_MS
  assert.equal((await authority.verify(token)).threadId, 'one')
  office.pass(15 * MINUTE_MS)
  await assert.rejects(authority.verify(token), /it has expired/)
})

test('threat row 45: a step of 60 seconds ends no token of a running thread', async (t) => {
  // Guard: the life of a token is longer than any ordinary step of the clock; with a life of a minute every thread would expire.
  const office = await openOffice(t)
  const { authority, token } = await running(office)
  office.clock.wallMs += MINUTE_MS
  assert.equal(await authority.current('one'), token)
  assert.equal((await authority.verify(token)).threadId, 'one')
  office.clock.wallMs -= 2 * MINUTE_MS
  assert.equal((await authority.verify(await authority.current('one'))).threadId, 'one')
})

test('threat row 45: a machine that slept wakes up with expired tokens, although its monotonic clock stood still', async (t) => {
  // Guard: the steady clock follows the clock of the machine forward. By the monotonic clock alone the token would still be good.
  const office = await openOffice(t)
  const { authority, token } = await running(office)
  office.clock.wallMs += 8 * HOUR_MS
  await assert.rejects(authority.verify(token), /it has expired/)
})

test('a steady clock never goes back and never stands still', () => {
  const source = { wallMs: 10_000, monotonicMs: 0 }
  const now = createSteadyClock({ now: () => source.wallMs, monotonicMs: () => source.monotonicMs })
  source.wallMs = 0
  source.monotonicMs = 250.5
  assert.equal(now(), 10_250)
  source.monotonicMs = 500.5
  assert.equal(now(), 10_500)
  source.wallMs = 20_000
  assert.equal(now(), 20_000)
})
