import { userSpaceOf } from '../../config/user-space.ts'
import type { Environment } from '../../config/environment.ts'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Kiwi } from '../../compose.ts'
import type { ThreadRow } from '../../threads/threads-client.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { executeTool } from '../execute-tool.ts'
import { EXIT, exitCodeOfError, exitCodeOfThread, type ExitCode } from '../exit-codes.ts'
import { untilSettled } from '../follow.ts'
import { packageRoot } from '../package-root.ts'
import { scriptedEnv, type WireFlag } from '../scripted-env.ts'
import { failureText, resultText, threadSummary } from '../thread-text.ts'
import { followOnScreen, isOnScreen, spawnThread } from './run.ts'

export interface DemoOptions {
  readonly wire: WireFlag
  readonly keep?: boolean
}

const DIRECTIVE = 'repository_report'
const REPORT_PATH = 'reports/kiwi-report.md'
const CANCEL_WAIT_MS = 10_000
const HOST_STOP_WAIT_MS = 5000
const HOST_POLL_MS = 50

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
    await admitTo(context, userSpace)
    return await withKiwi(demoContext, (kiwi) => runDemo(demoContext, kiwi))
  } finally {
    await stopHost(env)
    await model.close()
    if (options.keep === true) context.output.talk(`kept ${userSpace}`)
    else rmSync(userSpace, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

/** The demo's key goes with it: a registry that only this key vouched for would be nobody's afterwards. */
async function admitTo({ projectPath, env }: CliContext, guestSpace: string): Promise<void> {
  const [{ admitGuest }, { registryPath }] = await Promise.all([import('../../registry-owner.ts'), import('../../places.ts')])
  await admitGuest(registryPath(projectPath), { userSpace: userSpaceOf(env), projectPath }, guestSpace)
}

/** Stops the demo's own host and waits until it is gone; one that does not answer is left to its idle exit. */
async function stopHost(env: Environment): Promise<void> {
  const { hostControl } = await import('../../compose-host.ts')
  const host = hostControl(env)
  const deadlineMs = Date.now() + HOST_STOP_WAIT_MS
  try {
    await host.stop()
    while ((await host.status()) !== null && Date.now() < deadlineMs) await delay(HOST_POLL_MS)
  } catch {
    // The demo's outcome is decided by now, and its files are removed in any case.
  }
}

async function runDemo(context: CliContext, kiwi: Kiwi): Promise<ExitCode> {
  const { output, projectPath } = context
  const spawned = await spawnThread(kiwi, projectPath, {
    directive: DIRECTIVE,
    message: undefined,
    inputs: { report_path: REPORT_PATH },
  })
  if (!('threadId' in spawned)) {
    output.failure(spawned)
    return exitCodeOfError(spawned.error.code)
  }
  const followed = await followOnScreen(context, kiwi, spawned.threadId)
  const row = followed.kind === 'interrupted' ? await cancelled(kiwi, projectPath, followed.row) : followed.row
  const report = row.status === 'completed' && existsSync(join(projectPath, REPORT_PATH)) ? REPORT_PATH : null
  output.data({ ...row, report_path: report }, () => {
    const failure = failureText(row)
    const result = failure === null ? resultText(row.result).trim() : `${row.status}: ${failure}`
    const parts = [isOnScreen(context, followed) ? '' : result, `${threadSummary(row)}\nreport      ${report ?? 'not written'}`]
    return parts.filter((part) => part !== '').join('\n\n')
  })
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
