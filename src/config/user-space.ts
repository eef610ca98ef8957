import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Environment } from './environment.ts'

/** `$USER_SPACE`, else `~/.ai`; absolute. */
export function userSpaceOf(env: Environment): string {
  return resolve(env['USER_SPACE'] || join(env['HOME'] || homedir(), '.ai'))
}
