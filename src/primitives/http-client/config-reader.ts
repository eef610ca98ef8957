/** One thing that is wrong with a configuration, by the path of its field (`timeouts_ms.connect`). */
export interface ConfigIssue {
  readonly field: string
  readonly error: string
  readonly value?: unknown
}

/** Reads typed fields of one configuration object; what is wrong goes to the shared list and the default is returned. */
export interface ConfigReader {
  has(field: string): boolean
  /** Own properties only; undefined when absent. */
  value(field: string): unknown
  integer(field: string, fallback: number, range: { readonly min: number; readonly max: number }): number
  boolean(field: string, fallback: boolean): boolean
  array(field: string): readonly unknown[]
  oneOf<T extends string>(field: string, allowed: readonly T[], fallback: T, normalize?: (text: string) => string): T
  /** A nested object that may hold `fields` and no other. */
  object(field: string, fields: readonly string[]): ConfigReader
}

/** A reader of `config`, whose fields are reported below `path`. */
export function createConfigReader(config: unknown, path: string, issues: ConfigIssue[]): ConfigReader {
  const source = asRecord(config)
  if (source === null) issues.push({ field: path === '' ? 'config' : path, error: 'must be an object' })
  const fields: Readonly<Record<string, unknown>> = source ?? {}

  const has = (field: string): boolean => Object.hasOwn(fields, field) && fields[field] !== undefined
  const value = (field: string): unknown => (has(field) ? fields[field] : undefined)
  const report = (field: string, error: string): void => {
    issues.push({ field: pathOf(path, field), error, value: value(field) })
  }

  return {
    has,
    value,
    integer(field, fallback, { min, max }) {
      const found = value(field)
      if (found === undefined) return fallback
      if (typeof found === 'number' && Number.isInteger(found) && found >= min && found <= max) return found
      report(field, `must be a whole number from ${min} to ${max}`)
      return fallback
    },
    boolean(field, fallback) {
      const found = value(field)
      if (found === undefined || typeof found === 'boolean') return found ?? fallback
      report(field, 'must be true or false')
      return fallback
    },
    array(field) {
      const found = value(field)
      if (found === undefined) return []
      if (Array.isArray(found)) return found
      report(field, 'must be a list')
      return []
    },
    oneOf(field, allowed, fallback, normalize = (text) => text) {
      const found = value(field)
      if (found === undefined) return fallback
      const match = typeof found === 'string' ? allowed.find((entry) => entry === normalize(found)) : undefined
      if (match === undefined) report(field, `must be one of ${allowed.map((entry) => `"${entry}"`).join(', ')}`)
      return match ?? fallback
    },
    object(field, allowed) {
      const reader = createConfigReader(value(field) ?? {}, pathOf(path, field), issues)
      for (const key of Object.keys(asRecord(value(field)) ?? {})) {
        if (!allowed.includes(key))
          issues.push({ field: `${pathOf(path, field)}.${key}`, error: `is unknown; expected ${allowed.join(', ')}` })
      }
      return reader
    },
  }
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  // Any non-array object can be read by string keys; each value stays unknown.
  return value as Readonly<Record<string, unknown>>
}

function pathOf(path: string, field: string): string {
  return path === '' ? field : `${path}.${field}`
}
