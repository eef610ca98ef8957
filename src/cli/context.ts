import type { Environment } from '../config/environment.ts'
import type { Kiwi } from '../compose.ts'
import type { Output } from './output.ts'

/** What every verb is given; a verb reads no global state. */
export interface CliContext {
  readonly output: Output
  /** Absolute. */
  readonly projectPath: string
  readonly env: Environment
  /** Folder the command was typed in; file arguments are relative to it. */
  readonly cwd: string
  readonly stderr: NodeJS.WriteStream
  /**
   * Aborts at the first Ctrl-C or SIGTERM, or when stdout's reader is gone; a second Ctrl-C ends the process. Asking for it takes
   * Ctrl-C over, so only verbs that obey it may ask.
   */
  interrupt(): AbortSignal
}

/** Runs `use` with a composed project and closes it on every path. What the configuration left unused is said on stderr. */
export async function withKiwi<T>(
  context: Pick<CliContext, 'projectPath' | 'env' | 'output'>,
  use: (kiwi: Kiwi) => Promise<T>,
): Promise<T> {
  const { createKiwi } = await import('../compose.ts')
  const kiwi = createKiwi({ projectPath: context.projectPath, env: context.env })
  try {
    for (const warning of kiwi.config.warnings) context.output.talk(`warning: ${warning}`)
    return await use(kiwi)
  } finally {
    await kiwi.close()
  }
}
