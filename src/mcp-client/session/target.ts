import type { NetworkGrant } from '../../primitives/sandbox/contract.ts'
import type { OpenProcess, OpenProcessRequest } from '../../primitives/subprocess/contract.ts'
import type { McpAuth } from '../contract.ts'

/** A server that is asked over Streamable HTTP. */
export interface HttpTarget {
  readonly kind: 'http'
  readonly url: string
  /** Besides those of the protocol; values are never repeated in messages. */
  readonly headers?: Readonly<Record<string, string>>
  readonly auth?: McpAuth | null
  /** Which hosts may be asked, checked before every request and redirect; undefined is none. */
  readonly network: NetworkGrant | undefined
  /** Asked again before every request; false ends the session. */
  readonly isLive?: () => boolean
}

/** A server that is started as a process and spoken to line by line. */
export interface StdioTarget {
  readonly kind: 'stdio'
  readonly open: OpenProcess
  /** `command`, `args`, `env`, `env_allow`, `cwd`, `limits` as for the `subprocess` primitive. */
  readonly process: Pick<OpenProcessRequest, 'config' | 'parameters' | 'context' | 'program'>
}
