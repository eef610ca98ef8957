import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { hostControl } from '../../src/compose-host.ts'
import type { ScenarioFunction } from '../../src/scripted-model/scenario.ts'
import { CALCULATOR, openHarnessProject, type HarnessProject } from '../harness/custom/harness-project.ts'

const TURNS = 10
const KILLS = 4

/** Adds until it has answered so often. */
function adding(turns: number, seen: number[] = []): ScenarioFunction {
  return ({ turn }) => {
    seen.push(turn)
    if (turn > turns) return { reply: { text: 'That is the sum.' } }
    return { reply: { text: 'One more.', tool_calls: [{ name: 'add', arguments: { a: turn, b: 1 } }], delay_ms: 3 } }
  }
}

async function killHost({ project }: HarnessProject): Promise<void> {
  const status = await hostControl(project.options.env ?? {}).status()
  const pid = Number(status?.['pid'])
  assert.ok(pid > 1, 'a host runs')
  process.kill(pid, 'SIGKILL')
  while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await delay(5)
}

function answersOf({ threads }: HarnessProject, id: string): number {
  return threads.messages(id).filter(({ role }) => role === 'assistant').length
}

test('a thread of a custom harness whose host is killed again and again pays no answered model call twice, and completes', async (t) => {
  const seen: number[] = []
  const at = await openHarnessProject(t, adding(TURNS, seen))
  // A turn is long enough to be killed between its answer and its end.
  await at.install(
    'slow',
    CALCULATOR.replace('const { a, b } = given', 'await new Promise((go) => setTimeout(go, 200)); const { a, b } = given'),
  )
  const id = await at.spawn('killed', { harness: 'slow', initial_message: 'Add.' })
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const enough = Math.floor((kill * TURNS) / (KILLS + 1))
    await at.until(`${enough} answers`, () => answersOf(at, id) >= enough)
    await killHost(at)
    const recorded = answersOf(at, id)
    const requestsBefore = seen.length
    void at.threads.wait([id], { timeoutMs: 1 })
    await at.until('the next host goes on', () => answersOf(at, id) > recorded)
    const repeated = seen.slice(requestsBefore).filter((turn) => turn <= recorded)
    assert.deepEqual(repeated, [], `an answered call was made again after kill ${kill}`)
  }
  const row = await at.end(id)
  assert.deepEqual([row.status, row.end_reason, row.turn], ['completed', 'done', TURNS + 1])
  assert.equal(answersOf(at, id), TURNS + 1)
  const results = at.threads.messages(id).filter(({ role }) => role === 'tool_result')
  assert.deepEqual(
    results.map(({ content }) => (content as { readonly content: string }).content),
    Array.from({ length: TURNS }, (_, index) => String(index + 2)),
  )
})

test('a thread of a custom harness is paused, told something, resumed and cancelled like any other', async (t) => {
  const at = await openHarnessProject(t, ({ lastUserText, turn }) =>
    lastUserText.includes('stop')
      ? { reply: { text: 'I stop.' } }
      : { reply: { tool_calls: [{ name: 'add', arguments: { a: turn, b: 1 } }], delay_ms: 5 } },
  )
  const more = { initial_message: 'Add on and on.', cost: { max_turns: 100_000, on_exceeded: 'stop' } }
  const id = await at.spawn('steered', more)
  await at.until('two answers', () => answersOf(at, id) >= 2)
  assert.equal((await at.project.run('pause', id)).code, 0)
  await at.until('it is paused', () => at.threads.get(id).status === 'paused')
  assert.equal((await at.project.run('inject', id, 'Now stop.')).code, 0)
  assert.equal(at.threads.get(id).status, 'paused')
  assert.equal((await at.project.run('resume', id)).code, 0)
  const row = await at.end(id)
  assert.deepEqual([row.status, row.result], ['completed', { text: 'I stop.' }])
  assert.equal(at.threads.events(id, { type: 'injected_message' }).length, 1)

  const endless = await at.spawn('endless', more)
  await at.until('an answer', () => answersOf(at, endless) >= 1)
  await at.project.run('cancel', endless)
  assert.equal((await at.end(endless)).status, 'cancelled')
})
