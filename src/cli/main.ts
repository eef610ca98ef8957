import { resolve } from 'node:path'
import { CommanderError } from 'commander'
import { createRedactor } from '../capabilities/secrets/redactor.ts'
import { collectSecrets } from '../capabilities/secrets/secret-registry.ts'
import { KiwiError } from '../kernel/errors.ts'
import { createProgram } from './commands.ts'
import type { CliContext } from './context.ts'
import { EXIT, exitCodeOfError, type ExitCode } from './exit-codes.ts'
import { createOutput, type Output } from './output.ts'
import { projectPathOf } from './project-path.ts'

/**
 * The command line: parses `argv` (without node and script), runs one verb and sets `process.exitCode`.
 *
 * Never throws and never calls `process.exit` while output may be pending; a verb that leaves nothing open lets the process end.
 */
export async function main(argv: readonly string[]): Promise<void> {
  const redactor = createRedactor(collectSecrets({ env: process.env, names: [] }))
  const output = createOutput({
    json: wantsJson(argv),
    stdout: process.stdout,
    stderr: process.stderr,
    redact: (text) => redactor.text(text),
  })
  const usage: string[] = []
  let exitCode: ExitCode = EXIT.ok
  const program = createProgram({
    run: async (options, verb) => {
      const cwd = process.cwd()
      const projectPath = options.makesProject ? resolve(cwd, options.project ?? '.') : existingProject(cwd, options.project)
      exitCode = await verb(createContext(output, { cwd, projectPath }))
    },
    writeError: (text) => usage.push(text),
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    exitCode =
      error instanceof CommanderError
        ? reportUsage(output, error, usage.join(''))
        : exitCodeOfError(output.error(error).error.code)
  }
  process.exitCode = exitCode
}

function existingProject(cwd: string, given: string | undefined): string {
  return projectPathOf({ given, cwd, home: process.env['HOME'] })
}

function createContext(output: Output, { cwd, projectPath }: { readonly cwd: string; readonly projectPath: string }): CliContext {
  return {
    output,
    projectPath,
    env: process.env,
    cwd,
    stderr: process.stderr,
    interrupt: () => AbortSignal.any([output.closed, interruptSignal()]),
  }
}

/** `once`, so that a second Ctrl-C has its usual effect and a verb that hangs can still be ended. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort(new Error(name)))
  return controller.signal
}

/** Read before parsing, so that a mistake in the rest of the line is reported in the form that was asked for. */
function wantsJson(argv: readonly string[]): boolean {
  const words = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined)
  return words.some(
    (word, index) =>
      /^(?:-o=?json|--output=json)$/u.test(word) || (/^(?:-o|--output)$/u.test(word) && words[index + 1] === 'json'),
  )
}

function reportUsage(output: Output, error: CommanderError, text: string): ExitCode {
  if (error.exitCode === 0) return EXIT.ok
  const message =
    error.code === 'commander.help'
      ? 'No verb was given.'
      : error.message.replace(/^error: /u, '').replace(/\n\(Did you mean .*$/su, '')
  if (!output.json && error.code === 'commander.help') output.talk(text)
  else
    output.error(
      new KiwiError('INVALID_REQUEST', message, { suggestion: suggestionIn(text) ?? 'See kiwi --help, or kiwi VERB --help.' }),
    )
  return EXIT.usage
}

/** Commander's own "(Did you mean ps?)", or what the grammar says of this verb (`showHelpAfterError('→ …')`). */
function suggestionIn(text: string): string | null {
  return /\((Did you mean [^)]+)\)/u.exec(text)?.[1] ?? /^→ (.+)$/mu.exec(text)?.[1] ?? null
}
