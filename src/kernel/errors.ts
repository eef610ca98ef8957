import type { Json } from '../json.ts'

/** Closed set of error codes that a user or an LLM can see; `docs/errors.md` lists each with its cause and remedy. */
export type ErrorCode =
  | 'INVALID_REQUEST'
  | 'ITEM_NOT_FOUND'
  | 'ITEM_UNAVAILABLE'
  | 'ITEM_UNSIGNED'
  | 'ITEM_CHANGED'
  | 'ITEM_SIGNATURE_MALFORMED'
  | 'ITEM_SIGNATURE_MISSING'
  | 'ITEM_SIGNATURE_INVALID'
  | 'ITEM_KEY_UNTRUSTED'
  | 'ITEM_KEY_PURPOSE'
  | 'ITEM_EXISTS'
  | 'MISSING_INPUTS'
  | 'CONFIG_VALIDATION_ERROR'
  | 'PARAMETER_VALIDATION_ERROR'
  | 'TOOL_CHAIN_FAILED'
  | 'EXECUTION_FAILED'
  | 'INVALID_THREAD_ID'
  | 'THREAD_ID_COLLISION'
  | 'THREAD_NOT_FOUND'
  | 'ILLEGAL_TRANSITION'
  | 'SPAWN_FAILED'
  | 'DIRECTIVE_INVALID'
  | 'BUDGET_EXCEEDED'
  | 'APPROVAL_NOT_FOUND'
  | 'APPROVAL_CLOSED'
  | 'APPROVAL_REQUIRED'
  | 'UNKNOWN_PRICE'
  | 'STREAM_INCOMPLETE'
  | 'STREAM_ERROR_EVENT'
  | 'CONNECTION_RESET'
  | 'CONNECTION_REFUSED'
  | 'DNS_FAILED'
  | 'TLS_FAILED'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'HTTP_STATUS'
  | '503_SERVICE_UNAVAILABLE'
  | 'RATE_LIMITED'
  | 'OVERLOADED'
  | 'LIMIT_EXCEEDED'
  | 'INVALID_RESPONSE'
  | 'SINK_FAILED'
  | 'PROCESS_FAILED'
  | 'PATH_OUTSIDE_PROJECT'
  | 'FILE_NOT_FOUND'
  | 'HOST_UNAVAILABLE'
  | 'MCP_CONNECTION_FAILED'
  | 'MCP_PROTOCOL_VIOLATION'
  | 'MCP_SERVER_ENDED'
  | 'MCP_TOOL_CHANGED'
  | 'JSON_RPC_ERROR'
  | 'PERMISSION_DENIED'
  | 'TOKEN_INVALID'
  | 'ADDRESS_DENIED'
  | 'SECRET_IN_PARAMETERS'
  | 'SANDBOX_UNAVAILABLE'
  | 'KEY_UNSAFE'
  | 'INTERNAL'

export interface ValidationError {
  readonly field: string
  readonly error: string
  readonly value?: Json
}

/** The link of a tool chain that failed, not its root. */
export interface FailedAt {
  readonly tool_id: string
  readonly config_path: string | null
  readonly validation_errors: readonly ValidationError[]
}

export interface ErrorContext {
  readonly chain?: readonly string[]
  readonly failedAt?: FailedAt
  readonly cause?: { readonly code: ErrorCode; readonly message: string } | null
  readonly retryable?: boolean
  readonly suggestion?: string
  /** Facts of the code (`missing_inputs`, `received`, `sanitized`, `thread_id`, …) that become fields of the body. */
  readonly facts?: Readonly<Record<string, Json>>
}

/** The one error shape of DESIGN section 4, as it goes over every door. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly chain: readonly string[]
  readonly failed_at: FailedAt | null
  readonly cause: { readonly code: ErrorCode; readonly message: string } | null
  readonly retryable: boolean
  readonly suggestion: string | null
  readonly [fact: string]: unknown
}

export interface ErrorEnvelope {
  readonly success: false
  readonly error: ErrorBody
}

/** An expected failure with everything its reader needs. `toEnvelope` is what doors show; `cause` keeps the original. */
export class KiwiError extends Error {
  override readonly name = 'KiwiError'
  readonly code: ErrorCode
  readonly context: ErrorContext

  constructor(code: ErrorCode, message: string, context: ErrorContext & { error?: unknown } = {}) {
    super(message, { cause: context.error })
    this.code = code
    this.context = context
  }

  toEnvelope(): ErrorEnvelope {
    const { chain, failedAt, cause, retryable, suggestion, facts } = this.context
    return {
      success: false,
      error: {
        ...facts,
        code: this.code,
        message: this.message,
        chain: chain ?? [],
        failed_at: failedAt ?? null,
        cause: cause ?? null,
        retryable: retryable ?? false,
        suggestion: suggestion ?? null,
      },
    }
  }
}

/** Any thrown value as an envelope; what is not ours becomes `INTERNAL` without its stack. */
export function toEnvelope(error: unknown): ErrorEnvelope {
  if (error instanceof KiwiError) return error.toEnvelope()
  const message = error instanceof Error ? error.message : String(error)
  return new KiwiError('INTERNAL', message, { error }).toEnvelope()
}
