import type { Gate, Redactor, TokenAuthority, Vocabulary } from '../../capabilities/contract.ts'
import type { ExecutionContext } from '../../kernel/chain/primitive.ts'
import type { Kernel } from '../../kernel/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { ModelChoice } from '../../kernel/items/item.ts'
import type { ThreadsClient } from '../../threads/threads-client.ts'
import type { WireName } from '../base/conversation.ts'

/** US dollars per million tokens, by class. */
export interface PriceTable {
  readonly input: number
  readonly cache_read: number
  readonly cache_write_5m: number
  readonly cache_write_1h: number
  readonly output: number
}

/** What a directive's `<model>` means on this machine, after tiers and configuration. */
export interface ModelTarget {
  /** Thread tool that is executed, such as `anthropic_thread`. */
  readonly tool: string
  readonly wire: WireName
  /** Provider id of the price list. */
  readonly provider: string
  readonly model: string
  readonly maxOutputTokens: number
  /** Configured values win over the price list; null asks the list. */
  readonly contextWindow: number | null
  readonly price: PriceTable | null
}

/** What `compose.ts` gives to harnesses and to the shipped thread tools of one project. */
export interface HarnessServices {
  readonly kernel: Kernel
  readonly threads: ThreadsClient
  /**
   * Under the settings of `threadId` (those of its spawner), or of this process without one. Throws `KiwiError` CONFIG_VALIDATION_ERROR
   * for a tier that no configuration names.
   */
  resolveModel(choice: ModelChoice | null, threadId?: string): ModelTarget
  /** The system prompt: the project's `AGENTS.md`, else the shipped one, with its SHA-256. */
  agentsText(): Promise<{ readonly text: string; readonly sha256: string }>
  readonly gate: Gate
  /** Null in a process that runs no threads. */
  readonly authority: TokenAuthority | null
  /** Given as `__auth` where the host itself acts: its model calls, and the loading of a thread's directive. Known by identity. */
  readonly hostAuthority: object
  vocabulary(): Promise<Vocabulary>
  /** How long a question waits for its answer, in milliseconds; silence is a no. */
  approvalTimeoutMs(threadId?: string): number
  /**
   * A variable of the environment that `threadId` was spawned under (with the endpoints and keys that its configuration names), or of this
   * process without a thread. An empty one is undefined.
   */
  env(name: string, threadId?: string): string | undefined
  /** Secrets of the settings that `threadId` runs under. */
  redactor(threadId?: string): Redactor
}

/** The services of a shipped tool's call. Throws `KiwiError` INTERNAL where a caller composed none. */
export function servicesOf(context: ExecutionContext): HarnessServices {
  const services = context.services?.['kiwi']
  if (services === undefined)
    throw new KiwiError('INTERNAL', 'This tool needs the thread services, which this caller did not compose.')
  // compose.ts is the only writer of `services.kiwi`, and writes this type.
  return services as HarnessServices
}
