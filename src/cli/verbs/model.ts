import { once } from 'node:events'
import { resolve } from 'node:path'
import { KiwiError } from '../../kernel/errors.ts'
import { ScenarioError } from '../../scripted-model/scenario-file.ts'
import { startScriptedModel } from '../../scripted-model/server.ts'
import type { CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { scriptedEnv } from '../scripted-env.ts'

export interface ModelOptions {
  readonly scenario: string
  readonly port: number
  readonly log?: string
}

/** `kiwi model`: serves until Ctrl-C. Its answers come from the scenario file, and it says so. */
export async function model(context: CliContext, options: ModelOptions): Promise<ExitCode> {
  const served = await startScriptedModel({
    scenario: resolve(context.cwd, options.scenario),
    port: options.port,
    logPath: options.log === undefined ? null : resolve(context.cwd, options.log),
  }).catch((error: unknown) => {
    throw error instanceof ScenarioError ? scenarioError(error) : error
  })
  try {
    const env = scriptedEnv(served, 'anthropic')
    context.output.record(
      { scripted: true, anthropic_base_url: env['ANTHROPIC_BASE_URL'], openai_base_url: env['OPENAI_BASE_URL'], env },
      () =>
        [
          'Serving a scripted model: every answer comes from the scenario file, none from a language model.',
          `  Anthropic wire  ${env['ANTHROPIC_BASE_URL']}`,
          `  OpenAI wire     ${env['OPENAI_BASE_URL']}`,
          'Use it from another terminal (KIWI_MODEL_TOOL=openai_thread for the OpenAI wire):',
          ...Object.entries(env).map(([name, value]) => `  export ${name}=${value}`),
          'Then `kiwi run DIRECTIVE` there. Ctrl-C stops the model.',
        ].join('\n'),
    )
    const signal = context.interrupt()
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    await served.close()
  }
  return EXIT.ok
}

/** The whole message: one line for each problem, with file, line and what to write. */
function scenarioError(error: Error): KiwiError {
  return new KiwiError('CONFIG_VALIDATION_ERROR', error.message, { error, suggestion: 'Correct the scenario and start again.' })
}
