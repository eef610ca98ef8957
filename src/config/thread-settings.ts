import type { Environment } from './environment.ts'
import { type ConfigInput, type ResolvedConfig, resolveConfig } from './config.ts'
import { envLookup } from './models.ts'

/** A configuration with the environment that it was resolved under: a base URL and its key always come from the same caller. */
export interface Settings {
  readonly config: ResolvedConfig
  /** `${NAME}` of tool files. */
  readonly lookup: (name: string) => string | undefined
}

/**
 * The settings of each thread of one project. A host lives longer than the shell that started it, so a thread keeps those of the caller
 * that spawned it; whoever steers it later changes nothing. A child has its parent's.
 */
export interface ThreadSettings {
  /** Without a thread, or for one that nobody announced, those of this process. */
  of(threadId: string | undefined): Settings
  /**
   * Takes the environment of the first caller that speaks of a thread, with the configuration files as they are now.
   *
   * @throws KiwiError CONFIG_VALIDATION_ERROR
   */
  adopt(threadId: string, env: Environment): void
}

export interface ThreadSettingsOptions extends ConfigInput {
  /** Null for a root. Undefined for a thread that is not in the registry. */
  readonly parentOf: (threadId: string) => string | null | undefined
}

/** Threads whose settings are kept; the oldest are forgotten first. */
const MAX_THREADS = 20_000

export function createThreadSettings(options: ThreadSettingsOptions): ThreadSettings {
  const own = resolve(options, options.env)
  const threads = new Map<string, Settings>()
  const keep = (threadId: string, settings: Settings): Settings => {
    const oldest = threads.size >= MAX_THREADS ? threads.keys().next().value : undefined
    if (oldest !== undefined) threads.delete(oldest)
    threads.set(threadId, settings)
    return settings
  }
  const of = (threadId: string | undefined): Settings => {
    if (threadId === undefined) return own
    const known = threads.get(threadId)
    if (known !== undefined) return known
    const parent = options.parentOf(threadId)
    // Not remembered for an unknown root: its caller may still announce it.
    return typeof parent === 'string' ? keep(threadId, of(parent)) : own
  }
  return {
    of,
    adopt(threadId, env) {
      if (!threads.has(threadId)) keep(threadId, resolve(options, env))
    },
  }
}

function resolve(input: ConfigInput, env: Environment): Settings {
  const config = resolveConfig({ ...input, env })
  return { config, lookup: envLookup(config, env) }
}
