/**
 * Our loop as a user gets it, with its host in this very process instead of one of its own: a signed directive is spawned through
 * `thread_directive`, runs on the safety harness and the sqlite engine with a money limit, and is waited for.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { createKiwi, type Kiwi } from '../../src/compose.ts'
import { hostControl, runHostProcess } from '../../src/compose-host.ts'
import type { Contender, CreateContender, Seen, Task } from '../contender.ts'
import { saveTrace, startRecording } from '../journal-trace.ts'
import { FIRST_MESSAGE, SYSTEM_PROMPT, TOOL_DESCRIPTION } from './bench-tool.ts'

const RUN_TIMEOUT_MS = 60_000

/** A price is needed for the money limit, so the model has the name of a real one. */
const MODEL = 'claude-haiku-4-5'

const FILES: Readonly<Record<string, string>> = {
  '.ai/package.json': '{"type": "module"}\n',
  '.ai/AGENTS.md': `${SYSTEM_PROMPT}\n`,
  '.ai/tools/bench/bench_note.ts': `export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'bench'
export const __description__ = '${TOOL_DESCRIPTION}'
export const PARAMETERS = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'], additionalProperties: false }

export default async function benchNote({ path }: { path: string }): Promise<string> {
  return '# ' + path + '\\n' + 'A line of the note, as long as lines of notes are. '.repeat(3) + '\\nEnd of ' + path + '.'
}
`,
  '.ai/directives/bench/bench_loop.md': `# Bench

\`\`\`xml
<directive name="bench_loop" version="1.0.0">
  <metadata>
    <description>Reads notes</description>
    <category>bench</category>
    <author>bench</author>
    <model tier="balanced"/>
    <cost>
      <max_turns>100</max_turns>
      <max_cost_usd>5</max_cost_usd>
      <on_exceeded>stop</on_exceeded>
    </cost>
    <permissions>
      <execute resource="tool" id="bench_note"/>
      <execute resource="kiwi-mcp" action="execute"/>
    </permissions>
  </metadata>
  <process>
    <step name="read">Read every note.</step>
  </process>
</directive>
\`\`\`
`,
}

export const create: CreateContender = async (base) => {
  // Beside the user space, whose keys may not lie inside of a project.
  const folder = join(base, 'project')
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    if (!existsSync(join(folder, path))) writeFileSync(join(folder, path), text)
  }
  let running: Promise<Running> | null = null
  return {
    async run(task) {
      running ??= start(folder, task)
      const { kiwi } = await running
      return runOnce(kiwi, folder, task)
    },
    close: async () => (await running)?.stop(),
  } satisfies Contender
}

interface Running {
  readonly kiwi: Kiwi
  stop(): Promise<void>
}

async function start(folder: string, { url }: Task): Promise<Running> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: dirname(folder),
    USER_SPACE: join(dirname(folder), 'user'),
    ANTHROPIC_BASE_URL: url.replace(/note$/, 'execute'),
    ANTHROPIC_API_KEY: 'bench-key',
    KIWI_MODEL: MODEL,
    KIWI_MODEL_TOOL: 'anthropic_thread',
  }
  const stopping = new AbortController()
  const host = runHostProcess({ env, signal: stopping.signal })
  const control = hostControl(env)
  while ((await control.status()) === null) await delay(20)
  const kiwi = createKiwi({ projectPath: folder, env })
  for (const [item_type, item_id] of [
    ['tool', 'bench_note'],
    ['directive', 'bench_loop'],
  ] as const) {
    const signed = await kiwi.kernel(folder).sign({ item_type, item_id, source: 'project' })
    if (!signed.success) throw new Error(`${item_id} was not signed: ${signed.error.message}`)
  }
  return {
    kiwi,
    async stop() {
      await kiwi.close()
      stopping.abort()
      await host
    },
  }
}

async function runOnce(kiwi: Kiwi, folder: string, task: Task): Promise<Seen> {
  const recorder = task.recordTo === undefined ? null : startRecording()
  const parameters = { directive_name: 'bench_loop', initial_message: FIRST_MESSAGE }
  const answer = await kiwi.kernel(folder).execute({ item_type: 'tool', item_id: 'thread_directive', parameters })
  if (!answer.success) throw new Error(`The thread was not spawned: ${JSON.stringify(answer.error)}`)
  const threads = kiwi.threads(folder)
  const threadId = threadIdOf(answer)
  const [row] = await threads.wait([threadId], { timeoutMs: RUN_TIMEOUT_MS })
  if (row?.status !== 'completed')
    throw new Error(`The thread ended as ${row?.status}, ${row?.end_reason}: ${JSON.stringify(row?.result)}`)
  const toolCalls = Number(row.total_usage['tool_calls'] ?? Number.NaN)
  if (recorder === null || task.recordTo === undefined) return { text: null, toolCalls }
  const trace = recorder.stop(threadId, join(folder, '.ai', 'threads', 'registry.db'))
  saveTrace(task.recordTo, trace)
  const statements = trace.transactions.reduce((sum, { length }) => sum + length, 0)
  return { text: null, toolCalls, notes: { transactions: trace.transactions.length, statements } }
}

/** `thread_id` of the receipt, which the tool's result holds. */
function threadIdOf(answer: Readonly<Record<string, unknown>>): string {
  const found = /"thread_id":"([^"]+)"/.exec(JSON.stringify(answer))?.[1]
  if (found === undefined) throw new Error(`No thread id in ${JSON.stringify(answer)}`)
  return found
}
