import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Json } from '../../src/json.ts'
import { createScriptedProject, type ScriptedProject } from './scripted-project.ts'
import { spawnedThread, writeWalk } from './walking.ts'

let project: ScriptedProject

before(async () => {
  // Every turn counts a longer text, so that a thread goes on until it is stopped or told to finish.
  project = await createScriptedProject((conversation) => {
    const { firstUserText, lastUserText, turn, results } = conversation
    if (lastUserText.includes('finish')) return { reply: { text: 'finished' } }
    if (firstUserText.includes('<directive name="leads"')) {
      if (turn === 1)
        return {
          reply: {
            tool_calls: ['cancel', 'detach'].map((end) =>
              executes('thread_directive', { directive_name: 'walks', on_parent_end: end }),
            ),
          },
        }
      const ids = results.flatMap(({ content }) => /"thread_id":"([\w-]+)"/u.exec(content)?.[1] ?? [])
      return { reply: { tool_calls: [executes('wait_thread', { thread_ids: ids })] } }
    }
    return {
      reply: {
        text: `walking, turn ${turn}`,
        tool_calls: [executes('count_words', { text: 'word '.repeat(turn) })],
        delay_ms: 20,
      },
    }
  })
  await writeWalk(project, { name: 'walks', cost: '<max_turns>5000</max_turns><on_exceeded>stop</on_exceeded>' })
  await writeWalk(project, { name: 'short', cost: '<max_turns>2</max_turns><on_exceeded>stop</on_exceeded>' })
  await writeWalk(project, { name: 'asks_first', cost: '<max_turns>2</max_turns><on_exceeded>escalate</on_exceeded>' })
  await writeWalk(project, {
    name: 'leads',
    cost: '<max_turns>9</max_turns><on_exceeded>stop</on_exceeded>',
    permissions: '<orchestration enabled="true"></orchestration>',
  })
})
after(() => project.close())

function executes(
  id: string,
  parameters: Readonly<Record<string, Json>>,
): { name: string; arguments: Readonly<Record<string, Json>> } {
  return { name: 'execute', arguments: { item_type: 'tool', item_id: id, parameters } }
}

interface Shown {
  readonly thread_id: string
  readonly status: string
  readonly turn: number
  readonly end_reason: string | null
  readonly parent_thread_id: string | null
  readonly chain_id: string
  readonly allowed_actions: readonly string[]
  readonly children: readonly { readonly thread_id: string; readonly on_parent_end: string }[]
  readonly chain: readonly { readonly thread_id: string }[]
  readonly events: readonly { readonly event_type: string; readonly payload: Record<string, unknown> }[]
}

/** What a verb prints as JSON; the tests read what they expect of it. */
async function json<T>(...args: string[]): Promise<T> {
  const { stdout, stderr } = await project.run(...args, '-o', 'json')
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout) as T
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, 'what was waited for did not come')
    await delay(100)
  }
}

const show = (id: string): Promise<Shown> => json<Shown>('show', id)

/** The interventions that the log has, as `[action, by, reason]`. */
async function interventions(id: string): Promise<readonly (readonly unknown[])[]> {
  const { stdout } = await project.run('tail', id, '--since', '0', '--type', 'intervention', '-o', 'json')
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Shown['events'][number])
  return events.map(({ payload }) => [payload['action'], (payload['by'] as { door?: string }).door, payload['reason']])
}

test('every verb that does something to a thread logs who did it and why', async () => {
  const id = await spawnedThread(project, 'walks')
  assert.equal((await project.run('pause', id, '--message', 'wait for it', '--reason', 'lunch')).code, 0)
  assert.equal((await project.run('wait', id, '--timeout', '60')).code, 5)
  assert.deepEqual((await show(id)).allowed_actions, ['read', 'inject', 'resume', 'cancel', 'raise_budget', 'add_sink', 'fork'])
  const again = await project.run('pause', id)
  assert.match(again.stderr, /ILLEGAL_TRANSITION/u)
  assert.equal((await project.run('raise', id, '--add-turns', '5', '--add-tokens', '100', '--reason', 'more room')).code, 0)
  assert.equal((await project.run('sink', id, 'file', '--path', 'out/{thread_id}.jsonl', '--reason', 'to look')).code, 0)
  assert.equal((await project.run('inject', id, 'finish', '--reason', 'enough')).code, 0)
  assert.equal((await project.run('resume', id, '--add-seconds', '9', '--reason', 'back')).code, 0)
  assert.equal((await project.run('wait', id, '--timeout', '60')).code, 0)
  assert.deepEqual(await interventions(id), [
    ['pause', 'cli', 'lunch'],
    ['budget', 'cli', 'more room'],
    ['sink', 'cli', 'to look'],
    ['inject', 'cli', 'enough'],
    ['resume', 'cli', 'back'],
  ])
  assert.match(readFileSync(join(project.path, 'out', `${id}.jsonl`), 'utf8'), /finished/u)
})

test('retry and fork follow the new thread, and show its place in the chain', async () => {
  const first = await project.run('run', 'short')
  assert.equal(first.code, 4, first.stderr)
  const id = /^thread (\S+)$/mu.exec(first.stderr)?.[1] ?? ''
  const retried = await project.run('retry', id, 'now finish', '--reason', 'second go')
  assert.deepEqual([retried.code, retried.stdout], [0, 'finished\n'], retried.stderr)
  assert.match(retried.stderr, new RegExp(`^thread ${id}_r1$`, 'mu'))
  const { stdout } = await project.run('tail', id, '--type', 'turn_end', '-o', 'json')
  const { seq } = JSON.parse(stdout.split('\n')[0] ?? '') as { seq: number }
  const fork = await project.run('fork', id, 'finish here', '--at', String(seq), '--detach')
  assert.deepEqual([fork.code, fork.stdout.trim()], [0, `${id}_f1`], fork.stderr)
  assert.equal((await project.run('wait', `${id}_f1`, '--timeout', '60')).code, 0)
  const shown = await show(`${id}_f1`)
  assert.deepEqual(
    shown.chain.map(({ thread_id: member }) => member),
    [id, `${id}_r1`, `${id}_f1`],
  )
  assert.deepEqual(shown.allowed_actions, ['read', 'retry', 'fork'])
  assert.deepEqual(await interventions(id), [
    ['retry', 'cli', 'second go'],
    ['fork', 'cli', null],
  ])
  const refused = await project.run('fork', id, '--at', '99999')
  assert.equal(refused.code, 2, refused.stderr)
  assert.match((await project.run('fork', id)).stderr, /--at SEQ or --checkpoint NAME/u)
})

test('a raised limit lets a thread go on that waits for just that', async () => {
  const { code, stderr } = await project.run('run', 'asks_first')
  assert.equal(code, 5, stderr)
  const id = /^thread (\S+)$/mu.exec(stderr)?.[1] ?? ''
  const { turn, allowed_actions: allowed } = await show(id)
  assert.ok(allowed.includes('answer') && allowed.includes('raise_budget'))
  assert.equal((await project.run('raise', id, '--add-turns', '1')).code, 0)
  await eventually(async () => (await show(id)).turn > turn)
  assert.equal((await project.run('cancel', id, '--now')).code, 0)
})

test('a tree shows what is below a thread, and a cancel says what it reaches and what goes on', async () => {
  const id = await spawnedThread(project, 'leads')
  await eventually(async () => (await show(id)).children.length === 2)
  const { children } = await show(id)
  const detached = children.find(({ on_parent_end: end }) => end === 'detach')?.thread_id ?? ''
  const tree = await project.run('ps', '--tree')
  assert.match(tree.stdout, new RegExp(`^${id} .*\n├─ walks_.*\n└─ walks_`, 'mu'))
  assert.match(tree.stdout, new RegExp(`${detached} \\(detached\\)`, 'u'))
  const cancelled = await json<{ result: { reached: number; detached: readonly string[] } }>(
    'cancel',
    id,
    '--now',
    '--reason',
    'enough',
  )
  assert.deepEqual([cancelled.result.reached, cancelled.result.detached], [2, [detached]])
  await eventually(async () => (await show(id)).status === 'cancelled')
  assert.equal((await show(detached)).status, 'running')
  assert.equal((await project.run('cancel', detached, '--now')).code, 0)
})
