import type { Kiwi } from '../../compose.ts'
import { createMcpServing } from '../../mcp/server.ts'
import { serveMcpStdio } from '../../mcp/stdio.ts'
import type { CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { packageVersion } from '../package-root.ts'

/** Longer than closing databases takes. */
const CLOSE_GRACE_MS = 2000

/** `kiwi mcp`. Everything behind the tools is loaded at the first call, so that a client's start and `tools/list` are quick. */
export async function mcp(context: CliContext): Promise<ExitCode> {
  const composed = composeOnDemand(context)
  const serving = createMcpServing({
    projectPath: context.projectPath,
    version: packageVersion(),
    async open(projectPath) {
      const kiwi = await composed.kiwi()
      return {
        kernel: kiwi.kernel(projectPath),
        threads: kiwi.threads(projectPath),
        redact: (value) => kiwi.redact(value),
      }
    },
  })
  await serveMcpStdio(serving, context.interrupt())
  // A tool that ignores its signal must not keep a server alive that nobody can reach.
  setTimeout(() => process.exit(EXIT.ok), CLOSE_GRACE_MS).unref()
  await composed.close()
  return EXIT.ok
}

/** One composition for the life of the server; one that failed (a bad configuration file) is tried again at the next call. */
function composeOnDemand(context: CliContext): { readonly kiwi: () => Promise<Kiwi>; readonly close: () => Promise<void> } {
  const state: { composing: Promise<Kiwi> | null } = { composing: null }
  const compose = async (): Promise<Kiwi> => {
    const { createKiwi } = await import('../../compose.ts')
    return createKiwi({ projectPath: context.projectPath, env: context.env })
  }
  return {
    async kiwi() {
      state.composing ??= compose()
      try {
        return await state.composing
      } catch (error) {
        state.composing = null
        throw error
      }
    },
    async close() {
      const kiwi = await state.composing?.catch(() => null)
      await kiwi?.close()
    },
  }
}
