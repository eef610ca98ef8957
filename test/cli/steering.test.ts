import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { finished, startKiwi } from './kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from './scripted-project.ts'
import { spawnedThread, writeWalk } from './walking.ts'

let project: ScriptedProject
let lastRequest = ''
let refusals = 0

before(async () => {
  // Every turn counts a longer text, so that a thread goes on until it is stopped; a user who says so gets a hostile answer.
  project = await createScriptedProject((conversation, { body }) => {
    lastRequest = JSON.stringify(body)
    // Twice, because the first refusal may come before the shell has begun to listen.
    if (conversation.lastUserText.includes('but refuse first') && refusals++ < 2)
      return { fault: { kind: 'status', status: 429, retry_after_seconds: 1 } }
    if (conversation.lastUserText.includes('finish'))
      return { reply: { text: 'done\u001B]52;c;ZXZpbA==\u0007\u001B[2J\u202E ok' } }
    const text = 'word '.repeat(conversation.turn)
    const call = { name: 'execute', arguments: { item_type: 'tool', item_id: 'count_words', parameters: { text } } }
    return { reply: { text: `walking, turn ${conversation.turn}`, tool_calls: [call], delay_ms: 20 } }
  })
  await writeWalk(project, { name: 'long_walk', cost: '<max_turns>5000</max_turns><on_exceeded>stop</on_exceeded>' })
  await writeWalk(project, { name: 'asks_first', cost: '<max_turns>2</max_turns><on_exceeded>escalate</on_exceeded>' })
})
after(() => project.close())

async function rowOf(id: string): Promise<{ readonly status: string; readonly turn: number }> {
  return JSON.parse((await project.run('show', id, '-o', 'json')).stdout)
}

/** Asks again until it holds; the deadline is far beyond what a thread takes. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, 'what was waited for did not come')
    await delay(100)
  }
}

test('Ctrl-C detaches: exit 130, the way back is said, and the thread goes on', async () => {
  const child = startKiwi(['run', 'long_walk'], project.options)
  const ended = finished(child)
  child.stderr.on('data', (chunk: Buffer) => {
    if (chunk.includes('walking, turn 2')) child.kill('SIGINT')
  })
  const { code, stderr } = await ended
  const id = /^thread (\S+)$/mu.exec(stderr)?.[1] ?? ''
  assert.equal(code, 130)
  assert.match(stderr, new RegExp(`kiwi tail -f ${id} .*kiwi cancel ${id}`, 'u'))
  const { turn } = await rowOf(id)
  await eventually(async () => (await rowOf(id)).turn > turn)
  assert.equal((await project.run('cancel', id, '--now')).code, 0)
  assert.equal((await project.run('wait', id, '--timeout', '60')).code, 1)
})

test('a thread is paused, told something, resumed and cancelled from the shell', async () => {
  const id = await spawnedThread(project, 'long_walk')
  assert.equal((await project.run('pause', id, '--reason', 'lunch')).code, 0)
  assert.equal((await project.run('wait', id, '--timeout', '60')).code, 5)
  assert.equal((await rowOf(id)).status, 'paused')
  assert.equal((await project.run('inject', id, 'mind the gap', '--role', 'system')).code, 0)
  assert.equal((await project.run('resume', id, '--message', 'walk on')).code, 0)
  await eventually(async () => /mind the gap.*walk on/su.test(lastRequest))
  assert.equal((await project.run('cancel', id)).code, 0)
  const waited = await project.run('wait', id, '--timeout', '60', '-o', 'json')
  assert.deepEqual([waited.code, JSON.parse(waited.stdout)[0].status], [1, 'cancelled'])
})

test('wait gives up with exit 1 when its time is over, and the thread goes on', async () => {
  const id = await spawnedThread(project, 'long_walk')
  const waited = await project.run('wait', id, '--timeout', '0.2')
  assert.equal(waited.code, 1)
  assert.match(waited.stderr, /still (running|spawning) after 0.2 s; it goes on/u)
  assert.equal((await project.run('cancel', id, '--now')).code, 0)
})

test('a thread that reaches its turn limit exits 4', async () => {
  const { code, stderr } = await project.run('run', 'hello_kiwi')
  assert.equal(code, 4, stderr)
  assert.match(stderr, /status\s+error \(max_turns\)/u)
})

test('a thread that asks for a person exits 5, and more turns let it go on', async () => {
  const { code, stderr } = await project.run('run', 'asks_first')
  assert.equal(code, 5, stderr)
  const id = /^thread (\S+)$/mu.exec(stderr)?.[1] ?? ''
  assert.match(stderr, new RegExp(`${id} needs you.*kiwi approve budget_.*kiwi resume ${id}`, 'su'))
  const { turn } = await rowOf(id)
  assert.equal((await project.run('resume', id, '--add-turns', '1')).code, 0)
  await eventually(async () => (await rowOf(id)).turn > turn)
})

test('threat row 33: a hostile answer reaches the terminal without its escape sequences', async () => {
  const { code, stdout, stderr } = await project.run('run', 'long_walk', 'finish')
  assert.deepEqual([code, stdout], [0, 'done ok\n'])
  assert.doesNotMatch(stderr, /(?![\n\t])[\p{Cc}\u202E]/u)
  const json = await project.run('run', 'long_walk', 'finish', '-o', 'json')
  assert.equal(json.code, 0, json.stdout)
  assert.match(JSON.parse(json.stdout).result.text, /\u202E ok$/u)
  assert.doesNotMatch(json.stdout, /(?!\n)[\p{Cc}\u202E]/u)
})

test('while a model refuses, the shell says why it is quiet and for how long', async () => {
  const { code, stderr } = await project.run('run', 'long_walk', 'finish, but refuse first')
  assert.equal(code, 0, stderr)
  assert.match(stderr, /429.*Trying again in \d+\.\d s\./)
})
