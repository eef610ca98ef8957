import type { Json, JsonObject } from '../json.ts'
import { KiwiError, type ValidationError } from '../kernel/errors.ts'

/** Reads the fields of one connector file's configuration; every wrong one is remembered with its path, for one error about all. */
export interface ConfigFields {
  readonly at: (name: string) => Json | undefined
  wrong(field: string, error: string, value?: Json): void
  /** Null when absent or wrong. Empty text is wrong. */
  text(field: string): string | null
  map(field: string): JsonObject
  texts(field: string): readonly string[] | null
  onlyKnown(known: readonly string[]): void
  /** @throws {KiwiError} CONFIG_VALIDATION_ERROR when a field was wrong. */
  assertRight(): void
}

export function createConfigFields(connectorId: string, config: JsonObject): ConfigFields {
  const errors: ValidationError[] = []
  const wrong = (field: string, error: string, value?: Json): void => {
    errors.push({ field: `config.${field}`, error, ...(value === undefined ? {} : { value: shown(value) }) })
  }
  const at = (name: string): Json | undefined => (Object.hasOwn(config, name) ? (config[name] ?? undefined) : undefined)
  return {
    at,
    wrong,
    text(field) {
      const value = at(field)
      if (value === undefined) return null
      if (typeof value === 'string' && value.trim() !== '') return value
      wrong(field, 'must be text', value)
      return null
    },
    map(field) {
      const value = at(field)
      if (value === undefined) return {}
      if (isMap(value)) return value
      wrong(field, 'must be a map', value)
      return {}
    },
    texts(field) {
      const value = at(field)
      if (value === undefined) return null
      if (isList(value) && value.every((one) => typeof one === 'string')) return value.map(String)
      wrong(field, 'must be a list of texts', value)
      return null
    },
    onlyKnown(known) {
      for (const name of Object.keys(config))
        if (!known.includes(name)) wrong(name, `is not known; the fields are ${known.join(', ')}`)
    },
    assertRight() {
      const [first] = errors
      if (first === undefined) return
      throw new KiwiError(
        'CONFIG_VALIDATION_ERROR',
        `The connector "${connectorId}" cannot be used: ${errors.map(({ field, error }) => `${field} ${error}`).join('; ')}.`,
        {
          failedAt: { tool_id: connectorId, config_path: first.field, validation_errors: errors },
          suggestion: `Correct its file, then sign it: kiwi sign tool ${connectorId}`,
        },
      )
    },
  }
}

const MAX_SHOWN_CHARS = 80

function shown(value: Json): Json {
  const text = JSON.stringify(value)
  return text.length <= MAX_SHOWN_CHARS ? value : `${text.slice(0, MAX_SHOWN_CHARS)}…`
}

export function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}
