import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { missingCapability, missingScope } from '../capabilities/gate/missing.ts'
import type { Environment } from '../config/environment.ts'
import type { ConnectorTool } from '../connectors/contract.ts'
import { KiwiError } from '../kernel/errors.ts'
import { type ConnectorRequest, isUrl } from './connector-file.ts'

/** What a directive declares to use the tools of one server: lines of `<permissions>`, some with a comment that says for which tools. */
export function permissionLines(
  { name, prefix, target }: Pick<ConnectorRequest, 'name' | 'prefix' | 'target'>,
  tools: readonly ConnectorTool[],
): readonly string[] {
  return [
    tagOf('kiwi-mcp.execute', null),
    tagOf('tool.execute', `${prefix ?? `${name}_`}*`),
    tagOf('mcp.connect', name),
    isUrl(target) ? tagOf('net.http', hostScopeOf(target[0] ?? '')) : tagOf('process.exec', null),
    ...besides(name, tools),
  ]
}

/** The permissions that only some tools need, each once. */
function besides(name: string, tools: readonly ConnectorTool[]): readonly string[] {
  const users = new Map<string, string[]>()
  for (const { toolId, requires } of tools)
    for (const requirement of requires) {
      if (requirement === `mcp.${name}`) continue
      const tag =
        typeof requirement === 'string'
          ? tagOf(requirement, null)
          : tagOf(requirement.cap, Object.values(requirement.scope)[0] ?? null)
      users.set(tag, [...(users.get(tag) ?? []), toolId])
    }
  return [...users].map(([tag, ids]) => `${tag} <!-- for ${ids.join(', ')} -->`)
}

function tagOf(capability: string, scope: string | null): string {
  const { remedy } = scope === null ? missingCapability(capability) : missingScope(capability, scope)
  if (remedy?.kind === 'tag') return remedy.text
  // A capability of the project's own module.
  const at = capability.indexOf('.')
  return `<execute resource="${capability.slice(0, at)}" action="${capability.slice(at + 1)}"/>`
}

function hostScopeOf(url: string): string {
  if (!URL.canParse(url)) return 'HOST'
  const { hostname, host, protocol } = new URL(url)
  // An address is only reached on a port that is named.
  const isAddress = /^\[|^[\d.]+$|^localhost$/.test(hostname)
  return isAddress && host === hostname ? `${host}:${protocol === 'https:' ? 443 : 80}` : host
}

/** Programs that fetch a server each time it starts. */
const FETCHERS: ReadonlySet<string> = new Set(['npx', 'bunx', 'uvx', 'pipx', 'pnpx'])

/** What works for a person and not on a thread. Only for a server that is a command. */
export function threadWarnings(request: ConnectorRequest, projectPath: string): readonly string[] {
  const { target, name, program, cwd = '.' } = request
  if (isUrl(target)) return []
  const [command = ''] = target
  if (FETCHERS.has(command)) {
    return [
      `${command} fetches the server again for every session, which takes time, and on a thread it reaches no registry. Install the server in the project: kiwi connect remove ${name}, then kiwi connect add ${name} --program node_modules -- node_modules/.bin/…`,
    ]
  }
  const parts = target
    .filter((word) => isFile(resolve(projectPath, cwd, word)))
    .map((word) => inProject(word, { projectPath, cwd }))
  const unnamed = [...new Set(parts.flatMap((part) => (part === null || isBelow(part, program) ? [] : [programOf(part)])))]
  if (unnamed.length === 0) return []
  const options = unnamed.map((path) => `--program ${path}`).join(' ')
  return [
    `A thread sees the files of this server only where it may read them. So that it always does: kiwi connect remove ${name}, and add it again with ${options}`,
  ]
}

function inProject(word: string, { projectPath, cwd }: { readonly projectPath: string; readonly cwd: string }): string | null {
  const path = relative(projectPath, resolve(projectPath, cwd, word))
  return path === '' || path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path) ? null : path.split(sep).join('/')
}

function isBelow(path: string, folders: readonly string[]): boolean {
  return folders.some((given) => {
    const folder = given.replace(/^\.\//, '').replace(/\/+$/, '')
    return folder === '.' || path === folder || path.startsWith(`${folder}/`)
  })
}

/** A package needs the packages beside it. */
function programOf(path: string): string {
  return path.startsWith('node_modules/') ? 'node_modules' : path
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** The same error, with what to do on this command line where that is known better here than at the server's side. */
export function explained(
  error: unknown,
  request: ConnectorRequest,
  { env, cwd, projectPath }: { readonly env: Environment; readonly cwd: string; readonly projectPath: string },
): unknown {
  if (!(error instanceof KiwiError) || error.code !== 'MCP_CONNECTION_FAILED') return error
  const { status = null, never_ran: neverRan = false } = error.context.facts ?? {}
  const suggestion =
    status === 401
      ? credentialsAdvice(request)
      : neverRan === true
        ? commandAdvice(request.target[0] ?? '', { env, cwd, projectPath })
        : null
  return suggestion === null
    ? error
    : new KiwiError(error.code, error.message, { ...error.context, suggestion, error: error.cause })
}

function credentialsAdvice({ bearerEnv, header }: ConnectorRequest): string {
  if (bearerEnv !== undefined) return `The server does not accept the value of ${bearerEnv}: make a new token at the service.`
  if (header.length > 0) return 'The server does not accept what the headers say.'
  return 'Make a token at the service, put it into a variable, and name that: --bearer-env VARIABLE. There is no sign-in over OAuth.'
}

function commandAdvice(
  command: string,
  { env, cwd, projectPath }: { readonly env: Environment; readonly cwd: string; readonly projectPath: string },
): string | null {
  const found = command.includes('/')
    ? [resolve(cwd, command)].find(isProgram)
    : (env['PATH'] ?? '')
        .split(delimiter)
        .filter((folder) => isAbsolute(folder))
        .map((folder) => join(folder, command))
        .find(isProgram)
  if (found === undefined) return null
  const path = inProject(found, { projectPath, cwd: '.' })
  if (path !== null) return `Paths are relative to the project: this one is ${path}.`
  return `${found} is there, but not in the sandbox: servers see the programs below /usr and the project. Install it in the project, and name it from there.`
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return isFile(path)
  } catch {
    return false
  }
}
