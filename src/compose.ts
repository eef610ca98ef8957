/**
 * The only place that wires everything: kernels get their primitives, shipped tools get the thread services, threads get their harnesses
 * and the host gets its projects.
 */
import { createHash, randomUUID } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAgentsTextReader } from './agents-text.ts'
import { type ResolvedConfig, resolveConfig, userSpaceOf } from './config/config.ts'
import type { Environment } from './config/environment.ts'
import { resolveModel } from './config/models.ts'
import { createThreadSettings, type ThreadSettings } from './config/thread-settings.ts'
import { createSecretRegistry, type SecretRegistry } from './capabilities/secrets/secret-registry.ts'
import { createRunKey, type RunKey } from './capabilities/tokens/run-key.ts'
import { safeLog } from './harness/safety/redaction.ts'
import type { HarnessServices } from './harness/safety/services.ts'
import type { JsonObject } from './json.ts'
import type { Kernel, MetaToolResult } from './kernel/contract.ts'
import { KiwiError } from './kernel/errors.ts'
import { createKernel } from './kernel/kernel.ts'
import { createHttpPrimitive } from './primitives/http-client/http-client.ts'
import { startProxy } from './primitives/network/proxy.ts'
import { createRuntimePrimitive } from './primitives/runtime/runtime.ts'
import { createSandbox } from './primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from './primitives/subprocess/subprocess.ts'
import { createRegistryOwner } from './registry-owner.ts'
import { createSafeguards } from './safeguards.ts'
import { createThreadsClient } from './threads/client/create-threads-client.ts'
import { createLazyThreadsClient } from './threads/client/lazy-threads-client.ts'
import { systemClock } from './threads/clock.ts'
import type { Engine, Runner } from './threads/engine.ts'
import { createSqliteEngine } from './threads/engines/sqlite-engine.ts'
import type { EnsureHostOptions } from './threads/host/ensure-host.ts'
import { askHost } from './threads/host/host-client.ts'
import { openHostFolder } from './threads/host/host-folder.ts'
import type { OpenedProject } from './threads/host/hosted-projects.ts'
import { runHost } from './threads/host/run-host.ts'
import { reachHost } from './threads/host/wake-host.ts'
import { createLiveBus } from './threads/live-bus.ts'
import { openStore } from './threads/store/open-store.ts'
import type { ThreadsClient } from './threads/threads-client.ts'
import { createTranscripts } from './threads/transcript/transcripts.ts'

/** The shipped `.ai` tree: beside `src` in a checkout, beside the built `src` in the package. */
const SYSTEM_SPACE: string = fileURLToPath(new URL('../system', import.meta.url))

export interface KiwiOptions {
  readonly projectPath: string
  readonly env: Environment
  /** `model` and `model_tool` override the configuration. */
  readonly flags?: Readonly<Record<string, string>>
}

/** Kiwi as a door sees it: kernels and threads per project, made when first asked for. */
export interface Kiwi {
  /** Of the project that it was created for. */
  readonly config: ResolvedConfig
  kernel(projectPath: string): Kernel
  threads(projectPath: string): ThreadsClient
  close(): Promise<void>
}

interface Project {
  readonly kernel: Kernel
  readonly services: HarnessServices
  readonly settings: ThreadSettings
  close(): Promise<void>
}

/**
 * Kiwi for a command, an MCP server or a program: threads run in the user's host process, which is started when one is spawned.
 * A registry is opened when its project's threads are first used.
 */
export function createKiwi(options: KiwiOptions): Kiwi {
  const config = resolveConfig(options)
  const secrets = createSecretRegistry()
  const projects = new Map<string, { readonly project: Project; readonly threads: ThreadsClient }>()
  const open = (path: string): { readonly project: Project; readonly threads: ThreadsClient } => {
    const projectPath = resolve(path)
    const known = projects.get(projectPath)
    if (known !== undefined) return known
    const threads = remoteThreads(projectPath, options.env)
    const opened = { project: openProject({ ...options, projectPath }, { threads, secrets, runKey: null }), threads }
    projects.set(projectPath, opened)
    return opened
  }
  return {
    config,
    kernel: (projectPath) => open(projectPath).project.kernel,
    threads: (projectPath) => open(projectPath).threads,
    async close() {
      for (const { project, threads } of projects.values()) {
        await project.close()
        threads.close()
      }
      projects.clear()
    },
  }
}

/** Some turns of a thread with a quick model; short enough that nobody who adds a file notices. */
const ITEM_TRUST_MS = 250

interface ProjectParts {
  readonly threads: ThreadsClient
  /** Of this process: what is secret in one project is shown in none. */
  readonly secrets: SecretRegistry
  /** Null in a process that runs no threads. */
  readonly runKey: RunKey | null
}

function openProject(options: KiwiOptions, { threads, secrets, runKey }: ProjectParts): Project {
  const settings = createThreadSettings({ ...options, parentOf: (threadId) => parentOf(threads, threadId) })
  const { config } = settings.of(undefined)
  const { projectPath, userSpace } = config
  const guards = createSafeguards({ projectPath, userSpace, kernel: () => bare, threads, runKey })
  secrets.addFrom(options.env, config.secrets.names)
  const sandbox = createSandbox({ mode: config.sandbox, hidden: [userSpace], startProxy })
  const http = createHttpPrimitive()
  const runtime = createRuntimePrimitive({ sandbox, userSpace })
  const bare = createKernel({
    spaces: { project: join(projectPath, '.ai'), user: userSpace, system: SYSTEM_SPACE },
    projectPath,
    trustMs: ITEM_TRUST_MS,
    indexPath: join(userSpace, 'cache', `search-${shortHash(projectPath)}.db`),
    primitives: [http, createSubprocessPrimitive({ sandbox, env: (name) => options.env[name] }), runtime],
    env: (name, context, place) => {
      const value = settings.of(context.__thread_id).lookup(name)
      if (value !== undefined) secrets.used(name, value, place.path)
      return value
    },
    authorize: guards.gate.authorize,
    review: guards.review,
    keys: guards.keys,
    now: () => Date.now(),
  })
  const readAgents = createAgentsTextReader([join(projectPath, '.ai'), SYSTEM_SPACE])
  // Runtime tools are called through the kernel, which passes `services` on without knowing them.
  const kernel: Kernel = {
    ...bare,
    async execute(request, context = {}) {
      const result = await bare.execute(request, { services: { kiwi: services }, ...context })
      // A thread's harness redacts what it keeps; what anybody else is shown is redacted here.
      return context.__thread_id === undefined ? redactedResult(secrets, result) : result
    },
  }
  const services: HarnessServices = {
    kernel,
    threads,
    resolveModel: (choice, threadId) => resolveModel(settings.of(threadId).config, choice),
    agentsText: async () => readAgents(),
    gate: guards.gate,
    authority: guards.authority,
    hostAuthority: guards.hostAuthority,
    vocabulary: guards.vocabulary,
    redactor: () => secrets.redactor(),
  }
  return {
    kernel,
    services,
    settings,
    async close() {
      bare.close()
      http.close()
      await runtime.close()
    },
  }
}

/** A result is JSON, except for what an in-process caller may put into one, which is left alone. */
function redactedResult(secrets: SecretRegistry, result: MetaToolResult): MetaToolResult {
  // A kernel's results are plain data; their types only lack an index signature.
  return secrets.redactor().json(result as unknown as JsonObject) as unknown as MetaToolResult
}

function parentOf(threads: ThreadsClient, threadId: string): string | null | undefined {
  try {
    return threads.get(threadId).parent_thread_id
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'THREAD_NOT_FOUND') return undefined
    throw error
  }
}

/** Threads as a process outside of the host sees them: the registry directly, the host through its socket. */
function remoteThreads(projectPath: string, env: Environment): ThreadsClient {
  const owner = createRegistryOwner({ userSpace: userSpaceOf(env), projectPath })
  const reach = reachHost({ ...hostOptions(userSpaceOf(env), env), projectPath })
  return createLazyThreadsClient({
    projectPath,
    registryPath: registryPath(projectPath),
    open: (path) => {
      const store = openStore(path === ':memory:' ? { path } : { path, initialise: owner.initialise })
      const client = createThreadsClient({ projectPath, store, ownsStore: true, clock: systemClock, ...reach })
      return {
        ...client,
        async spawn(request) {
          owner.assertOwn(store)
          return await client.spawn(request)
        },
      }
    },
  })
}

const HOST_START_TIMEOUT_MS = 20_000

function hostOptions(userSpace: string, env: Environment): EnsureHostOptions {
  return {
    hostDir: hostFolderOf(userSpace),
    // A debugger port would let any process of the same user read the host's keys.
    command: [process.execPath, '--disable-sigusr1', fileURLToPath(new URL(binPath(), import.meta.url)), 'host', 'run'],
    env: { ...env, USER_SPACE: userSpace },
    timeoutMs: HOST_START_TIMEOUT_MS,
  }
}

/** The package's root is one folder higher in the build. */
function binPath(): string {
  return import.meta.url.endsWith('/dist/src/compose.js') ? '../../bin/kiwi.js' : '../bin/kiwi.js'
}

const hostFolderOf = (userSpace: string): string => join(userSpace, 'host')

/** Where the threads of a project are kept. */
export const registryPath = (projectPath: string): string => join(projectPath, '.ai', 'threads', 'registry.db')

/** `kiwi host run`: runs the threads of every project that asks until it is idle, told to stop, or `signal` aborts. */
export async function runHostProcess(options: { readonly env: Environment; readonly signal: AbortSignal }): Promise<void> {
  const { env, signal } = options
  const userSpace = userSpaceOf(env)
  const { host } = resolveConfig({ projectPath: userSpace, env })
  // Lives in this process only: when it ends, every token that it gave out is void.
  const runKey = await createRunKey(() => Date.now())
  const secrets = createSecretRegistry()
  const log = safeLog(writeLog, () => secrets.redactor())
  await runHost({
    hostDir: hostFolderOf(userSpace),
    openProject: async (projectPath) => openHostedProject({ projectPath, env }, { secrets, runKey, log }),
    idleExitMs: host.idleExitMs,
    log,
    signal,
  })
}

interface HostParts extends Omit<ProjectParts, 'threads'> {
  readonly log: (line: string) => void
}

function openHostedProject(options: KiwiOptions, { log, ...parts }: HostParts): OpenedProject {
  const config = resolveConfig(options)
  const owner = createRegistryOwner({ userSpace: config.userSpace, projectPath: config.projectPath })
  const onProblem = (threadId: string, error: unknown): void => log(`problem: ${threadId} ${describe(error)}`)
  const store = openStore({
    path: registryPath(config.projectPath),
    diskFull: 'retry',
    onStall: (error) => onProblem('registry', error),
    initialise: owner.initialise,
  })
  try {
    owner.assertOwn(store)
  } catch (error) {
    void store.close()
    throw error
  }
  const bus = createLiveBus()
  const transcripts = createTranscripts({ folder: dirname(store.path), store, onProblem })
  const engine: Engine = createSqliteEngine({
    store,
    resolveRunner: (name) => resolveRunner(project, name),
    clock: systemClock,
    hostId: randomUUID(),
    transcripts,
    bus,
    onProblem,
  })
  const threads = createThreadsClient({
    projectPath: config.projectPath,
    store,
    ownsStore: false,
    clock: systemClock,
    wake: async (threadId) => engine.notify(threadId),
    watchLive: () =>
      Promise.reject(new KiwiError('INVALID_REQUEST', 'A thread is watched through the host’s socket, not inside of it.')),
  })
  const project = openProject(options, { threads, ...parts })
  return {
    engine,
    store,
    bus,
    adopt(threadId, environment) {
      try {
        project.settings.adopt(threadId, environment)
        parts.secrets.addFrom(environment, project.settings.of(threadId).config.secrets.names)
      } catch (error) {
        // The caller has read the same files and was told; a thread that is there already keeps what it had.
        onProblem(threadId, error)
      }
    },
    async close() {
      await project.close()
      transcripts.close()
      await store.close()
    },
  }
}

/** The starter of a host gives it the log file as its stderr. */
function writeLog(line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`)
}

/** A harness is a runtime tool of type `harness`: its `harness` export, or its default export, makes the runner. */
async function resolveRunner(project: Project, name: string): Promise<Runner> {
  const { item, module } = await project.kernel.importModule(name)
  const definition = item.state.kind === 'available' ? item.state.definition : null
  const factory = module['harness'] ?? module['default']
  if (definition?.kind !== 'tool' || definition.toolType !== 'harness' || typeof factory !== 'function') {
    throw new KiwiError('SPAWN_FAILED', `"${name}" is not a harness.`, {
      suggestion: 'A harness is a .ts tool with __tool_type__ = "harness" that exports a function `harness(services)`.',
    })
  }
  // The one contract of a harness file; what it gives is checked by the engine as it runs.
  return await (factory as (services: HarnessServices) => Runner | Promise<Runner>)(project.services)
}

/** The user's host process from outside. */
export function hostControl(env: Environment): { status(): Promise<JsonObject | null>; stop(): Promise<boolean> } {
  const folder = openHostFolder(hostFolderOf(userSpaceOf(env)))
  const ask = async (cmd: 'status' | 'stop'): Promise<JsonObject | null> => {
    try {
      return await askHost(folder, { cmd }, HOST_ANSWER_TIMEOUT_MS)
    } catch (error) {
      if (error instanceof KiwiError && error.code === 'HOST_UNAVAILABLE') return null
      throw error
    }
  }
  return { status: () => ask('status'), stop: async () => (await ask('stop')) !== null }
}

const HOST_ANSWER_TIMEOUT_MS = 5_000

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error))
