import { createRequire } from 'node:module'
import type * as Draft7 from 'ajv'
import type { ErrorObject, ValidateFunction } from 'ajv'
import type * as Draft2020 from 'ajv/dist/2020.js'
import type { Json, JsonObject } from '../../json.ts'
import type { ValidationError } from '../errors.ts'

/** Checks values against JSON Schemas. A schema is compiled once for as long as its object lives. */
export interface SchemaValidation {
  /**
   * Every violation of `value`, empty when it conforms. `value` is not changed.
   *
   * @throws {Error} when the schema itself cannot be compiled.
   */
  check(schema: JsonObject, value: Json): Promise<readonly ValidationError[]>
}

interface Compiler {
  compile(schema: object): ValidateFunction
  removeSchema(schema: object): unknown
}

interface Compilers {
  readonly current: Compiler
  readonly draft7: Compiler
}

const MAX_ERRORS = 20
const MAX_FAULT_CHARACTERS = 200
const MAX_VALUE_CHARS = 120
const OPTIONS = {
  allErrors: true,
  strict: false,
  addUsedSchema: false,
  ownProperties: true,
  verbose: true,
  logger: false,
} as const

/** JSON Schema 2020-12, or draft 7 where `$schema` says so. The validator library is loaded at the first check. */
export function createSchemaValidation(): SchemaValidation {
  const compiled = new WeakMap<JsonObject, ValidateFunction>()
  let compilers: Promise<Compilers> | null = null

  const validatorOf = async (schema: JsonObject): Promise<ValidateFunction> => {
    const known = compiled.get(schema)
    if (known !== undefined) return known
    compilers ??= loadCompilers()
    const validate = compile(schema, await compilers)
    compiled.set(schema, validate)
    return validate
  }

  return {
    async check(schema, value) {
      const validate = await validatorOf(schema)
      if (validate(value)) return []
      return (validate.errors ?? []).slice(0, MAX_ERRORS).map(toValidationError)
    },
  }
}

async function loadCompilers(): Promise<Compilers> {
  const [{ Ajv2020 }, { Ajv }] = await Promise.all([import('ajv/dist/2020.js'), import('ajv')])
  return { current: new Ajv2020(OPTIONS), draft7: new Ajv(OPTIONS) }
}

function compile(schema: JsonObject, { current, draft7 }: Compilers): ValidateFunction {
  // Its validator would answer later, which reads as yes now.
  if (schema['$async'] !== undefined) throw new Error('`$async` is not supported')
  return isDraft7(schema) ? draft7.compile(schema) : current.compile(schema)
}

function isDraft7(schema: JsonObject): boolean {
  const draft = schema['$schema']
  return typeof draft === 'string' && draft.includes('draft-0')
}

/** Why a schema cannot be used, shortly; null when it can. Keeps nothing of the schema. */
export function schemaFault(schema: JsonObject): string | null {
  faultFinders ??= requireCompilers()
  const { current, draft7 } = faultFinders
  try {
    compile(schema, faultFinders)
    return null
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return message.length > MAX_FAULT_CHARACTERS ? `${message.slice(0, MAX_FAULT_CHARACTERS)}…` : message
  } finally {
    // Removing a schema that calls itself like one of the library's own would remove that.
    if (schema['$id'] !== undefined) faultFinders = null
    else for (const compiler of [current, draft7]) compiler.removeSchema(schema)
  }
}

let faultFinders: Compilers | null = null

/** Files are parsed at once, without waiting; few of them hold a schema, so the library is not loaded for the others. */
function requireCompilers(): Compilers {
  const require = createRequire(import.meta.url)
  // What a package exports has no type when it is loaded without `import`.
  const { Ajv2020 } = require('ajv/dist/2020.js') as typeof Draft2020
  const { Ajv } = require('ajv') as typeof Draft7
  return { current: new Ajv2020(OPTIONS), draft7: new Ajv(OPTIONS) }
}

/** `parameters` with the `default` of every absent top-level property. The same object when none is missing; values are shared. */
export function withDefaults(schema: JsonObject, parameters: JsonObject): JsonObject {
  const properties = schema['properties']
  if (!isMap(properties)) return parameters
  const missing: [string, Json][] = []
  for (const [name, property] of Object.entries(properties)) {
    if (Object.hasOwn(parameters, name) || !isMap(property) || property['default'] === undefined) continue
    missing.push([name, property['default']])
  }
  return missing.length === 0 ? parameters : { ...parameters, ...structuredClone(Object.fromEntries(missing)) }
}

function toValidationError(error: ErrorObject): ValidationError {
  const facts: Readonly<Record<string, unknown>> = error.params
  const named = facts['missingProperty'] ?? facts['additionalProperty']
  const field = [fieldOf(error.instancePath), typeof named === 'string' ? named : ''].filter((part) => part !== '').join('.')
  const value = shown(error.data)
  return {
    field: field === '' ? '(all)' : field,
    error: explain(error),
    ...(value === undefined || named !== undefined ? {} : { value }),
  }
}

function explain(error: ErrorObject): string {
  const { type, allowedValues } = error.params as Readonly<Record<string, unknown>> // ajv types the facts of a keyword as a bare record
  switch (error.keyword) {
    case 'required':
      return 'is required'
    case 'additionalProperties':
      return 'is not a known field'
    case 'type':
      return `must be ${[type].flat().join(' or ')}, got ${typeName(error.data)}`
    case 'enum':
      return `must be one of ${JSON.stringify(allowedValues)}`
    default:
      return error.message ?? `fails ${error.keyword}`
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** Only a small scalar is worth showing again. */
function shown(value: unknown): Json | undefined {
  if (typeof value === 'string') return value.length > MAX_VALUE_CHARS ? `${value.slice(0, MAX_VALUE_CHARS)}…` : value
  return typeof value === 'number' || typeof value === 'boolean' || value === null ? value : undefined
}

/** `/stream/destinations/0/type` as `stream.destinations[0].type`. */
function fieldOf(instancePath: string): string {
  return dottedPath(
    instancePath
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
      .map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
  )
}

/** A path as people write it: `stream.destinations[0].type`. */
export function dottedPath(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? part : `${text}.${part}`
  }, '')
}

function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
