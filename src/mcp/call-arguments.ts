import { realpathSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { ValidateFunction } from 'ajv'
import type { Json, JsonObject } from '../json.ts'
import type { MetaToolRequest } from '../kernel/contract.ts'
import { KiwiError } from '../kernel/errors.ts'

/** The part of a meta-tool that a client is shown. */
export interface ToolSchema {
  readonly name: string
  readonly schema: JsonObject
}

/**
 * Checks the arguments of a call against the schema that the client was shown; the protocol library does not.
 *
 * Schemas are compiled at a tool's first call. Keys that begin with `__` are refused at the top of the arguments and of `parameters`: they belong to the
 * execution context, and a caller that could write them would be another caller.
 *
 * @throws KiwiError INVALID_REQUEST with one validation error for each field.
 */
export async function parseCallArguments(tool: ToolSchema, given: unknown): Promise<MetaToolRequest> {
  const validate = await validatorOf(tool)
  const value = given ?? {}
  if (!validate(value)) throw invalidArguments(tool.name, validate)
  const request = value as MetaToolRequest // validated against the schema of this very type on the line above
  const reserved = [...Object.keys(request), ...Object.keys(request.parameters ?? {})].find((key) => key.startsWith('__'))
  if (reserved !== undefined) {
    throw new KiwiError('INVALID_REQUEST', `\`${reserved}\` cannot be given by a caller.`, {
      suggestion: 'Names that begin with two underscores are set by Kiwi itself. Leave it out.',
    })
  }
  return request
}

/**
 * The project of a call: `given`, else `fallback`; with links resolved, so that one folder is one project.
 *
 * @throws KiwiError INVALID_REQUEST when `given` is not an existing absolute folder.
 */
export function projectOfCall(given: string | undefined, fallback: string): string {
  if (given === undefined) return fallback
  if (!isAbsolute(given) || given.includes('\0')) throw invalidProject(given, 'is not an absolute path')
  try {
    if (statSync(given).isDirectory()) return realpathSync(given)
  } catch {
    // Gone, closed to this user, too long for a path: to a caller it is all the same.
  }
  throw invalidProject(given, 'is not an existing folder')
}

function invalidProject(given: string, what: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', `\`project_path\` ${what}: ${given.slice(0, 200)}`, {
    suggestion: 'Give the absolute path of an existing folder, or leave it out to use the folder the server was started in.',
  })
}

const validators = new WeakMap<ToolSchema, ValidateFunction>()

async function validatorOf(tool: ToolSchema): Promise<ValidateFunction> {
  const known = validators.get(tool)
  if (known !== undefined) return known
  const { Ajv } = await import('ajv')
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true, strict: false }).compile(tool.schema)
  validators.set(tool, validate)
  return validate
}

function invalidArguments(name: string, validate: ValidateFunction): KiwiError {
  const errors = (validate.errors ?? []).slice(0, 10).map((error) => {
    const extra: unknown = error.params['additionalProperty'] ?? error.params['missingProperty']
    const path = error.instancePath.slice(1).replaceAll('/', '.')
    const field = [path, typeof extra === 'string' ? extra : ''].filter((part) => part !== '').join('.')
    const allowed: unknown = error.params['allowedValues']
    const choices = Array.isArray(allowed) ? `: ${allowed.join(', ')}` : ''
    return {
      field: field === '' ? '(arguments)' : field,
      error: `${error.message ?? 'is not valid'}${choices}`,
      ...shownValue(error.data),
    }
  })
  const [first] = errors
  return new KiwiError(
    'INVALID_REQUEST',
    `The arguments of \`${name}\` are not valid: ${first === undefined ? '' : `\`${first.field}\` ${first.error}`}.`,
    {
      failedAt: { tool_id: name, config_path: null, validation_errors: errors },
      suggestion: 'Correct the fields named in validation_errors; help explains each tool.',
    },
  )
}

/** Only small plain values are quoted back. */
function shownValue(data: unknown): { readonly value?: Json } {
  if (typeof data === 'string') return { value: data.slice(0, 200) }
  return typeof data === 'number' || typeof data === 'boolean' ? { value: data } : {}
}
