import { resolve } from 'node:path'
import type { Json, JsonObject } from '../../json.ts'
import type { Authorize, MetaToolRequest } from '../contract.ts'
import { KiwiError } from '../errors.ts'
import type { ExecutionContext } from '../chain/primitive.ts'
import type { ItemType } from '../items/item.ts'

export type Verb = 'search' | 'load' | 'execute' | 'sign' | 'help'

export type RequestField = keyof MetaToolRequest

const FIELDS: Readonly<Record<Verb, readonly RequestField[]>> = {
  search: ['query', 'item_type', 'source', 'limit', 'project_path'],
  load: ['item_type', 'item_id', 'source', 'destination', 'parameters', 'project_path'],
  execute: ['item_type', 'item_id', 'parameters', 'action', 'project_path'],
  sign: ['item_type', 'item_id', 'source', 'parameters', 'project_path'],
  help: ['topic', 'action', 'reason', 'project_path'],
}

const CHECKS: Readonly<Record<RequestField, (value: unknown) => string | null>> = {
  item_type: oneOf('directive', 'tool', 'knowledge'),
  item_id: text(128),
  parameters: (value) => (isMap(value) ? null : 'must be an object'),
  query: text(1_000),
  source: oneOf('project', 'user', 'system', 'all'),
  destination: oneOf('project', 'user'),
  project_path: text(4_096),
  action: text(64),
  topic: text(64),
  reason: text(4_000),
  limit: (value) =>
    Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 100 ? null : 'must be an integer from 1 to 100',
}

/**
 * Refuses what a verb does not take, before anything is looked up. Requests come from clients and models, so the types are checked too.
 *
 * @throws {KiwiError} INVALID_REQUEST naming every wrong field.
 */
export function checkRequest(verb: Verb, request: MetaToolRequest, projectPath: string): void {
  if (!isMap(request)) throw invalidRequest(`${verb} takes an object`)
  const allowed = FIELDS[verb]
  const wrong = Object.entries(request).flatMap(([field, value]) => {
    if (value === undefined) return []
    if (!isField(field) || !allowed.includes(field))
      return [{ field, error: `is not taken by ${verb}, which takes ${allowed.join(', ')}` }]
    const error = CHECKS[field](value)
    return error === null ? [] : [{ field, error }]
  })
  if (wrong.length > 0)
    throw invalidRequest(wrong.map(({ field, error }) => `\`${field}\` ${error}`).join('; '), { validation_errors: wrong })
  if (request.project_path !== undefined && resolve(request.project_path) !== resolve(projectPath)) {
    throw invalidRequest('`project_path` names another project than the one this call reached')
  }
}

/** The type and id that a verb cannot do without. @throws {KiwiError} INVALID_REQUEST */
export function requiredItem(
  verb: Verb,
  { item_type: type, item_id: id }: MetaToolRequest,
): { readonly type: ItemType; readonly id: string } {
  if (type !== undefined && id !== undefined) return { type, id }
  const missing = [...(type === undefined ? ['`item_type`'] : []), ...(id === undefined ? ['`item_id`'] : [])].join(' and ')
  throw invalidRequest(`${verb} needs ${missing}`)
}

/** A flag among the parameters of a verb that takes nothing else there. @throws {KiwiError} INVALID_REQUEST */
export function onlyFlag(verb: Verb, parameters: JsonObject | undefined, name: string): boolean {
  for (const [key, value] of Object.entries(parameters ?? {})) {
    if (key !== name || typeof value !== 'boolean')
      throw invalidRequest(`${verb} takes only the parameter ${name}, true or false; got \`${key}\``)
  }
  return parameters?.[name] === true
}

export function invalidRequest(message: string, facts: Readonly<Record<string, Json>> = {}): KiwiError {
  return new KiwiError('INVALID_REQUEST', `${message}.`, { facts })
}

/** Asks the port for an item that is not a tool, or for reading one. @throws {KiwiError} PERMISSION_DENIED, or the code of the answer. */
export async function assertPermitted(
  authorize: Authorize | undefined,
  request: Omit<Parameters<Authorize>[0], 'requires' | 'chainRequires'>,
): Promise<void> {
  const answer = await authorize?.({ ...request, requires: [], chainRequires: [] })
  if (answer === undefined || answer.permitted) return
  throw new KiwiError(
    answer.code ?? 'PERMISSION_DENIED',
    `The ${request.itemType} "${request.itemId}" may not be used with ${request.verb} here: ${answer.missing.join(', ')} is missing.`,
    {
      suggestion: answer.suggestion,
      facts: { missing: answer.missing },
    },
  )
}

/** How an item is marked that the caller may see and not use; nothing where it may. */
export async function permissionMark(
  authorize: Authorize | undefined,
  item: Pick<Parameters<Authorize>[0], 'itemType' | 'itemId' | 'category'>,
  context: ExecutionContext,
): Promise<Readonly<Record<string, unknown>>> {
  const question = { verb: 'search', ...item, requires: [], chainRequires: [], parameters: {}, context } as const
  const answer = await authorize?.(question)
  return answer === undefined || answer.permitted ? {} : { permitted: false, missing: answer.missing }
}

/** One verb of the kernel. Throws `KiwiError`; the kernel makes the envelope. */
export type MetaTool = (
  request: MetaToolRequest,
  context: ExecutionContext,
) => Promise<{ readonly success: true } & Readonly<Record<string, unknown>>>

function oneOf(...values: readonly string[]): (value: unknown) => string | null {
  return (value) => (typeof value === 'string' && values.includes(value) ? null : `must be one of ${values.join(', ')}`)
}

function text(maxChars: number): (value: unknown) => string | null {
  return (value) =>
    typeof value === 'string' && value.length <= maxChars ? null : `must be text of at most ${maxChars} characters`
}

function isField(field: string): field is RequestField {
  return Object.hasOwn(CHECKS, field)
}

function isMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
