import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Json } from '../src/json.ts'
import { startScriptedModel, type ScriptedModel } from '../src/scripted-model/server.ts'

/** What an example plays on: its own copy of its folder as a project, with a model, a user space and a host that go with it. */
export interface Stage {
  readonly projectPath: string
  readonly env: Readonly<Record<string, string>>
  readonly model: ScriptedModel
  /** Runs `kiwi` in the project as a process of its own. */
  readonly kiwi: (...args: readonly string[]) => Promise<Finished>
  /** The same with `-o json`; rejects unless it exits with 0. */
  readonly json: (...args: readonly string[]) => Promise<Json>
  /** The same stage for a shell with these variables too. */
  readonly with: (env: Readonly<Record<string, string>>) => Pick<Stage, 'kiwi' | 'json'>
  /** Tells the reader what happens. */
  readonly say: (text: string) => void
  readonly close: () => Promise<void>
}

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export const KIWI: string = fileURLToPath(new URL('../bin/kiwi.js', import.meta.url))
const VERB_TIMEOUT_MS = 60_000

/** Copies the example, signs its items with a key made for this run, and serves `scenario.yaml` as the model. */
export async function openStage(folder: string): Promise<Stage> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-example-')))
  const projectPath = join(root, basename(folder))
  cpSync(folder, projectPath, { recursive: true })
  const model = await startScriptedModel({ scenario: join(folder, 'scenario.yaml') })
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: join(root, 'home'),
    USER_SPACE: join(root, 'user-space'),
    ANTHROPIC_BASE_URL: model.anthropicBaseUrl,
    ANTHROPIC_API_KEY: 'scripted',
    OPENAI_BASE_URL: model.openaiBaseUrl,
    OPENAI_API_KEY: 'scripted',
    KIWI_MODEL_TOOL: existsSync(join(folder, '.ai', 'config.yaml')) ? '' : 'anthropic_thread',
    KIWI_MODEL: 'scripted-model',
  }
  const shell = shellOf(projectPath, env)
  const stage: Stage = {
    projectPath,
    env,
    model,
    ...shell,
    with: (more) => shellOf(projectPath, { ...env, ...more }),
    say: (text) => void process.stdout.write(`  ${text}\n`),
    async close() {
      await shell.kiwi('host', 'stop')
      await model.close()
      rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
  try {
    await signAll(stage)
  } catch (error) {
    await stage.close()
    throw error
  }
  return stage
}

function shellOf(projectPath: string, env: Readonly<Record<string, string>>): Pick<Stage, 'kiwi' | 'json'> {
  const kiwi = (...args: readonly string[]): Promise<Finished> => run([KIWI, '-C', projectPath, ...args], env)
  return {
    kiwi,
    async json(...args) {
      const { code, stdout, stderr } = await kiwi('-o', 'json', ...args)
      if (code !== 0) throw new Error(`kiwi ${args.join(' ')} exited with ${code}: ${stderr}${stdout}`)
      // What the command line prints with -o json.
      return JSON.parse(stdout) as Json
    },
  }
}

/** What a person does once who has read the files. */
async function signAll({ projectPath, kiwi }: Stage): Promise<void> {
  const items = join(projectPath, '.ai')
  const sign = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await kiwi('sign', ...args)
    if (code !== 0) throw new Error(`kiwi sign ${args.join(' ')} failed: ${stderr}`)
  }
  if (existsSync(join(items, 'config.yaml'))) await sign('config')
  for (const type of ['tool', 'directive'] as const) {
    const folder = join(items, `${type}s`)
    if (!existsSync(folder)) continue
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
      if (/\.(?:md|ts|yaml)$/u.test(file)) await sign(type, parse(file).name, ...draftFlag(join(folder, file)))
  }
}

/** A directive without a cost is followed by whoever executes it, and never spawned: it is signed as a draft. */
function draftFlag(path: string): readonly string[] {
  return path.endsWith('.md') && !readFileSync(path, 'utf8').includes('<cost>') ? ['--draft'] : []
}

function run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Finished> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env, timeout: VERB_TIMEOUT_MS }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, stdout, stderr })
    })
  })
}
