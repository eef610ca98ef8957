/** What one server takes on. Times in milliseconds. */
export interface ServeLimits {
  /** Body of one request. More is refused before it is parsed. */
  readonly maxBodyBytes: number
  /** Sockets. More are closed as they come. */
  readonly maxConnections: number
  /** Requests of all clients that are being worked on together, open streams aside. More are refused. */
  readonly maxCalls: number
  /** Sessions of the 2025 era, and as many subscriptions of the newer one. */
  readonly maxSessions: number
  /** A session that nobody used for so long, with no stream open, is ended. */
  readonly sessionIdleMs: number
  /** When there are too many sessions, the one that was idle longest makes room, if it was idle for so long. */
  readonly sessionSpareMs: number
  /** Until the head of a request has come. */
  readonly headersTimeoutMs: number
  /** Until all of a request has come. */
  readonly requestTimeoutMs: number
  /** A socket on which nothing moves is closed; longer than any call may take. */
  readonly socketIdleMs: number
  /** How often a server with open answers looks whether its token is still the same; those of another token are cut off. */
  readonly tokenCheckMs: number
  /** Given to running calls when the server is closed. */
  readonly closeGraceMs: number
}

export const SERVE_LIMITS: ServeLimits = {
  maxBodyBytes: 4 * 1024 * 1024,
  maxConnections: 512,
  maxCalls: 64,
  maxSessions: 64,
  sessionIdleMs: 15 * 60_000,
  sessionSpareMs: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  socketIdleMs: 60_000,
  tokenCheckMs: 2000,
  closeGraceMs: 2000,
}
