import { rmSync, truncateSync } from 'node:fs'
import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { MAX_LOG_BYTES } from './ensure-host.ts'
import { askHost } from './host-client.ts'
import { chooseSocketPath, openHostFolder, sizeOf } from './host-folder.ts'
import type { HostFolder } from './host-folder.ts'
import { takeHostLock } from './host-lock.ts'
import { createHostedProjects } from './hosted-projects.ts'
import type { HostedProjects, OpenProject } from './hosted-projects.ts'
import { openProjectList } from './project-list.ts'
import type { HostRequest } from './protocol.ts'
import { listenOnSocket } from './socket-server.ts'
import type { Peer, SocketServer } from './socket-server.ts'

export interface RunHostOptions {
  readonly hostDir: string
  readonly openProject: OpenProject
  /** Ends after this long without a thread to run, a request or a watcher. */
  readonly idleExitMs: number
  readonly log: (line: string) => void
  /** Aborts for a drain: running steps get up to 10 s. */
  readonly signal: AbortSignal
}

export type HostEnd = 'idle' | 'stopped' | 'signal' | 'already_running'

/** A host that ends may need as long as its drain to let go of the lock. */
const LOCK_WAIT_MS = 15_000
const DRAIN_MS = 10_000
const IDLE_LOOKS = 4

/**
 * Runs the user's host until it is idle, told to stop, or its signal aborts. Only one lives per folder; another one returns
 * `already_running` at once. On start it recovers every project that may have unfinished threads.
 */
export async function runHost(options: RunHostOptions): Promise<HostEnd> {
  const folder = openHostFolder(options.hostDir)
  const lock = await takeHostLock(folder.lockPath, {
    waitMs: LOCK_WAIT_MS,
    isHopeless: () => answers(folder),
    signal: options.signal,
  })
  if (lock === null) return options.signal.aborted ? 'signal' : 'already_running'
  try {
    return await hostUntilEnd(folder, options)
  } finally {
    lock.release()
  }
}

async function answers(folder: HostFolder): Promise<boolean> {
  try {
    await askHost(folder, { cmd: 'ping' }, 1_000)
    return true
  } catch {
    // The holder of the lock does not answer: it is ending, or has not begun to listen.
    return false
  }
}

async function hostUntilEnd(folder: HostFolder, options: RunHostOptions): Promise<HostEnd> {
  const problem = (error: unknown): void => options.log(`problem: ${error instanceof Error ? error.message : String(error)}`)
  const list = openProjectList(folder.projectsPath, problem)
  const projects = createHostedProjects({ openProject: options.openProject, list, log: options.log })
  const ending = Promise.withResolvers<HostEnd>()
  const startedAt = new Date().toISOString()
  const socketPath = chooseSocketPath(folder)
  const handle = (request: HostRequest, peer: Peer): Promise<JsonObject> =>
    handleRequest({ projects, startedAt, end: ending.resolve }, request, peer)
  const server = await listenOnSocket({ path: socketPath, handle, onProblem: problem })
  const onAbort = (): void => ending.resolve('signal')
  options.signal.addEventListener('abort', onAbort, { once: true })
  if (options.signal.aborted) onAbort()
  options.log(`host ${process.pid} listens`)
  const recovered = projects.recoverAll()
  const idle = watchIdle({ folder, projects, server, recovered, options, end: () => ending.resolve('idle') })
  const end = await ending.promise
  clearInterval(idle)
  options.signal.removeEventListener('abort', onAbort)
  options.log(`host ${process.pid} ends (${end})`)
  await server.close()
  rmSync(socketPath, { force: true })
  await projects.close(DRAIN_MS)
  return end
}

interface IdleWatch {
  readonly folder: HostFolder
  readonly projects: HostedProjects
  readonly server: SocketServer
  readonly recovered: Promise<void>
  readonly options: RunHostOptions
  readonly end: () => void
}

function watchIdle(watch: IdleWatch): NodeJS.Timeout {
  const { idleExitMs } = watch.options
  let lastBusy = performance.now()
  let recovering = true
  void watch.recovered.finally(() => {
    recovering = false
    lastBusy = performance.now()
  })
  return setInterval(
    () => {
      if (sizeOf(watch.folder.logPath) > MAX_LOG_BYTES * 2) truncateSync(watch.folder.logPath, 0)
      const busy = recovering || watch.server.busy() > 0 || watch.projects.active() > 0
      if (busy) lastBusy = performance.now()
      else if (performance.now() - lastBusy >= idleExitMs) watch.end()
    },
    Math.min(1_000, Math.max(5, idleExitMs / IDLE_LOOKS)),
  )
}

async function handleRequest(
  host: { readonly projects: HostedProjects; readonly startedAt: string; readonly end: (end: HostEnd) => void },
  request: HostRequest,
  peer: Peer,
): Promise<JsonObject> {
  switch (request.cmd) {
    case 'ping':
      return { pid: process.pid, started_at: host.startedAt }
    case 'status':
      return { pid: process.pid, started_at: host.startedAt, active: host.projects.active(), projects: host.projects.summary() }
    case 'stop':
      // After the answer has been written.
      setImmediate(() => host.end('stopped'))
      return {}
    case 'wake': {
      const project = await host.projects.get(request.project_path)
      if (request.environment !== null) project.adopt?.(request.thread_id, request.environment)
      project.engine.notify(request.thread_id)
      return {}
    }
    case 'announce': {
      const project = await host.projects.get(request.project_path)
      project.adopt?.(request.thread_id, request.environment)
      return {}
    }
    case 'watch':
      await watchThread(host.projects, request, peer)
      return {}
  }
}

/** Sends live messages until the thread ends or the peer goes away. */
async function watchThread(
  projects: HostedProjects,
  request: { readonly project_path: string; readonly thread_id: string },
  peer: Peer,
): Promise<void> {
  const project = await projects.get(request.project_path)
  const ended = project.isEnded(request.thread_id)
  if (ended === null) throw new KiwiError('THREAD_NOT_FOUND', `No thread ${request.thread_id} is in this project's registry.`)
  await new Promise<void>((resolve) => {
    if (ended || peer.closed.aborted) return resolve()
    const finish = (): void => {
      unsubscribe()
      resolve()
    }
    const unsubscribe = project.bus.subscribe(request.thread_id, (live) => {
      if (!peer.send({ live }) || (live['type'] === 'event' && project.isEnded(request.thread_id) === true)) finish()
    })
    peer.closed.addEventListener('abort', finish, { once: true })
  })
  peer.send({ end: true })
}
