import type { HttpError } from './contract.ts'
import type { EventDelivery } from './event-delivery.ts'
import type { ExchangeContext } from './exchange.ts'

/** What one attempt came to, by HTTP or by WebSocket. */
export interface AttemptResult {
  readonly statusCode: number | null
  readonly headers: Readonly<Record<string, string>>
  /** Null for a stream that began. */
  readonly body: unknown
  readonly error: HttpError | null
  /** Nothing was sent, or the server refused before it did any work. */
  readonly surelyNotActed: boolean
  /** Requests that this attempt sent: redirects and the repeat on a stale connection count. */
  readonly requests: number
}

export interface AttemptContext extends ExchangeContext {
  readonly delivery: EventDelivery
  /** What messages call the request. */
  readonly name: string
}
