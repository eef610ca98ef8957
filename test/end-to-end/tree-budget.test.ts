import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createKiwi, type Kiwi } from '../../src/compose.ts'
import { hostControl } from '../../src/compose-host.ts'
import type { Conversation } from '../../src/scripted-model/conversation.ts'
import type { Reply, ScenarioFunction } from '../../src/scripted-model/scenario.ts'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

/** Of the root, and so of everything below it. */
const CAP_NANO = 2_200_000_000
const MOST_OUTPUT_TOKENS = 400
/** Nano-dollars a token, as the project's configuration says. */
const INPUT_NANO = 1_000
const OUTPUT_NANO = 10_000
/** Below the root at once: leads with a child of each other kind, and threads that work alone. */
const LEADS = 6
const CAPPED = 19
const UNCAPPED = 19
/** As many calls as fit into one answer. */
const SPAWNS_A_TURN = 11
/** Until so many threads have made their first call, the answers to those that work are held back, so that the money lasts until then. */
const AT_ONCE = 50
const HELD_MS = 3_000
const CANCELS = 8
const REQUESTS_BEFORE_KILL = 90
const DEADLINE_MS = 55_000

const CONFIG = `models:
  max_output_tokens: ${MOST_OUTPUT_TOKENS}
  prices:
    scripted-model: { input: 1, cache_read: 1, cache_write_5m: 1, cache_write_1h: 1, output: 10 }
`

function directiveText(name: string, capUsd: number | null): string {
  const cap = capUsd === null ? '' : `<max_cost_usd>${capUsd}</max_cost_usd>`
  return `\`\`\`xml
<directive name="${name}" version="1.0.0">
  <metadata>
    <description>Work until the money is spent</description>
    <category>test</category>
    <author>test</author>
    <model tier="fast"/>
    <cost><max_turns>500</max_turns><on_exceeded>stop</on_exceeded>${cap}</cost>
    <permissions><execute resource="kiwi-mcp" action="*"/><execute resource="tool" id="*"/><orchestration enabled="true"></orchestration></permissions>
  </metadata>
  <process><step name="work">Work.</step></process>
</directive>
\`\`\`
`
}

const DIRECTIVES: Readonly<Record<string, number | null>> = {
  head: CAP_NANO / 1e9,
  lead: 0.1,
  capped: 0.04,
  uncapped: null,
}

/** What the model was asked and what it then charges, by the number of the request in its log. */
interface Asked {
  readonly directive: string
  readonly inputTokens: number
  readonly maxTokens: number
  readonly outputTokens: number
}

function nanoOf(inputTokens: number, outputTokens: number): number {
  return inputTokens * INPUT_NANO + outputTokens * OUTPUT_NANO
}

function spawns(name: string, times: number): NonNullable<Reply['tool_calls']> {
  const call = { item_type: 'tool', item_id: 'thread_directive', parameters: { directive_name: name } }
  return Array.from({ length: times }, () => ({ name: 'execute', arguments: call }))
}

/** Spawns a few in each of its first turns, and then waits for all of them until they have ended. */
function manage(conversation: Conversation, children: NonNullable<Reply['tool_calls']>): Reply {
  const next = children.slice((conversation.turn - 1) * SPAWNS_A_TURN, conversation.turn * SPAWNS_A_TURN)
  if (next.length > 0) return { text: 'Share the work.', tool_calls: next }
  const ids = conversation.results.flatMap(({ item, content }) =>
    item === 'thread_directive' ? (/"thread_id":\s*"([^"]+)"/u.exec(content)?.[1] ?? []) : [],
  )
  const last = conversation.results.at(-1)
  if (ids.length === 0 || (last?.item === 'wait_thread' && last.content.includes('"settled":true'))) return { text: 'All ended.' }
  const call = { item_type: 'tool', item_id: 'wait_thread', parameters: { thread_ids: ids } }
  return { tool_calls: [{ name: 'execute', arguments: call }] }
}

/** Never finished: the money is what ends it. */
function work({ turn }: Conversation): Reply {
  const query = { item_type: 'tool', query: `something for turn ${turn}` }
  return { text: `Step ${turn}.`, tool_calls: [{ name: 'search', arguments: query }], delay_ms: 1 }
}

function replyOf(directive: string, conversation: Conversation): Reply {
  if (directive === 'head')
    return manage(conversation, [...spawns('lead', LEADS), ...spawns('capped', CAPPED), ...spawns('uncapped', UNCAPPED)])
  return directive === 'lead' ? manage(conversation, [...spawns('capped', 1), ...spawns('uncapped', 1)]) : work(conversation)
}

/** A model that bills half a token a byte, and of every third request all the output that it was allowed. */
function billingModel(): { readonly asked: Map<number, Asked>; readonly scenario: ScenarioFunction } {
  const asked = new Map<number, Asked>()
  let begun = 0
  const scenario: ScenarioFunction = (conversation, { seq, body }) => {
    const directive = /<directive name="(\w+)"/u.exec(conversation.firstUserText)?.[1] ?? 'none'
    const { maxTokens } = conversation
    const input = Math.ceil(Buffer.byteLength(JSON.stringify(body)) / 2)
    const output = seq % 3 === 0 ? maxTokens : Math.ceil((maxTokens * (seq % 7)) / 7)
    asked.set(seq, { directive, inputTokens: input, maxTokens, outputTokens: output })
    if (directive !== 'head' && conversation.turn === 1) begun += 1
    const held = begun < AT_ONCE && /^(un)?capped$/u.test(directive)
    const usage = { input, cache_read: 0, cache_write: 0, output, reasoning: 0 }
    return {
      reply: { ...replyOf(directive, conversation), usage },
      ...(held ? { fault: { kind: 'slow_first_byte', delay_ms: HELD_MS } } : {}),
    }
  }
  return { asked, scenario }
}

test('fifty children, cancels and a killed host later the tree has spent no nano-dollar more than its root was given', async (t) => {
  const { asked, scenario } = billingModel()
  const project = await createScriptedProject(scenario)
  const kiwi = createKiwi({ projectPath: project.path, env: project.options.env ?? {} })
  t.after(async () => {
    await kiwi.close()
    await project.close()
  })
  await install(kiwi, project)
  const rootId = await spawnRoot(kiwi, project)
  const run = await steer(kiwi, project, rootId)
  t.diagnostic(JSON.stringify({ ...run, requests: asked.size }))
  const rows = kiwi.threads(project.path).list({ root_thread_id: rootId, limit: 1_000 })
  assert.ok(run.mostLive >= AT_ONCE, `only ${run.mostLive} threads ran at once`)
  assert.equal(run.cancelled, CANCELS)
  assert.equal(run.killed, 1)
  assert.deepEqual(
    rows.filter(({ ended_at: ended }) => ended === null),
    [],
  )
  assertReachedCap(rows, rootId)
  assertNoRequestBeyondCap(project, asked)
  assertMoneyAgrees(project, rows, { rootId, asked })
})

async function install(kiwi: Kiwi, project: ScriptedProject): Promise<void> {
  const folder = join(project.path, '.ai', 'directives', 'test')
  mkdirSync(folder, { recursive: true })
  for (const [name, cap] of Object.entries(DIRECTIVES)) writeFileSync(join(folder, `${name}.md`), directiveText(name, cap))
  writeFileSync(join(project.path, '.ai', 'config.yaml'), CONFIG)
  const signed = await project.run('sign', 'config')
  assert.equal(signed.code, 0, signed.stderr)
  for (const name of Object.keys(DIRECTIVES)) {
    const { success } = await kiwi.kernel(project.path).sign({ item_type: 'directive', item_id: name })
    assert.equal(success, true, name)
  }
}

async function spawnRoot(kiwi: Kiwi, project: ScriptedProject): Promise<string> {
  const result = await kiwi.kernel(project.path).execute({
    item_type: 'tool',
    item_id: 'thread_directive',
    parameters: { directive_name: 'head' },
  })
  assert.equal(result.success, true, JSON.stringify(result))
  // thread_directive answers with a SpawnReceipt.
  return (result as unknown as { readonly result: { readonly thread_id: string } }).result.thread_id
}

interface Run {
  mostLive: number
  cancelled: number
  killed: number
  looks: number
}

/** Looks at the ledger again and again until the root has ended, and meanwhile cancels threads and kills the host. */
async function steer(kiwi: Kiwi, project: ScriptedProject, rootId: string): Promise<Run> {
  const threads = kiwi.threads(project.path)
  const run: Run = { mostLive: 0, cancelled: 0, killed: 0, looks: 0 }
  const deadline = Date.now() + DEADLINE_MS
  while (threads.list({ root_thread_id: rootId, limit: 1_000 }).some(({ ended_at: ended }) => ended === null)) {
    assert.ok(Date.now() < deadline, `${JSON.stringify(run)}: the tree ends in time`)
    const live = threads.list({ root_thread_id: rootId, limit: 1_000 }).filter(({ ended_at: ended }) => ended === null)
    const below = live.filter(({ thread_id: id }) => id !== rootId)
    run.mostLive = Math.max(run.mostLive, below.length)
    assertLedger(project, CAP_NANO)
    run.looks += 1
    const requests = project.model.requests().length
    if (run.killed === 0 && run.mostLive >= AT_ONCE && requests >= REQUESTS_BEFORE_KILL) {
      await killHost(project)
      run.killed += 1
      assertLedger(project, CAP_NANO)
    }
    const victim = below[(requests * 7) % Math.max(1, below.length)]
    if (run.cancelled < CANCELS && victim !== undefined && run.mostLive >= AT_ONCE)
      run.cancelled += await cancel(kiwi, project, victim.thread_id)
    await threads.wait([rootId], { timeoutMs: 30 })
  }
  return run
}

/** 1, or 0 where the thread had ended by itself before. */
async function cancel(kiwi: Kiwi, project: ScriptedProject, threadId: string): Promise<number> {
  try {
    await kiwi.threads(project.path).signal(threadId, { id: 'cancel-at-random', kind: 'cancel', body: { mode: 'now' } })
    return 1
  } catch (error) {
    assert.equal((error as { readonly code?: string }).code, 'ILLEGAL_TRANSITION')
    return 0
  }
}

async function killHost(project: ScriptedProject): Promise<void> {
  const pid = Number((await hostControl(project.options.env ?? {}).status())?.['pid'])
  assert.ok(pid > 1, 'a host runs')
  process.kill(pid, 'SIGKILL')
  while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/mu.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await delay(5)
}

type LedgerRow = Readonly<Record<'granted' | 'spent' | 'reserved' | 'escrow' | 'own' | 'id' | 'parent', number | string | null>>

function ledgerOf(project: ScriptedProject): readonly LedgerRow[] {
  const database = new DatabaseSync(join(project.path, '.ai', 'threads', 'registry.db'), { readOnly: true, timeout: 5_000 })
  try {
    // The table holds only text, integers and null.
    return database
      .prepare(
        `SELECT thread_id AS id, parent_account_id AS parent, granted_nano AS granted, spent_nano AS spent, reserved_nano AS reserved,
          escrow_nano AS escrow, own_spent_nano AS own FROM ledger`,
      )
      .all() as unknown as readonly LedgerRow[]
  } finally {
    database.close()
  }
}

/** At every moment: each account within its grant, and the root's whole tree within the cap. */
function assertLedger(project: ScriptedProject, cap: number): void {
  for (const row of ledgerOf(project)) {
    if (row.granted === null) continue
    const used = Number(row.spent) + Number(row.reserved) + Number(row.escrow)
    assert.ok(used <= Number(row.granted), JSON.stringify(row))
    if (row.parent === null) assert.equal(row.granted, cap)
  }
}

/** The cap was really what ended the work: of threads without a cap of their own, by the root's. */
function assertReachedCap(rows: readonly ThreadRow[], rootId: string): void {
  const stopped = rows.filter(({ end_reason: reason }) => reason === 'cost_exceeded')
  const byRoot = stopped.filter(({ result }) => JSON.stringify(result).includes(`"binding_thread_id":"${rootId}"`))
  assert.ok(
    byRoot.length > 0 && byRoot.length < stopped.length,
    `${byRoot.length} of ${stopped.length} were stopped by the root's cap`,
  )
}

/**
 * A request may begin only if its own worst case fits beside everything that was billed before it: what the model charged for all earlier
 * requests, answered or not, plus this one's input and all the output that it asks for.
 */
function assertNoRequestBeyondCap(project: ScriptedProject, asked: ReadonlyMap<number, Asked>): void {
  let billed = 0
  for (const { seq, status } of project.model.requests()) {
    const request = asked.get(seq)
    assert.ok(request !== undefined && status === 200, `request ${seq} was answered with ${status}`)
    const worst = nanoOf(request.inputTokens, request.maxTokens)
    assert.ok(billed + worst <= CAP_NANO, `request ${seq} began with ${billed} billed and up to ${worst} to come`)
    billed += nanoOf(request.inputTokens, request.outputTokens)
  }
}

/** The bill of the model ≤ what the ledger says ≤ the cap, and the rows of the threads say the same as the ledger. */
function assertMoneyAgrees(
  project: ScriptedProject,
  rows: readonly ThreadRow[],
  { rootId, asked }: { readonly rootId: string; readonly asked: ReadonlyMap<number, Asked> },
): void {
  const ledger = ledgerOf(project)
  const root = ledger.find(({ id }) => id === rootId)
  const billed = [...asked.values()].reduce((sum, { inputTokens, outputTokens }) => sum + nanoOf(inputTokens, outputTokens), 0)
  const own = new Map(ledger.map(({ id, own: spent }) => [id, spent]))
  assert.deepEqual(
    { ...root, spent: 0, own: 0 },
    { id: rootId, parent: null, granted: CAP_NANO, spent: 0, reserved: 0, escrow: 0, own: 0 },
  )
  assert.ok(billed <= Number(root?.spent) && Number(root?.spent) <= CAP_NANO, `${billed} billed, ${root?.spent} in the ledger`)
  assert.equal(
    [...own.values()].reduce((sum: number, spent) => sum + Number(spent), 0),
    root?.spent,
  )
  for (const { thread_id: id, total_usage: usage } of rows) assert.equal(usage['cost_nano'], own.get(id), id)
}
