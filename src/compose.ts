/**
 * The only place that wires everything: kernels get their primitives, shipped tools get the thread services, threads get their harnesses
 * and the host gets its projects.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSecretRegistry } from './capabilities/secrets/secret-registry.ts'
import { type KiwiOptions, openProject, type Project } from './compose-project.ts'
import { type ResolvedConfig, resolveConfig } from './config/config.ts'
import { userSpaceOf } from './config/user-space.ts'
import type { Environment } from './config/environment.ts'
import type { Connectors } from './connectors/contract.ts'
import type { JsonObject } from './json.ts'
import type { Kernel } from './kernel/contract.ts'
import { hostFolderOf, registryPath } from './places.ts'
import { createRegistryOwner } from './registry-owner.ts'
import { createThreadsClient } from './threads/client/create-threads-client.ts'
import { createLazyThreadsClient } from './threads/client/lazy-threads-client.ts'
import { systemClock } from './threads/clock.ts'
import type { EnsureHostOptions } from './threads/host/ensure-host.ts'
import { reachHost } from './threads/host/wake-host.ts'
import { openStore } from './threads/store/open-store.ts'
import type { ThreadsClient } from './threads/threads-client.ts'

export type { KiwiOptions }

/** Kiwi as a door sees it: kernels and threads per project, made when first asked for. */
export interface Kiwi {
  /** Of the project that it was created for. */
  readonly config: ResolvedConfig
  kernel(projectPath: string): Kernel
  threads(projectPath: string): ThreadsClient
  connectors(projectPath: string): Connectors
  /** The same value without the secrets that this process knows: those of its environment and of what it has used. */
  redact(value: JsonObject): JsonObject
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
    connectors: (projectPath) => open(projectPath).project.connectors,
    redact: (value) => secrets.redactor().json(value),
    async close() {
      for (const { project, threads } of projects.values()) {
        await project.close()
        threads.close()
      }
      projects.clear()
    },
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
