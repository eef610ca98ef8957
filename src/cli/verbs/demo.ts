import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kiwi } from '../../compose.ts'
import type { ThreadRow } from '../../threads/threads-client.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { executeTool } from '../execute-tool.ts'
import { EXIT, exitCodeOfError, exitCodeOfThread, type ExitCode } from '../exit-codes.ts'
import { untilSettled } from '../follow.ts'
import { packageRoot } from '../package-root.ts'
import { scriptedEnv, type WireFlag } from '../scripted-env.ts'
import { resultText, threadSummary } from '../thread-text.ts'
import { followOnScreen, spawnThread } from './run.ts'

export interface DemoOptions {
  readonly wire: WireFlag
  readonly keep?: boolean
}

const DIRECTIVE = 'repository_report'
const CANCEL_WAIT_MS = 10_000

/**
 * `kiwi demo`: a real thread in a real host on this project; only the model is scripted. It has a user space of its own, so that it neither
 * uses nor stops the user's host. Exit 0 only when the thread completed.
 */
export async function demo(context: CliContext, options: DemoOptions): Promise<ExitCode> {
  const { startScriptedModel } = await import('../../scripted-model/server.ts')
  const userSpace = mkdtempSync(join(tmpdir(), 'kiwi-demo-'))
  const scenario = join(packageRoot(), 'system', 'scenarios', `${DIRECTIVE}.yaml`)
  const model = await startScriptedModel({ scenario, port: 0, logPath: join(userSpace, 'model-requests.jsonl') })
  const env = { ...context.env, ...scriptedEnv(model, options.wire), USER_SPACE: userSpace }
  const demoContext = { ...context, env }
  try {
    context.output.talk(`Scripted model on ${model.baseUrl} (${options.wire} wire); everything else is real.`)
    return await withKiwi(demoContext, (kiwi) => runDemo(demoContext, kiwi))
  } finally {
    const { hostControl } = await import('../../compose.ts')
    await hostControl(env).stop()
    await model.close()
    if (options.keep === true) context.output.talk(`kept ${userSpace}`)
    else rmSync(userSpace, { recursive: true, force: true })
  }
}

async function runDemo(context: CliContext, kiwi: Kiwi): Promise<ExitCode> {
  const { output, projectPath } = context
  const spawned = await spawnThread(kiwi, projectPath, { directive: DIRECTIVE, message: undefined, inputs: {} })
  if (!('threadId' in spawned)) {
    output.failure(spawned)
    return exitCodeOfError(spawned.error.code)
  }
  const followed = await followOnScreen(context, kiwi, spawned.threadId)
  const row = followed.kind === 'interrupted' ? await cancelled(kiwi, projectPath, followed.row) : followed.row
  output.data(row, () => [resultText(row.result), threadSummary(row)].filter((part) => part !== '').join('\n\n'))
  if (followed.kind === 'interrupted') return EXIT.interrupted
  return exitCodeOfThread(row) ?? EXIT.failed
}

/** The demo takes its model with it when it ends, so its thread cannot go on alone as others do. */
async function cancelled(kiwi: Kiwi, projectPath: string, row: ThreadRow): Promise<ThreadRow> {
  await executeTool(kiwi, projectPath, { tool: 'cancel_thread', parameters: { thread_id: row.thread_id, mode: 'now' } })
  const options = { signal: new AbortController().signal, deadlineMs: Date.now() + CANCEL_WAIT_MS }
  const [settled] = await untilSettled(kiwi.threads(projectPath), [row.thread_id], options)
  return settled ?? row
}
