import { once } from 'node:events'
import { homedir } from 'node:os'
import { relative } from 'node:path'
import { createMcpServing } from '../../mcp/server.ts'
import { type LoopbackAddress, serveMcpHttp } from '../../serve/http-server.ts'
import { openServeToken, rotateServeToken } from '../../serve-token.ts'
import { resolveConfig } from '../../config/config.ts'
import { userSpaceOf } from '../../config/user-space.ts'
import type { CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { packageVersion } from '../package-root.ts'
import { projectsOnDemand } from '../projects-on-demand.ts'

export interface ServeOptions {
  readonly port?: number
  readonly host: LoopbackAddress
}

/** Longer than closing databases takes. */
const CLOSE_GRACE_MS = 2000

/** `kiwi serve`: until Ctrl-C or SIGTERM. The token is never printed, only where it is. */
export async function serve(context: CliContext, { port, host }: ServeOptions): Promise<ExitCode> {
  const config = resolveConfig(context)
  for (const warning of config.warnings) context.output.talk(`warning: ${warning}`)
  const token = openServeToken(placeOf(context))
  const projects = projectsOnDemand(context)
  const serving = createMcpServing({
    projectPath: context.projectPath,
    version: packageVersion(),
    signing: config.mcp.allowSign,
    open: (projectPath) => projects.open(projectPath),
  })
  // Before anybody can connect: a signal that comes early must not end the process half-way.
  const signal = context.interrupt()
  const server = await serveMcpHttp({
    serving,
    port: port ?? config.serve.port,
    host,
    token: () => token.current(),
    onError: (error) => context.output.talk(`kiwi serve: ${error.message.slice(0, MAX_LOGGED)}`),
  })
  announce(context, { url: server.url, port: server.port, tokenFile: token.path })
  if (!signal.aborted) await once(signal, 'abort')
  context.output.talk('Closing. Threads go on in their host.')
  await server.close()
  // A tool that ignores its signal must not keep a server alive that nobody can reach.
  setTimeout(() => process.exit(EXIT.ok), CLOSE_GRACE_MS).unref()
  await serving.close()
  await projects.close()
  return EXIT.ok
}

/** `kiwi serve token`: where the token is, which is made when there is none. With `rotate` it is a new one. */
export async function serveToken(context: CliContext, { rotate = false }: { readonly rotate?: boolean }): Promise<ExitCode> {
  const { path } = rotate ? rotateServeToken(placeOf(context)) : openServeToken(placeOf(context))
  if (rotate) context.output.talk('The old token holds no longer, for a running server either.')
  context.output.data({ token_file: path, rotated: rotate }, () => path)
  return EXIT.ok
}

const MAX_LOGGED = 300

function placeOf({ env, projectPath }: CliContext): { readonly userSpace: string; readonly projectPath: string } {
  return { userSpace: userSpaceOf(env), projectPath }
}

function announce(
  { output, projectPath, env }: CliContext,
  { url, port, tokenFile }: { readonly url: string; readonly port: number; readonly tokenFile: string },
): void {
  if (output.json) return output.record({ url, port, token_file: tokenFile, project: projectPath }, () => url)
  const shown = shellWord(tokenFile, env['HOME'] || homedir())
  for (const line of [
    `Serving MCP at ${url}`,
    `Clients need the header Authorization: Bearer TOKEN. The token is in ${shown}; give it to a client through its environment:`,
    `  export KIWI_SERVE_TOKEN="$(cat ${shown})"`,
    `  {"mcpServers": {"kiwi": {"type": "http", "url": "${url}", "headers": {"Authorization": "Bearer \${KIWI_SERVE_TOKEN}"}}}}`,
    'Ctrl-C stops the server; threads go on in their host.',
  ])
    output.talk(line)
}

/** The path as a shell takes it, from home where it lies there. */
function shellWord(path: string, home: string): string {
  const below = relative(home, path)
  const shown = below.startsWith('..') ? path : `~/${below}`
  return /^[\w~./-]+$/u.test(shown) ? shown : `'${path.replaceAll("'", String.raw`'\''`)}'`
}
