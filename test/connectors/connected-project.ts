import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { operatorGrant } from '../../src/capabilities/gate/call-grant.ts'
import { createSigningKeys } from '../../src/capabilities/keys/signing-keys.ts'
import { createConnectors } from '../../src/connectors/connectors.ts'
import type { ConnectorChange, Connectors } from '../../src/connectors/contract.ts'
import type { JsonObject } from '../../src/json.ts'
import type { SigningKeys } from '../../src/kernel/contract.ts'
import { KiwiError } from '../../src/kernel/errors.ts'
import { createMcpClient } from '../../src/mcp-client/mcp-client.ts'
import { createHttpPrimitive } from '../../src/primitives/http-client/http-client.ts'
import { withProtocols } from '../../src/primitives/json-rpc/rpc-primitive.ts'
import { createRuntimePrimitive } from '../../src/primitives/runtime/runtime.ts'
import { createSandbox } from '../../src/primitives/sandbox/sandbox.ts'
import { createProcessOpener } from '../../src/primitives/subprocess/open-process.ts'
import { createSubprocessPrimitive } from '../../src/primitives/subprocess/subprocess.ts'
import { createTestProject, type TestProject, type TestProjectOptions } from '../kernel/project.ts'

/** A project whose kernel speaks MCP, with connectors over it. */
export interface ConnectedProject extends TestProject {
  readonly connectors: Connectors
  /** Writes and signs the connector of `name`; gives its id. */
  connector(name: string, config: JsonObject, more?: JsonObject): Promise<string>
  /** Runs it as the operator. */
  run(connectorId: string, options?: Parameters<Connectors['run']>[2]): Promise<readonly ConnectorChange[]>
  /** Names below `.ai/tools/mcp/<name>`, sorted; none when there is no such folder. */
  files(name: string): Promise<readonly string[]>
  read(path: string): Promise<string>
}

const SYSTEM_SPACE = join(import.meta.dirname, '..', '..', 'system')
const NODE_MODULES = join(import.meta.dirname, '..', '..', 'node_modules')

export async function createConnectedProject(
  t: TestContext,
  options: Pick<TestProjectOptions, 'authorize'> & { readonly lockWaitMs?: number } = {},
): Promise<ConnectedProject> {
  const { lockWaitMs, ...projectOptions } = options
  const sandbox = createSandbox({ mode: 'bubblewrap' })
  const lookUp = (name: string): string | undefined => project.env.get(name)
  // The real keys of this project's own user space.
  const signing = (): SigningKeys => createSigningKeys({ userSpace: project.userSpace, projectPath: project.root })
  const client = createMcpClient({ openProcess: createProcessOpener({ sandbox, env: lookUp }) })
  const http = createHttpPrimitive()
  const runtime = createRuntimePrimitive({ sandbox })
  const project: TestProject = await createTestProject({
    authorize: async ({ chainRequires }) => ({ permitted: true, grant: operatorGrant(chainRequires) }),
    ...projectOptions,
    keys: { keyId: '', sign: async (message) => await signing().sign(message), trust: (...asked) => signing().trust(...asked) },
    primitives: [
      withProtocols(http, [client.overHttp]),
      withProtocols(createSubprocessPrimitive({ sandbox, env: lookUp }), [client.overStdio]),
      runtime,
    ],
  })
  t.after(async () => {
    await client.close()
    http.close()
    await runtime.close()
    await project[Symbol.asyncDispose]()
  })
  const { root, userSpace } = project
  const spaces = { project: join(root, '.ai'), user: userSpace, system: SYSTEM_SPACE }
  const connectors = createConnectors({
    kernel: project.kernel,
    projectPath: root,
    spaces,
    keys: signing(),
    env: lookUp,
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    ...(lockWaitMs === undefined ? {} : { lockWaitMs }),
  })
  return {
    ...project,
    connectors,
    async connector(name, config, more = {}) {
      const id = `${name}_connector`
      const file = {
        tool_id: id,
        tool_type: 'mcp_connector',
        version: '1.0.0',
        executor_id: 'mcp_connector',
        description: `The tools of ${name}.`,
        requires: [{ cap: 'mcp.connect', scope: { server: name } }],
        config,
        ...more,
      }
      // JSON is YAML.
      await project.item(`tools/mcp/${name}/${id}.yaml`, JSON.stringify(file))
      return id
    },
    run: async (id, run = {}) => (await connectors.run(id, { projectPath: root }, run)).changes,
    files: async (name) => (await readdir(join(root, '.ai/tools/mcp', name)).catch((): string[] => [])).toSorted(),
    read: async (path) => await readFile(join(root, path), 'utf8'),
  }
}

/**
 * Configuration of a connector for a server from npm, whose packages the project gets as its own `node_modules`: what lies elsewhere, no
 * sandbox shows.
 */
export function npmServer(
  { root }: Pick<TestProject, 'root'>,
  name: 'everything' | 'filesystem' | 'memory',
  args: readonly string[] = [],
): JsonObject {
  installInto(root, `@modelcontextprotocol/server-${name}`)
  return {
    command: 'node',
    args: [`node_modules/@modelcontextprotocol/server-${name}/dist/index.js`, ...args],
    program: ['node_modules'],
  }
}

/** Links the files of a package of this repository, and of all that it depends on. */
export function installInto(root: string, packageName: string): void {
  const wanted = [packageName]
  const seen = new Set<string>()
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const from = join(NODE_MODULES, name)
    if (seen.has(name) || !existsSync(from)) continue
    seen.add(name)
    const to = join(root, 'node_modules', name)
    mkdirSync(dirname(to), { recursive: true })
    copyLinked(from, to)
    // A package that npm installed has this form.
    const { dependencies = {} } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as { dependencies?: object }
    wanted.push(...Object.keys(dependencies))
  }
}

/** Hard links take no time; where the project is on another file system, the files are copied. */
function copyLinked(from: string, to: string): void {
  try {
    execFileSync('cp', ['-al', from, to], { stdio: 'ignore' })
  } catch {
    cpSync(from, to, { recursive: true })
  }
}

/** Puts text in a file of the project, without signing it. */
export async function overwrite(project: TestProject, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(project.root, path)), { recursive: true })
  await writeFile(join(project.root, path), text)
}

/** What each upstream tool came to: `name what`. */
export function outcomes(changes: readonly ConnectorChange[]): readonly string[] {
  return changes.map(({ upstream, toolId, what }) => `${upstream ?? toolId} ${what}`)
}

/** The error that a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<KiwiError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof KiwiError) return error
    throw error
  }
  throw new Error('expected a failure')
}
