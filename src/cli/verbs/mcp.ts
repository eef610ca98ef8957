import { mayMcpSign } from '../../config/may-sign.ts'
import { createMcpServing } from '../../mcp/server.ts'
import { serveMcpStdio } from '../../mcp/stdio.ts'
import type { CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { packageVersion } from '../package-root.ts'
import { projectsOnDemand } from '../projects-on-demand.ts'

/** Longer than closing databases takes. */
const CLOSE_GRACE_MS = 2000

/** `kiwi mcp`. Everything behind the tools is loaded at the first call, so that a client's start and `tools/list` are quick. */
export async function mcp(context: CliContext): Promise<ExitCode> {
  const projects = projectsOnDemand(context)
  const serving = createMcpServing({
    projectPath: context.projectPath,
    version: packageVersion(),
    signing: await mayMcpSign(context),
    open: (projectPath) => projects.open(projectPath),
  })
  await serveMcpStdio(serving, context.interrupt())
  // A tool that ignores its signal must not keep a server alive that nobody can reach.
  setTimeout(() => process.exit(EXIT.ok), CLOSE_GRACE_MS).unref()
  await projects.close()
  return EXIT.ok
}
