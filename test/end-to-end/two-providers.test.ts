import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import type { Conversation } from '../../src/scripted-model/conversation.ts'
import type { Reply, ScenarioFunction, ScriptedUsage } from '../../src/scripted-model/scenario.ts'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import { kiwi, type Finished, type RunOptions } from '../cli/kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

const CONFIG = `models:
  max_output_tokens: 1000
  tiers:
    first: { tool: anthropic_thread, model: scripted-one }
    second: { tool: openai_thread, model: scripted-two }
  prices:
    scripted-one: { input: 3, cache_read: 0.3, cache_write_5m: 3.75, cache_write_1h: 6, output: 15 }
    scripted-two: { input: 2, cache_read: 0.5, output: 8 }
`

function directiveText(name: string, tier: string, cost: string): string {
  return `\`\`\`xml
<directive name="${name}" version="1.0.0">
  <metadata>
    <description>One of three threads</description>
    <category>test</category>
    <author>test</author>
    <model tier="${tier}"/>
    <cost><max_turns>8</max_turns><on_exceeded>stop</on_exceeded>${cost}</cost>
    <permissions><execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="*"/><orchestration enabled="true"></orchestration></permissions>
  </metadata>
  <process><step name="work">Work.</step></process>
</directive>
\`\`\`
`
}

const DIRECTIVES: Readonly<Record<string, string>> = {
  leader: directiveText('leader', 'first', '<max_cost_usd>1</max_cost_usd>'),
  on_first: directiveText('on_first', 'first', '<max_cost_usd>0.25</max_cost_usd>'),
  on_second: directiveText('on_second', 'second', ''),
}

/** The same for every call of a directive, so that the sums are known; on the second wire writing to the cache is not counted. */
const USAGE: Readonly<Record<string, ScriptedUsage>> = {
  leader: { input: 120, cache_read: 1_000, cache_write: 40, output: 30, reasoning: 0 },
  on_first: { input: 310, cache_read: 0, cache_write: 200, output: 21, reasoning: 0 },
  on_second: { input: 400, cache_read: 64, cache_write: 0, output: 17, reasoning: 9 },
}

/** Nano-dollars of one call, by the prices above: dollars per million tokens × 1,000. */
const CALL_NANO: Readonly<Record<string, number>> = {
  leader: 120 * 3_000 + 1_000 * 300 + 40 * 3_750 + 30 * 15_000,
  on_first: 310 * 3_000 + 200 * 3_750 + 21 * 15_000,
  on_second: 400 * 2_000 + 64 * 500 + (17 + 9) * 8_000,
}

function executes(...calls: readonly (readonly [string, object])[]): NonNullable<Reply['tool_calls']> {
  return calls.map(([id, parameters]) => ({
    name: 'execute',
    arguments: { item_type: 'tool', item_id: id, parameters: { ...parameters } },
  }))
}

/** Spawns one thread of each, waits for both in one call, and says what each of them said. */
function lead({ turn, results }: Conversation): Reply {
  if (turn === 1) {
    const spawns = ['on_first', 'on_second'].map((name) => ['thread_directive', { directive_name: name }] as const)
    return { tool_calls: executes(...spawns) }
  }
  if (turn === 2) {
    const ids = results.map(({ content }) => (JSON.parse(content) as { readonly thread_id: string }).thread_id)
    return { tool_calls: executes(['wait_thread', { thread_ids: ids }]) }
  }
  const waited = JSON.parse(results.at(-1)?.content ?? '{}') as {
    readonly threads: readonly { readonly result: { readonly text: string } }[]
  }
  return { text: waited.threads.map(({ result }) => result.text).join(' ') }
}

/** Takes two turns: a tool call and its result go over the thread's own wire. */
function follow({ turn, wire, model }: Conversation): Reply {
  if (turn === 1) return { tool_calls: executes(['count_words', { text: 'one two three' }]) }
  return { text: `${model} answered over ${wire}.` }
}

const scenario: ScenarioFunction = (conversation) => {
  const name = /<directive name="(\w+)"/u.exec(conversation.firstUserText)?.[1] ?? 'none'
  const usage = USAGE[name]
  const reply = name === 'leader' ? lead(conversation) : follow(conversation)
  return { reply: usage === undefined ? reply : { ...reply, usage } }
}

test('a thread on one provider waits for a child on each of two, and every account has its own prices', async (t) => {
  const project = await createScriptedProject(scenario)
  t.after(() => project.close())
  const run = await shellOf(project)
  const ran = await run('run', 'leader')
  assert.equal(ran.code, 0, ran.stderr)
  const said = /scripted-one answered over anthropic_messages\. scripted-two answered over openai_chat\./u
  assert.match(ran.stdout, said)

  const rows = JSON.parse((await run('ps', '--all', '-o', 'json')).stdout) as readonly ThreadRow[]
  const threads = new Map(rows.map((row) => [row.directive_id, row]))
  assert.deepEqual([...threads.keys()].toSorted(), ['leader', 'on_first', 'on_second'])
  assert.match(JSON.stringify(threads.get('leader')?.result), said)
  assertUsage(threads, 'leader', 3)
  assertUsage(threads, 'on_first', 2)
  assertUsage(threads, 'on_second', 2)
  assertWires(project)
  assertTree(project, threads)
})

/** The command line without the variables that would choose one model for every tier. */
async function shellOf(project: ScriptedProject): Promise<(...args: string[]) => Promise<Finished>> {
  const { KIWI_MODEL_TOOL: _tool, KIWI_MODEL: _model, ...env } = project.options.env ?? {}
  const options: RunOptions = { ...project.options, env }
  const run = (...args: string[]): Promise<Finished> => kiwi(args, options)
  const folder = join(project.path, '.ai', 'directives', 'test')
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(DIRECTIVES)) writeFileSync(join(folder, `${name}.md`), text)
  writeFileSync(join(project.path, '.ai', 'config.yaml'), CONFIG)
  for (const args of [['config'], ...Object.keys(DIRECTIVES).map((name) => ['directive', name])]) {
    const signed = await run('sign', ...args)
    assert.equal(signed.code, 0, signed.stderr)
  }
  return run
}

function assertUsage(threads: ReadonlyMap<string, ThreadRow>, name: string, calls: number): void {
  const usage = USAGE[name]
  const row = threads.get(name)
  assert.ok(usage !== undefined && row !== undefined)
  assert.deepEqual([row.status, row.end_reason, row.guarantee], ['completed', 'done', 'hard'], JSON.stringify(row.result))
  const { tool_calls: _calls, ...total } = row.total_usage
  assert.deepEqual(total, {
    input_uncached: usage.input * calls,
    cache_read: usage.cache_read * calls,
    cache_write_5m: usage.cache_write * calls,
    cache_write_1h: 0,
    output: usage.output * calls,
    reasoning: usage.reasoning * calls,
    cost_nano: (CALL_NANO[name] ?? 0) * calls,
  })
}

function assertWires(project: ScriptedProject): void {
  const asked = project.model.requests().map(({ wire, model }) => `${wire} ${model}`)
  assert.deepEqual(asked.toSorted(), [
    ...Array.from({ length: 5 }, () => 'anthropic_messages scripted-one'),
    ...Array.from({ length: 2 }, () => 'openai_chat scripted-two'),
  ])
}

/** The capped child has its own account, the other one draws on the leader's, and the leader's holds what all three spent. */
function assertTree(project: ScriptedProject, threads: ReadonlyMap<string, ThreadRow>): void {
  const database = new DatabaseSync(join(project.path, '.ai', 'threads', 'registry.db'), { readOnly: true, timeout: 5_000 })
  const rows = database.prepare('SELECT * FROM ledger').all()
  database.close()
  const account = (name: string): readonly unknown[] => {
    const row = rows.find(({ thread_id: id }) => id === threads.get(name)?.thread_id)
    return [row?.['granted_nano'], row?.['spent_nano'], row?.['reserved_nano'], row?.['escrow_nano'], row?.['own_spent_nano']]
  }
  const { leader = 0, on_first: first = 0, on_second: second = 0 } = CALL_NANO
  assert.deepEqual(account('on_first'), [250_000_000, 2 * first, 0, 0, 2 * first])
  assert.deepEqual(account('on_second'), [null, 0, 0, 0, 2 * second])
  assert.deepEqual(account('leader'), [1_000_000_000, 3 * leader + 2 * first + 2 * second, 0, 0, 3 * leader])
}
