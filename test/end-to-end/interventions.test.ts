import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createKiwi, type Kiwi, KiwiError, type ThreadRow, type ThreadsClient } from '../../src/index.ts'
import type { ScenarioFunction } from '../../src/scripted-model/scenario.ts'
import { canTransition, STATUSES } from '../../src/threads/status.ts'
import type { Status } from '../../src/threads/engine.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

const WORKER = directive('worker', '<max_turns>500</max_turns><on_exceeded>escalate</on_exceeded><max_cost_usd>5</max_cost_usd>')
const SHELL = '<execute resource="shell"/><execute resource="tool" id="bash"/>'
const BOSS = directive(
  'boss',
  '<max_turns>40</max_turns><on_exceeded>stop</on_exceeded>',
  `${SHELL}<orchestration enabled="true"/>`,
)
const SLEEPER = directive('sleeper', '<max_turns>5</max_turns><on_exceeded>stop</on_exceeded>', SHELL)

function directive(name: string, cost: string, permissions = ''): string {
  return `\`\`\`xml
<directive name="${name}" version="1.0.0">
  <metadata>
    <description>A directive of the tests.</description>
    <category>tests</category>
    <author>tests</author>
    <model tier="fast"/>
    <cost>${cost}</cost>
    <permissions><execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="count_words"/>${permissions}</permissions>
  </metadata>
  <process><step name="work">Do the work.</step></process>
</directive>
\`\`\`
`
}

/** A generator with a seed, so that a failing run can be repeated (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface Opened {
  readonly project: ScriptedProject
  readonly kiwi: Kiwi
  readonly threads: ThreadsClient
  readonly call: (tool: string, parameters: Record<string, unknown>) => Promise<Record<string, unknown>>
}

async function open(t: TestContext, scenario: ScenarioFunction): Promise<Opened> {
  const project = await createScriptedProject(scenario)
  const kiwi = createKiwi({ projectPath: project.path, env: { PATH: process.env['PATH'], ...project.options.env } })
  t.after(async () => {
    await kiwi.close()
    await project.close()
  })
  for (const [name, text] of Object.entries({ worker: WORKER, boss: BOSS, sleeper: SLEEPER })) {
    writeFileSync(join(project.path, '.ai', 'directives', `${name}.md`), text)
    assert.equal((await project.run('sign', 'directive', name)).code, 0)
  }
  return {
    project,
    kiwi,
    threads: kiwi.threads(project.path),
    async call(tool, parameters) {
      const result = await kiwi
        .kernel(project.path)
        .execute({ item_type: 'tool', item_id: tool, parameters: parameters as never })
      if (!result.success) throw new KiwiError(result.error.code, result.error.message)
      return result['result'] as Record<string, unknown>
    },
  }
}

/** Nobody else sleeps for exactly so long. */
const NAP_SECONDS = String(80_000 + (process.pid % 10_000))

/** Processes that sleep so: the commands of `sleeper`, seen from outside of their sandboxes. */
function sleepers(): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${NAP_SECONDS}\0`
    } catch {
      // It has ended meanwhile, or is no process.
      return false
    }
  })
}

/** Every state that the log tells of follows from the one before, and no number is left out. */
function assertLawful(threads: ThreadsClient, project: ScriptedProject, row: ThreadRow): void {
  const events = threads.events(row.thread_id, { limit: 10_000 })
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, index) => index + 1),
    `${row.thread_id} has a gap in its log`,
  )
  assert.ok(STATUSES.includes(row.status))
  let last: Status = 'spawning'
  for (const { event_type: type, payload } of events) {
    const { status } = payload
    if (type !== 'status' || typeof status !== 'string' || status === last) continue
    const next: Status | undefined = STATUSES.find((candidate) => candidate === status)
    assert.ok(next !== undefined && canTransition(last, next), `${row.thread_id} went from ${last} to ${status}`)
    last = next
  }
  assert.equal(last, row.status)
  const lines = readFileSync(join(project.path, row.transcript_path), 'utf8').trimEnd().split('\n')
  const seqs = lines.map((line) => (JSON.parse(line) as { readonly seq: number }).seq)
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
    `${row.thread_id} has a gap in its transcript`,
  )
}

test('50 interventions at random on 20 running threads leave each in a legal state with a log without gaps', async (t) => {
  const seed = Date.now() % 100_000
  t.diagnostic(`seed ${seed}`)
  const random = randomOf(seed)
  let asked = 0
  const { project, threads, call } = await open(t, () => {
    asked += 1
    const text = `word ${asked} `
    return {
      reply: {
        text,
        delay_ms: 15,
        piece_chars: 4,
        tool_calls: [{ name: 'execute', arguments: { item_type: 'tool', item_id: 'count_words', parameters: { text } } }],
      },
    }
  })
  const ids: string[] = []
  for (let index = 0; index < 20; index += 1)
    ids.push(String((await call('thread_directive', { directive_name: 'worker' }))['thread_id']))
  const actions: readonly ((id: string, index: number) => Promise<unknown>)[] = [
    (thread_id, index) => call('inject_message', { thread_id, content: `note ${index}`, reason: 'test' }),
    (thread_id) => call('pause_thread', { thread_id, reason: 'test' }),
    (thread_id) => call('resume_thread', { thread_id, inject_message: 'go on' }),
    (thread_id) => call('cancel_thread', { thread_id, mode: 'graceful' }),
    (thread_id) => call('cancel_thread', { thread_id, mode: 'now' }),
    (thread_id) => call('raise_budget', { thread_id, add_turns: 5, reason: 'test' }),
    (thread_id) => call('retry_thread', { thread_id, message: 'again' }),
    (thread_id) => call('fork_thread', { thread_id, at_seq: 3, message: 'another way' }),
    (thread_id) => call('add_sink', { thread_id, destination: { type: 'null_sink' } }),
    (thread_id) => call('read_transcript', { thread_id, last_n: 5 }),
  ]
  const outcomes = await Promise.allSettled(
    Array.from({ length: 50 }, async (_, index) => actions[random(actions.length)]?.(ids[random(ids.length)] ?? '', index)),
  )
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  for (const error of refused) {
    assert.ok(error instanceof KiwiError, String(error))
    assert.equal(error.code, 'ILLEGAL_TRANSITION', error.message)
  }
  t.diagnostic(`${50 - refused.length} of 50 were taken`)
  // What was asked for before may end a thread between the look and the cancel.
  const ended = await Promise.allSettled(
    threads.list({ limit: 1000 }).map(({ thread_id }) => call('cancel_thread', { thread_id, mode: 'now' })),
  )
  assert.ok(ended.every((one) => one.status === 'fulfilled' || (one.reason as KiwiError).code === 'ILLEGAL_TRANSITION'))
  const all = threads.list({ limit: 1000 })
  const rows = await threads.wait(
    all.map(({ thread_id }) => thread_id),
    { timeoutMs: 30_000 },
  )
  assert.ok(rows.length >= 20)
  for (const row of rows) assert.ok(['completed', 'error', 'cancelled'].includes(row.status), `${row.thread_id} is ${row.status}`)
  for (const row of rows) assertLawful(threads, project, row)
})

test('a tree of 20 children and their processes is gone soon after its cancel', async (t) => {
  const { project, threads, call } = await open(t, ({ firstUserText, turn }) => {
    if (firstUserText.startsWith('<directive name="sleeper"'))
      return {
        reply: {
          tool_calls: [
            {
              name: 'execute',
              arguments: { item_type: 'tool', item_id: 'bash', parameters: { command: `sleep ${NAP_SECONDS}` } },
            },
          ],
        },
      }
    if (turn > 5)
      return {
        reply: {
          tool_calls: [
            { name: 'execute', arguments: { item_type: 'tool', item_id: 'count_words', parameters: { text: String(turn) } } },
          ],
          delay_ms: 200,
        },
      }
    const spawns = Array.from({ length: 4 }, () => ({
      name: 'execute',
      arguments: { item_type: 'tool', item_id: 'thread_directive', parameters: { directive_name: 'sleeper' } },
    }))
    return { reply: { tool_calls: spawns } }
  })
  const root = String((await call('thread_directive', { directive_name: 'boss' }))['thread_id'])
  const deadline = performance.now() + 60_000
  while (sleepers().length < 20) {
    if (performance.now() > deadline) throw new Error(`${sleepers().length} of 20 processes came to run.`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const begun = performance.now()
  await call('cancel_thread', { thread_id: root, mode: 'now', reason: 'test' })
  const rows = await threads.wait(
    threads.list({ limit: 100 }).map(({ thread_id }) => thread_id),
    { timeoutMs: 30_000 },
  )
  while (sleepers().length > 0) {
    if (performance.now() - begun > 30_000) throw new Error('Processes outlived the cancel.')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.diagnostic(`21 threads and their processes were gone after ${Math.round(performance.now() - begun)} ms`)
  assert.equal(rows.length, 21)
  for (const row of rows) assert.equal(row.status, 'cancelled')
  for (const row of rows) assertLawful(threads, project, row)
})
