import type { Json, JsonObject } from '../../json.ts'
import { isJsonObject, describe } from './field-reader.ts'
import type { FieldPath, FieldReader } from './field-reader.ts'
import { PARAMETER_NAME } from './names.ts'
import { suggestName } from './nearest-name.ts'

export const VALUE_TYPES: readonly string[] = ['string', 'number', 'integer', 'boolean', 'object', 'array']

/** Fields of a parameter that are copied into its schema as they are. */
const CONSTRAINTS = ['items', 'properties', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'format']
const KNOWN = ['name', 'type', 'required', 'default', 'description', 'enum', ...CONSTRAINTS]

/** `parameters[]` of a tool file as one JSON Schema object that accepts nothing else. */
export function parameterSchema(parameters: readonly Json[], path: FieldPath, reader: FieldReader): JsonObject {
  const properties = new Map<string, JsonObject>()
  const required: string[] = []
  for (const [index, parameter] of parameters.entries()) {
    const at = [...path, index]
    if (!isJsonObject(parameter)) {
      reader.problem(
        at,
        `a parameter must be a map, got ${describe(parameter)}`,
        'Write `- name: …` with `type` and `description`.',
      )
      continue
    }
    reader.onlyKeys(parameter, at, KNOWN)
    const name = parameterName(parameter, at, reader)
    if (name === null) continue
    if (properties.has(name)) reader.problem([...at, 'name'], `two parameters are named \`${name}\``, 'Rename one of them.')
    properties.set(name, propertySchema(parameter, at, reader))
    if (reader.flag(parameter, [...at, 'required']) === true) required.push(name)
  }
  return { type: 'object', properties: Object.fromEntries(properties), required, additionalProperties: false }
}

function parameterName(parameter: JsonObject, at: FieldPath, reader: FieldReader): string | null {
  const name = reader.text(parameter, [...at, 'name'])
  if (name === null) {
    if ((parameter['name'] ?? null) === null) reader.problem(at, 'a parameter without a name', 'Add `name: …`.')
    return null
  }
  if (PARAMETER_NAME.test(name)) return name
  reader.problem([...at, 'name'], `\`${name}\` is not a parameter name`, 'Use letters, digits, `_` and `-`, and no leading `__`.')
  return null
}

function propertySchema(parameter: JsonObject, at: FieldPath, reader: FieldReader): JsonObject {
  const schema: Record<string, Json> = {}
  const types = readTypes(parameter, at, reader)
  if (types.length > 0) schema['type'] = types.length === 1 ? (types[0] ?? null) : types
  const description = reader.text(parameter, [...at, 'description'])
  if (description !== null) schema['description'] = description
  const choices = reader.list(parameter, [...at, 'enum'])
  if (choices !== null) schema['enum'] = choices
  for (const value of choices ?? []) checkValue(value, types, [...at, 'enum'], reader)
  const fallback = parameter['default'] ?? null
  if (fallback !== null) {
    checkValue(fallback, types, [...at, 'default'], reader)
    if (choices !== null && !choices.includes(fallback)) {
      reader.problem([...at, 'default'], `the default ${describe(fallback)} is not in \`enum\``, 'Add it to `enum` or change it.')
    }
    schema['default'] = fallback
  }
  for (const name of CONSTRAINTS) {
    const value = parameter[name] ?? null
    if (value !== null) schema[name] = value
  }
  return schema
}

function readTypes(parameter: JsonObject, at: FieldPath, reader: FieldReader): readonly string[] {
  const written = parameter['type'] ?? null
  const types: string[] = []
  for (const name of Array.isArray(written) ? written : written === null ? [] : [written]) {
    if (typeof name === 'string' && (VALUE_TYPES.includes(name) || name === 'null')) types.push(name)
    else {
      const fix = typeof name === 'string' ? suggestName(name, VALUE_TYPES) : `Write one of ${VALUE_TYPES.join(', ')}.`
      reader.problem([...at, 'type'], `${describe(name)} is not a parameter type`, fix)
    }
  }
  return types
}

function checkValue(value: Json, types: readonly string[], path: FieldPath, reader: FieldReader): void {
  if (types.length === 0 || types.some((type) => hasType(value, type))) return
  reader.problem(path, `${describe(value)} is not of type ${types.join(' or ')}`, 'Change the value or the `type`.')
}

/** Whether a JSON value has a JSON Schema type. */
export function hasType(value: Json, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return isJsonObject(value)
  if (type === 'null') return value === null
  return typeof value === type
}
