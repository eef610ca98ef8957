import { KiwiError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../json.ts'
import { ensureHost } from './ensure-host.ts'
import type { EnsureHostOptions } from './ensure-host.ts'
import { askHost, watchHost } from './host-client.ts'
import { openHostFolder } from './host-folder.ts'

/** The functions by which a `ThreadsClient` outside of a host reaches one. */
export interface HostReach {
  /** Before a thread is spawned: it runs with this caller's environment. Without a host, the one that `wake` starts has it anyway. */
  announce(threadId: string): Promise<void>
  wake(threadId: string): Promise<void>
  watchLive(threadId: string, onLive: (live: JsonObject) => void, signal: AbortSignal): Promise<void>
}

const WAKE_TIMEOUT_MS = 10_000
/** A host may end between the moment it answers and the moment it is asked. */
const ATTEMPTS = 3

/** Reaches the user's host for one project, and starts it when there is none. */
export function reachHost(options: EnsureHostOptions & { readonly projectPath: string }): HostReach {
  const { projectPath } = options
  const environment = definedOnly(options.env)
  return {
    async announce(threadId) {
      const request = { cmd: 'announce', project_path: projectPath, thread_id: threadId, environment } as const
      try {
        await askHost(openHostFolder(options.hostDir), request, WAKE_TIMEOUT_MS)
      } catch (error) {
        if (!isUnavailable(error)) throw error
      }
    },
    async wake(threadId) {
      const folder = openHostFolder(options.hostDir)
      const request = { cmd: 'wake', project_path: projectPath, thread_id: threadId, environment } as const
      for (let attempt = 1; ; attempt += 1) {
        try {
          await askHost(folder, request, WAKE_TIMEOUT_MS)
          return
        } catch (error) {
          if (!isUnavailable(error) || attempt === ATTEMPTS) throw error
          await ensureHost(options)
        }
      }
    },
    async watchLive(threadId, onLive, signal) {
      await ensureHost({ ...options, signal })
      await watchHost(openHostFolder(options.hostDir), { projectPath, threadId, signal }, onLive)
    },
  }
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function isUnavailable(error: unknown): boolean {
  return error instanceof KiwiError && error.code === 'HOST_UNAVAILABLE'
}
