/** The host process of a user: it opens projects, runs their threads, and is asked for its status from outside. */
import { randomUUID } from 'node:crypto'
import { dirname } from 'node:path'
import { createSecretRegistry } from './capabilities/secrets/secret-registry.ts'
import { createRunKey } from './capabilities/tokens/run-key.ts'
import { type KiwiOptions, openProject, type ProjectParts } from './compose-project.ts'
import { resolveConfig } from './config/config.ts'
import { userSpaceOf } from './config/user-space.ts'
import type { Environment } from './config/environment.ts'
import { safeLog } from './harness/safety/redaction.ts'
import type { JsonObject } from './json.ts'
import { KiwiError } from './kernel/errors.ts'
import { hostFolderOf, registryPath } from './places.ts'
import { createRegistryOwner } from './registry-owner.ts'
import { createThreadsClient } from './threads/client/create-threads-client.ts'
import { systemClock } from './threads/clock.ts'
import { createRunners } from './compose-runners.ts'
import type { Engine } from './threads/engine.ts'
import { createSqliteEngine } from './threads/engines/sqlite-engine.ts'
import { askHost } from './threads/host/host-client.ts'
import { openHostFolder } from './threads/host/host-folder.ts'
import type { OpenedProject } from './threads/host/hosted-projects.ts'
import { runHost } from './threads/host/run-host.ts'
import { createLiveBus } from './threads/live-bus.ts'
import { openStore } from './threads/store/open-store.ts'
import { createTranscripts } from './threads/transcript/transcripts.ts'

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
    resolveRunner: (name) => runners.of(name),
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
  const runners = createRunners(project)
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

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error))
