import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startScriptedModel, type ScriptedModel } from '../../src/scripted-model/server.ts'
import { kiwi, type Finished, type RunOptions } from './kiwi-process.ts'

/** An initialised project with a scripted model, a user space and a host of its own. */
export interface ScriptedProject {
  readonly path: string
  readonly model: ScriptedModel
  readonly options: RunOptions
  /** One verb in this project, with this model. */
  run(...args: string[]): Promise<Finished>
  /** Stops the host and the model and removes every file. */
  close(): Promise<void>
}

/** `kiwi init` in a new folder; the model plays the scenario that init wrote, or another one given. */
export async function createScriptedProject(
  scenario?: Parameters<typeof startScriptedModel>[0]['scenario'],
): Promise<ScriptedProject> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-cli-')))
  const path = join(root, 'project')
  const home = { HOME: join(root, 'home'), USER_SPACE: join(root, 'user-space') }
  const initialised = await kiwi(['-C', path, 'init'], { cwd: root, env: home })
  if (initialised.code !== 0) {
    rmSync(root, { recursive: true, force: true })
    throw new Error(`kiwi init failed: ${initialised.stderr}`)
  }
  const model = await startScriptedModel({ scenario: scenario ?? join(path, '.ai', 'scenarios', 'hello_kiwi.yaml') })
  const env = {
    ...home,
    ANTHROPIC_BASE_URL: model.anthropicBaseUrl,
    ANTHROPIC_API_KEY: 'scripted',
    OPENAI_BASE_URL: model.openaiBaseUrl,
    OPENAI_API_KEY: 'scripted',
    KIWI_MODEL_TOOL: 'anthropic_thread',
    KIWI_MODEL: 'scripted-model',
  }
  const options = { cwd: path, env }
  return {
    path,
    model,
    options,
    run: (...args) => kiwi(args, options),
    async close() {
      await kiwi(['host', 'stop'], options)
      await model.close()
      rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}
