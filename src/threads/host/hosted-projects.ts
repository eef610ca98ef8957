import { statSync } from 'node:fs'
import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import type { Engine } from '../engine.ts'
import type { LiveBus } from '../live-bus.ts'
import { statusInRegistry } from '../signals/signals.ts'
import { isTerminal } from '../status.ts'
import { integer } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'
import type { ProjectList } from './project-list.ts'

/** What a host needs of one project: its engine, and what the engine stands on. */
export interface OpenedProject {
  readonly engine: Engine
  readonly store: Store
  readonly bus: LiveBus
  /** Hears of a thread, with the environment of the caller that speaks of it. */
  adopt?(threadId: string, environment: Readonly<Record<string, string>>): void
  /** Closes everything but the engine, which the host has closed before. */
  close(): Promise<void>
}

export type OpenProject = (projectPath: string) => Promise<OpenedProject>

export interface HostedProject extends OpenedProject {
  /** Null for an unknown thread. */
  isEnded(threadId: string): boolean | null
}

/** The projects of a host, opened when first asked for, each recovered before anything else happens to it. */
export interface HostedProjects {
  /** @throws {KiwiError} FILE_NOT_FOUND for a path that is not a folder. */
  get(projectPath: string): Promise<HostedProject>
  /** Opens every project of the list. A project that fails is logged and does not keep the others. */
  recoverAll(): Promise<void>
  active(): number
  summary(): readonly JsonObject[]
  /** Lets running steps end, up to `graceMs`, and forgets projects that have nothing unfinished. */
  close(graceMs: number): Promise<void>
}

export function createHostedProjects(options: {
  readonly openProject: OpenProject
  readonly list: ProjectList
  readonly log: (line: string) => void
}): HostedProjects {
  const { list, log } = options
  const opening = new Map<string, Promise<HostedProject>>()
  const open = new Map<string, HostedProject>()

  function get(projectPath: string): Promise<HostedProject> {
    const found = opening.get(projectPath)
    if (found !== undefined) return found
    const project = openAndRecover(projectPath)
    opening.set(projectPath, project)
    // A project that could not be opened is tried again when it is asked for again.
    project.catch(() => opening.delete(projectPath))
    return project
  }

  async function openAndRecover(projectPath: string): Promise<HostedProject> {
    if (statSync(projectPath, { throwIfNoEntry: false })?.isDirectory() !== true) {
      list.remove(projectPath)
      throw new KiwiError('FILE_NOT_FOUND', 'The project folder that a host was asked for does not exist.')
    }
    const opened = await options.openProject(projectPath)
    // Before anything runs: a host that dies in the next moment finds its way back.
    list.add(projectPath)
    const project: HostedProject = { ...opened, isEnded: (threadId) => endedInRegistry(opened.store, threadId) }
    const recovered = await recoverOrClose(project)
    open.set(projectPath, project)
    if (recovered.length > 0) log(`recovered ${recovered.length} threads`)
    return project
  }

  return {
    get,
    async recoverAll() {
      const results = await Promise.allSettled(list.paths().map(get))
      for (const result of results) if (result.status === 'rejected') log(`problem: ${String(result.reason)}`)
    },
    active: () => sum([...open.values()].map((project) => project.engine.active())),
    summary: () =>
      [...open].map(([path, project]) => ({
        project_path: path,
        active: project.engine.active(),
        unfinished: unfinished(project.store),
      })),
    async close(graceMs) {
      await Promise.allSettled(opening.values())
      await Promise.allSettled([...open].map(([path, project]) => closeProject({ path, project, list, graceMs })))
    },
  }
}

/** A project that cannot be recovered is opened anew when it is asked for again, so nothing of this try may go on beside that one. */
async function recoverOrClose(project: OpenedProject): Promise<readonly string[]> {
  try {
    return await project.engine.recover()
  } catch (error) {
    await project.engine.close(0)
    await project.close()
    throw error
  }
}

async function closeProject(at: {
  readonly path: string
  readonly project: HostedProject
  readonly list: ProjectList
  readonly graceMs: number
}): Promise<void> {
  await at.project.engine.close(at.graceMs)
  if (unfinished(at.project.store) === 0) at.list.remove(at.path)
  await at.project.close()
}

function endedInRegistry(store: Store, threadId: string): boolean | null {
  const status = statusInRegistry(store, threadId)
  return status === null ? null : isTerminal(status)
}

function unfinished(store: Store): number {
  const row = store
    .statement("SELECT COUNT(*) AS count FROM threads WHERE status IN ('spawning','running','paused','waiting')")
    .get()
  return row === undefined ? 0 : integer(row, 'count')
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
