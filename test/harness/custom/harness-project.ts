import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createKiwi } from '../../../src/compose.ts'
import type { JsonObject } from '../../../src/json.ts'
import type { MetaToolResult } from '../../../src/kernel/contract.ts'
import type { ScenarioFunction } from '../../../src/scripted-model/scenario.ts'
import type { ThreadRow, ThreadsClient } from '../../../src/threads/threads-client.ts'
import { createScriptedProject, type ScriptedProject } from '../../cli/scripted-project.ts'

/** A project whose threads run in a real host process, with the harness of the examples and others. */
export interface HarnessProject {
  readonly project: ScriptedProject
  readonly threads: ThreadsClient
  execute(tool: string, parameters: JsonObject): Promise<MetaToolResult>
  /** Writes and signs a harness. */
  install(id: string, source: string): Promise<void>
  /** Spawns under this id; fails the test where that is refused. */
  spawn(id: string, more: JsonObject): Promise<string>
  /** Waits until the thread has ended, or waits for a person. */
  end(id: string): Promise<ThreadRow>
  until(what: string, holds: () => boolean): Promise<void>
}

export const CALCULATOR: string = readFileSync(
  new URL('../../../examples/custom-harness/.ai/tools/calculator.ts', import.meta.url),
  'utf8',
)
/** Enough for any test that is not about its end. */
const ENOUGH: JsonObject = { max_turns: 50, on_exceeded: 'stop', max_cost_usd: 1 }

const DEADLINE_MS = 30_000

export async function openHarnessProject(
  t: TestContext,
  scenario: ScenarioFunction,
  env: Readonly<Record<string, string>> = {},
): Promise<HarnessProject> {
  const project = await createScriptedProject(scenario)
  const kiwi = createKiwi({ projectPath: project.path, env: { ...project.options.env, ...env } })
  t.after(async () => {
    await kiwi.close()
    await project.close()
  })
  const threads = kiwi.threads(project.path)
  const kernel = kiwi.kernel(project.path)
  const execute: HarnessProject['execute'] = (tool, parameters) =>
    kernel.execute({ item_type: 'tool', item_id: tool, parameters })
  const install: HarnessProject['install'] = async (id, source) => {
    mkdirSync(join(project.path, '.ai', 'tools'), { recursive: true })
    writeFileSync(join(project.path, '.ai', 'tools', `${id}.ts`), source)
    const signed = await kernel.sign({ item_type: 'tool', item_id: id })
    assert.equal(signed.success, true, JSON.stringify(signed))
  }
  await install('calculator', CALCULATOR)
  return {
    project,
    threads,
    execute,
    install,
    async spawn(id, more) {
      const answer = await execute('spawn_thread', { thread_id: id, harness: 'calculator', cost: ENOUGH, ...more })
      assert.equal(answer.success, true, JSON.stringify(answer))
      return id
    },
    async end(id) {
      const [row] = await threads.wait([id], { timeoutMs: DEADLINE_MS })
      assert.ok(row !== undefined)
      return row
    },
    async until(what, holds) {
      const deadline = performance.now() + DEADLINE_MS
      while (!holds()) {
        assert.ok(performance.now() < deadline, `It never came to this: ${what}.`)
        await delay(10)
      }
    },
  }
}

/** A harness that does what `body` says in each turn, with `ctx`, `state` and `host` in reach. */
export function harnessSource(body: string, init = '({ v: 1, turn: 0, paused: false, data: {} })'): string {
  return `import { receiveMessages, type HarnessHost, type Runner } from 'kiwi-mcp'
export const __tool_type__ = 'harness'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'A harness of the tests.'
export default (host: HarnessHost): Runner => ({
  name: 'any',
  version: __version__,
  init: () => ${init},
  receive: receiveMessages,
  runTurn: async (ctx, state) => { ${body} },
})
`
}

export function done(result: string): string {
  return `return [state, { do: 'done', status: 'completed', endReason: 'done', result: ${result} }]`
}
