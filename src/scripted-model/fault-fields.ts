import type { Json, JsonObject } from '../json.ts'
import { defined } from './field-reader.ts'
import type { Fields, Path } from './field-reader.ts'
import type { Fault } from './scenario.ts'

const FIELDS: Readonly<Record<Fault['kind'], readonly string[]>> = {
  status: ['status', 'retry_after_seconds', 'message'],
  error_event: ['after_events', 'error_type'],
  cut: ['after_events', 'after_bytes'],
  stall: ['after_events'],
  garbage: ['after_events'],
  slow_first_byte: ['delay_ms'],
}
const STATUSES = [400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504, 529]

/** The `fault` of a rule. */
export function readFault(value: JsonObject, path: Path, fields: Fields): Fault | undefined {
  const name = fields.text(value, [...path, 'kind'])
  const kind = faultKind(name)
  if (kind === null) {
    fields.problem(
      [...path, 'kind'],
      name === undefined ? 'is missing' : `"${name}" is not a fault`,
      `Use one of ${Object.keys(FIELDS).join(', ')}.`,
    )
    return undefined
  }
  fields.onlyKeys(value, path, ['kind', 'times', ...FIELDS[kind]])
  const times = defined({ times: fields.count(value, [...path, 'times'], 1) })
  const afterEvents = fields.count(value, [...path, 'after_events'], 0)
  switch (kind) {
    case 'status':
      return { kind, ...times, ...readStatus(value, path, fields) }
    case 'error_event':
      return {
        kind,
        ...times,
        after_events: afterEvents ?? 0,
        ...defined({ error_type: fields.text(value, [...path, 'error_type']) }),
      }
    case 'cut':
      return {
        kind,
        ...times,
        ...defined({ after_events: afterEvents, after_bytes: fields.count(value, [...path, 'after_bytes'], 0) }),
      }
    case 'stall':
    case 'garbage':
      return { kind, ...times, after_events: afterEvents ?? 0 }
    case 'slow_first_byte':
      return { kind, ...times, delay_ms: fields.count(value, [...path, 'delay_ms'], 0) ?? 0 }
  }
}

function faultKind(name: Json | undefined): Fault['kind'] | null {
  // `Object.hasOwn` proves that the name is a key.
  return typeof name === 'string' && Object.hasOwn(FIELDS, name) ? (name as Fault['kind']) : null
}

function readStatus(
  value: JsonObject,
  path: Path,
  fields: Fields,
): { status: number; retry_after_seconds?: number; message?: string } {
  const status = fields.count(value, [...path, 'status'], 400) ?? 0
  if (!STATUSES.includes(status))
    fields.problem([...path, 'status'], 'is not a status this model can answer with', `Use one of ${STATUSES.join(', ')}.`)
  const optional = defined({
    retry_after_seconds: fields.count(value, [...path, 'retry_after_seconds'], 0),
    message: fields.text(value, [...path, 'message']),
  })
  return { status, ...optional }
}
