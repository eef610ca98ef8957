import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createKiwi, type Kiwi } from '../../src/compose.ts'
import { hostControl } from '../../src/compose-host.ts'
import type { ScenarioFunction } from '../../src/scripted-model/scenario.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

const KILLS = 20
const TURNS = 40

const TOOL = `import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'test'
export const __description__ = 'Append one line to log/effects.log'
export const __effect__ = 'once'
export const __requires__ = [{ cap: 'fs.write', scope: { path: 'log/**' } }]
export const PARAMETERS = { type: 'object', required: ['line'], properties: { line: { type: 'string' } } }
export default async function appendLine({ line }, { projectPath }) {
  await delay(5)
  appendFileSync(projectPath + '/log/effects.log', line + '\\n')
  await delay(5)
  return { appended: line }
}
`

const DIRECTIVE = `# Append lines

\`\`\`xml
<directive name="append_lines" version="1.0.0">
  <metadata>
    <description>Append many lines, one a turn</description>
    <category>test</category>
    <author>test</author>
    <model tier="fast"/>
    <cost><max_turns>${TURNS + 5}</max_turns><on_exceeded>stop</on_exceeded><max_cost_usd>5</max_cost_usd></cost>
    <permissions><execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="append_line"/><write resource="filesystem" path="log/**"/></permissions>
  </metadata>
  <process><step name="append">Append a line with append_line until you are told to stop.</step></process>
</directive>
\`\`\`
`

/** The user text of every thread begins with its own marker, so that the model's requests are told apart. */
const scenario: ScenarioFunction = ({ turn, lastUserText, firstUserText }) => {
  const marker = /marker-\d+/.exec(firstUserText + lastUserText)?.[0] ?? 'none'
  const call = {
    name: 'execute',
    arguments: { item_type: 'tool', item_id: 'append_line', parameters: { line: `${marker} ${turn}` } },
  }
  seen.push({ marker, turn })
  return turn > TURNS
    ? { reply: { text: 'All lines are written.' } }
    : { reply: { text: 'One more line.', tool_calls: [call], delay_ms: 3 } }
}

const seen: { readonly marker: string; readonly turn: number }[] = []

interface Life {
  readonly id: string
  readonly marker: string
}

test('a host killed twenty times at random moments is followed by one that finishes every thread and repeats nothing recorded', async (t) => {
  const project = await createScriptedProject(scenario)
  const kiwi = createKiwi({ projectPath: project.path, env: project.options.env ?? {} })
  t.after(async () => {
    await kiwi.close()
    await project.close()
  })
  await installItems(project)
  const lives: Life[] = []
  for (let kill = 0; kill < KILLS; kill += 1) {
    const life = await runningLife(kiwi, project, lives)
    await delay(randomInt(0, 400))
    await killHost(project)
    const recorded = recordedTurns(kiwi, project, life)
    const requestsBefore = seen.length
    await wakeHost(kiwi, project, life)
    const repeated = seen.slice(requestsBefore).filter(({ marker, turn }) => marker === life.marker && turn <= recorded)
    assert.deepEqual(repeated, [], `a recorded model call was made again after kill ${kill + 1}`)
  }
  const rows = await finish(kiwi, project, lives)
  assert.deepEqual(new Set(rows.map((row) => `${row.status} ${row.end_reason}`)), new Set(['completed done']))
  assertEffects(kiwi, project, lives)
})

async function installItems(project: ScriptedProject): Promise<void> {
  mkdirSync(join(project.path, '.ai', 'tools', 'test'), { recursive: true })
  mkdirSync(join(project.path, '.ai', 'directives', 'test'), { recursive: true })
  writeFileSync(join(project.path, '.ai', 'tools', 'test', 'append_line.ts'), TOOL)
  writeFileSync(join(project.path, '.ai', 'directives', 'test', 'append_lines.md'), DIRECTIVE)
  for (const [type, id] of [
    ['tool', 'append_line'],
    ['directive', 'append_lines'],
  ] as const) {
    const signed = await project.run('sign', type, id)
    assert.equal(signed.code, 0, signed.stderr)
  }
}

/** The newest thread while it is unfinished, else a new one. */
async function runningLife(kiwi: Kiwi, project: ScriptedProject, lives: Life[]): Promise<Life> {
  const last = lives.at(-1)
  if (last !== undefined && kiwi.threads(project.path).get(last.id).ended_at === null) return last
  const marker = `marker-${lives.length}`
  const result = await kiwi.kernel(project.path).execute({
    item_type: 'tool',
    item_id: 'thread_directive',
    parameters: { directive_name: 'append_lines', initial_message: `Begin with ${marker}.` },
  })
  assert.equal(result.success, true, JSON.stringify(result))
  // thread_directive answers with a SpawnReceipt.
  const { thread_id: id } = (result as unknown as { readonly result: { readonly thread_id: string } }).result
  const life = { id, marker }
  lives.push(life)
  return life
}

async function killHost(project: ScriptedProject): Promise<void> {
  const status = await hostControl(project.options.env ?? {}).status()
  const pid = Number(status?.['pid'])
  assert.ok(pid > 1, 'a host runs')
  process.kill(pid, 'SIGKILL')
  while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await delay(5)
}

function recordedTurns(kiwi: Kiwi, project: ScriptedProject, life: Life): number {
  return kiwi
    .threads(project.path)
    .messages(life.id)
    .filter(({ role }) => role === 'assistant').length
}

/** Any command that waits for a thread starts the next host; here until the thread has moved or ended. */
async function wakeHost(kiwi: Kiwi, project: ScriptedProject, life: Life): Promise<void> {
  const threads = kiwi.threads(project.path)
  const before = threads.events(life.id, { last: 1 })[0]?.seq ?? 0
  const deadline = Date.now() + 30_000
  while (threads.get(life.id).ended_at === null && (threads.events(life.id, { last: 1 })[0]?.seq ?? 0) <= before) {
    assert.ok(Date.now() < deadline, 'the next host takes the thread up')
    await threads.wait([life.id], { timeoutMs: 50 })
  }
}

async function finish(kiwi: Kiwi, project: ScriptedProject, lives: readonly Life[]) {
  return await kiwi.threads(project.path).wait(
    lives.map(({ id }) => id),
    { timeoutMs: 60_000 },
  )
}

function assertEffects(kiwi: Kiwi, project: ScriptedProject, lives: readonly Life[]): void {
  const lines = readFileSync(join(project.path, 'log', 'effects.log'), 'utf8')
    .trimEnd()
    .split('\n')
  assert.equal(new Set(lines).size, lines.length, 'no effect happened twice')
  for (const { id, marker } of lives) {
    const results = kiwi
      .threads(project.path)
      .messages(id)
      .filter(({ role }) => role === 'tool_result')
    const succeeded = results.filter(({ content }) => !(content as { readonly is_error: boolean }).is_error)
    assert.equal(results.length, TURNS)
    const written = lines.filter((line) => line.startsWith(`${marker} `))
    // A call that was cut off is reported as unknown: its line may be there or not, but only once.
    assert.ok(written.length >= succeeded.length && written.length <= results.length, `${succeeded.length} of ${written.length}`)
    assertTranscript(kiwi, project, id)
  }
}

function assertTranscript(kiwi: Kiwi, project: ScriptedProject, id: string): void {
  const { transcript_path: path } = kiwi.threads(project.path).get(id)
  const transcript = readFileSync(join(project.path, path), 'utf8').trimEnd().split('\n')
  const seqs = transcript.map((line) => (JSON.parse(line) as { readonly seq: number }).seq)
  assert.deepEqual(
    seqs,
    seqs.map((_seq, index) => index + 1),
    'the transcript has every event once',
  )
  assert.equal(seqs.length, kiwi.threads(project.path).events(id, { last: 1 })[0]?.seq)
}
