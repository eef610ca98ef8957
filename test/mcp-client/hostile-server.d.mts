/** Types of hostile-server.mjs, which is JavaScript because the Node of a sandbox may be one that takes no TypeScript. */
import type { IncomingMessage } from 'node:http'

export type Mode =
  | 'good'
  | 'long_line'
  | 'deep_json'
  | 'wrong_id'
  | 'duplicate_id'
  | 'result_and_error'
  | 'id_type'
  | 'bad_result'
  | 'garbage'
  | 'garbage_first'
  | 'hang'
  | 'progress_forever'
  | 'crash'
  | 'exit_first'
  | 'exit_at_probe'
  | 'silent_at_probe'
  | 'endless_pages'
  | 'cursor_loop'
  | 'many_tools'
  | 'changed_tools'
  | 'flood'
  | 'sampling'
  | 'elicitation'
  | 'roots'
  | 'stderr_flood'
  | 'ping'

export interface HostileHttpServer extends AsyncDisposable {
  readonly url: string
  readonly cancelled: readonly unknown[]
  readonly requests: readonly IncomingMessage[]
}

/** The same server over Streamable HTTP; `form` is how it answers. */
export declare function serveHostile(mode: Mode, form?: 'events' | 'json'): Promise<HostileHttpServer>
