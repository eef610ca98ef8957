import type { Json, JsonObject } from '../../json.ts'
import { parseText } from '../../kernel/template/placeholder.ts'

type Path = readonly (string | number)[]

/**
 * A value of a connector file for the `config` of a tool file: `${NAME}` stays what it is, `{name}` becomes the literal text `{name}`, for
 * a generated tool puts no parameter of its caller into its configuration. Escapes that were written stay escapes.
 *
 * @throws {TemplateError} with the path of a text that is no template.
 */
export function withoutParameters<Value extends Json>(value: Value, path: Path): Value {
  // Texts give texts, lists give lists of the same length, maps give maps with the same keys.
  return rebuilt(value, path) as Value
}

function rebuilt(value: Json, path: Path): Json {
  if (typeof value === 'string') return literalText(value, path)
  if (value === null || typeof value !== 'object') return value
  if (isList(value)) return value.map((child, index) => rebuilt(child, [...path, index]))
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, rebuilt(child, [...path, key])] as const))
}

function literalText(text: string, path: Path): string {
  return parseText(text, path)
    .map((part) => {
      if (part.kind === 'parameter') return `{{${part.name}}}`
      if (part.kind === 'environment') return part.fallback === null ? `\${${part.name}}` : `\${${part.name}:-${part.fallback}}`
      return part.text.replace(PLACEHOLDER, (found, name: string | undefined) => (name === undefined ? '$${' : `{${found}}`))
    })
    .join('')
}

/** What a literal text must not be read as again. */
const PLACEHOLDER = /\$\{|\{([A-Za-z_][\w-]*)\}/g

function isList(value: Json): value is readonly Json[] & JsonObject {
  return Array.isArray(value)
}
