import { inspect } from 'node:util'
import type { Json } from '../../json.ts'
import { ConfinedPathError } from '../../primitives/files/relative-path.ts'
import type { MetaToolResult } from '../contract.ts'
import { KiwiError, type ErrorBody, type ErrorCode, type ErrorEnvelope } from '../errors.ts'
import type { PrimitiveOutcome } from './primitive.ts'
import type { Chain } from './resolve-chain.ts'

type OutcomeError = NonNullable<PrimitiveOutcome['error']>

const MAX_MESSAGE_CHARS = 4_000

/** A primitive that ran and failed; one that refused its configuration is a failure of the chain instead. */
export function primitiveFailure(
  chain: Chain,
  { value, error }: PrimitiveOutcome & { readonly error: OutcomeError },
): MetaToolResult {
  const envelope = new KiwiError(codeShown(error), `"${chain.leaf.id}" failed: ${error.message}`, {
    chain: chain.ids,
    failedAt: { tool_id: chain.primitive.id, config_path: null, validation_errors: [] },
    cause: causeOf(error),
    retryable: error.retryable,
    ...(error.suggestion === undefined ? {} : { suggestion: error.suggestion }),
    facts: jsonFacts(error.detail ?? {}),
  }).toEnvelope()
  return value === null || value === undefined ? envelope : { ...envelope, result: value }
}

function codeShown({ code, isOwn }: OutcomeError): ErrorCode {
  // Primitives take their codes from the closed set; they only do not import it.
  if (isOwn === true) return code as ErrorCode
  return code === 'CONFIG_VALIDATION_ERROR' ? 'TOOL_CHAIN_FAILED' : 'EXECUTION_FAILED'
}

function causeOf({ code, message, isOwn, detail }: OutcomeError): { readonly code: ErrorCode; readonly message: string } | null {
  const behind = isOwn === true ? detail?.['cause'] : code
  // As above; what lies behind a code of its own comes from the same set, or says it in its words.
  return typeof behind === 'string' ? { code: behind as ErrorCode, message } : null
}

/** What a tool threw, as the error its caller sees: our own errors keep their code and facts. */
export function thrownFailure(chain: Chain, thrown: unknown): KiwiError {
  const failedAt = { tool_id: chain.leaf.id, config_path: null, validation_errors: [] }
  if (thrown instanceof KiwiError) {
    return new KiwiError(thrown.code, thrown.message, {
      ...thrown.context,
      error: thrown.cause,
      chain: thrown.context.chain ?? chain.ids,
      failedAt: thrown.context.failedAt ?? failedAt,
    })
  }
  if (thrown instanceof ConfinedPathError) {
    const { code, path } = thrown
    return new KiwiError(code, thrown.message, { error: thrown, chain: chain.ids, failedAt, facts: { path } })
  }
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : inspect(thrown)
  return new KiwiError('EXECUTION_FAILED', `"${chain.leaf.id}" failed: ${message.slice(0, MAX_MESSAGE_CHARS)}`, {
    error: thrown,
    chain: chain.ids,
    failedAt,
    cause: { code: 'EXECUTION_FAILED', message: message.slice(0, MAX_MESSAGE_CHARS) },
  })
}

/** The failure that a runtime tool returned as `{success: false, error}`, in the one error shape; null for any other value. */
export function returnedFailure(chain: Chain, value: unknown): ErrorEnvelope | null {
  if (!isRecord(value) || value['success'] !== false || !Object.hasOwn(value, 'error')) return null
  const returned = value['error']
  const given = isRecord(returned) ? returned : {}
  const said = given['message'] ?? returned
  const message = typeof said === 'string' ? said : `"${chain.leaf.id}" reported a failure.`
  const base = thrownFailure(chain, new KiwiError('EXECUTION_FAILED', message)).toEnvelope().error
  // A tool's own code is passed on as it is: it is that tool's vocabulary.
  const body = { ...base, ...given, message } as ErrorBody
  return { success: false, error: body }
}

function jsonFacts(detail: Readonly<Record<string, unknown>>): Readonly<Record<string, Json>> {
  const facts: [string, Json][] = []
  for (const [name, value] of Object.entries(detail)) {
    if (value === undefined || typeof value === 'function' || typeof value === 'bigint' || typeof value === 'symbol') continue
    // Primitives describe their failures in plain data.
    facts.push([name, value as Json])
  }
  return Object.fromEntries(facts)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
