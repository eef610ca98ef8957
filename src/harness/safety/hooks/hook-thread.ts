import type { JsonObject } from '../../../json.ts'
import type { ThreadStart } from '../../../threads/engine.ts'

/** Start options of a thread that runs as a hook. A thread that takes over its work needs the same. */
export const HOOK_OPTIONS: JsonObject = { hook: true }

/** True for a thread that runs as a hook of another: it fires no hooks of its own, so that no hook can call itself. */
export function isHookThread({ options }: Pick<ThreadStart, 'options'>): boolean {
  return options['hook'] === true
}
