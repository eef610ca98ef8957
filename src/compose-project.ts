/** One project as a process holds it: its kernel with the primitives, and what shipped tools and harnesses are given. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAgentsTextReader } from './agents-text.ts'
import { createPrimitives } from './compose-primitives.ts'
import type { Environment } from './config/environment.ts'
import { resolveModel } from './config/models.ts'
import { createThreadSettings, type ThreadSettings } from './config/thread-settings.ts'
import type { SecretRegistry } from './capabilities/secrets/secret-registry.ts'
import type { RunKey } from './capabilities/tokens/run-key.ts'
import type { Connectors } from './connectors/contract.ts'
import { lazyConnectors } from './connectors/lazy-connectors.ts'
import type { HarnessServices } from './harness/safety/services.ts'
import type { JsonObject } from './json.ts'
import type { Kernel, KernelOptions, MetaToolResult } from './kernel/contract.ts'
import { KiwiError } from './kernel/errors.ts'
import { createKernel } from './kernel/kernel.ts'
import { startProxy } from './primitives/network/proxy.ts'
import { createSandbox } from './primitives/sandbox/sandbox.ts'
import { createSafeguards } from './safeguards.ts'
import type { ThreadsClient } from './threads/threads-client.ts'

/** The shipped `.ai` tree: beside `src` in a checkout, beside the built `src` in the package. */
const SYSTEM_SPACE: string = fileURLToPath(new URL('../system', import.meta.url))

export interface KiwiOptions {
  readonly projectPath: string
  readonly env: Environment
  /** `model` and `model_tool` override the configuration. */
  readonly flags?: Readonly<Record<string, string>>
}

export interface Project {
  readonly kernel: Kernel
  readonly connectors: Connectors
  readonly services: HarnessServices
  readonly settings: ThreadSettings
  close(): Promise<void>
}

/** Some turns of a thread with a quick model; short enough that nobody who adds a file notices. */
const ITEM_TRUST_MS = 250

export interface ProjectParts {
  readonly threads: ThreadsClient
  /** Of this process: what is secret in one project is shown in none. */
  readonly secrets: SecretRegistry
  /** Null in a process that runs no threads. */
  readonly runKey: RunKey | null
}

export function openProject(options: KiwiOptions, { threads, secrets, runKey }: ProjectParts): Project {
  const settings = createThreadSettings({ ...options, parentOf: (threadId) => parentOf(threads, threadId) })
  const { config } = settings.of(undefined)
  const { projectPath, userSpace } = config
  const guards = createSafeguards({ projectPath, userSpace, kernel: () => bare, threads, runKey })
  secrets.addFrom(options.env, config.secrets.names)
  const sandbox = createSandbox({ mode: config.sandbox, hidden: [userSpace], startProxy })
  const primitives = createPrimitives({ sandbox, userSpace, env: (name) => options.env[name] })
  const spaces = { project: join(projectPath, '.ai'), user: userSpace, system: SYSTEM_SPACE }
  const env: KernelOptions['env'] = (name, context, place) => {
    const value = settings.of(context.__thread_id).lookup(name)
    if (value !== undefined) secrets.used(name, value, place.path)
    return value
  }
  const bare = createKernel({
    spaces,
    projectPath,
    trustMs: ITEM_TRUST_MS,
    indexPath: join(userSpace, 'cache', `search-${shortHash(projectPath)}.db`),
    primitives: primitives.list,
    env,
    authorize: guards.gate.authorize,
    review: guards.review,
    keys: guards.keys,
    now: () => Date.now(),
  })
  const connectors = lazyConnectors(async () => {
    const { createConnectors } = await import('./connectors/connectors.ts')
    return createConnectors({ kernel: bare, projectPath, spaces, keys: guards.keys, env, now: () => Date.now() })
  })
  const readAgents = createAgentsTextReader([join(projectPath, '.ai'), SYSTEM_SPACE])
  // Runtime tools are called through the kernel, which passes `services` on without knowing them.
  const kernel: Kernel = {
    ...bare,
    async execute(request, context = {}) {
      const result = await bare.execute(request, { services: { kiwi: services, connectors }, ...context })
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
    approvalTimeoutMs: (threadId) => settings.of(threadId).config.approvals.timeoutMs,
    env(name, threadId) {
      const value = settings.of(threadId).lookup(name)
      // By the name it is asked for by, where the configuration lets another variable stand behind it.
      secrets.addFrom({ [name]: value }, [])
      return value
    },
    redactor: () => secrets.redactor(),
  }
  return {
    kernel,
    connectors,
    services,
    settings,
    async close() {
      // First what runs: a call of an external server or a worker may still ask the kernel.
      await primitives.close()
      bare.close()
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
    const { parent_thread_id: parentId, continues } = threads.get(threadId)
    // Who goes on with the work of another thread does it where that one ran.
    return continues?.thread_id ?? parentId
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'THREAD_NOT_FOUND') return undefined
    throw error
  }
}

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)
