import type { Json, JsonObject } from '../../json.ts'
import { describe, isJsonObject } from './field-reader.ts'
import type { FieldReader } from './field-reader.ts'
import type { Effect, Requirement, ToolDefinition } from './item.ts'
import { ITEM_ID, VERSION } from './names.ts'

const CAPABILITY = /^[A-Za-z][\w-]*(\.[\w*-]+)*$/
const TYPE = /^[a-z][a-z0-9_]*$/

/** What a tool file says whatever its language, under the names of the YAML form. */
export type CommonToolFields = Pick<
  ToolDefinition,
  'toolType' | 'version' | 'executorId' | 'requires' | 'effect' | 'loop' | 'approval'
>

/** `executorless`: tool types that end the chain or never run, so that they name no executor. */
export function readCommonFields(fields: JsonObject, reader: FieldReader, executorless: readonly string[]): CommonToolFields {
  const toolType = required(fields, 'tool_type', reader)
  if (toolType !== '' && !TYPE.test(toolType))
    reader.problem(['tool_type'], `\`${toolType}\` is not a tool type`, 'Use lower case with `_`.')
  const version = required(fields, 'version', reader)
  if (version !== '' && !VERSION.test(version)) {
    reader.problem(['version'], `\`${version}\` is not a version`, 'Write it as "1.2.3".')
  }
  return {
    toolType,
    version,
    executorId: executorless.includes(toolType) ? refuseExecutor(fields, toolType, reader) : readExecutor(fields, reader),
    requires: readRequires(fields, reader),
    effect: reader.choice<Effect>(fields, ['effect'], ['pure', 'idempotent', 'once']) ?? 'once',
    loop: reader.map(fields, ['loop']),
    approval: reader.choice(fields, ['approval'], ['required', 'none']) === 'required' ? 'required' : null,
  }
}

function required(fields: JsonObject, name: string, reader: FieldReader): string {
  const value = reader.text(fields, [name])
  const label = reader.label([name])
  if (value === null && (fields[name] ?? null) === null) reader.problem([name], `\`${label}\` is missing`, `Add \`${label}\`.`)
  return value ?? ''
}

function refuseExecutor(fields: JsonObject, toolType: string, reader: FieldReader): null {
  if ((fields['executor_id'] ?? null) === null) return null
  reader.problem(['executor_id'], `a tool of type \`${toolType}\` has no executor`, 'Remove it.')
  return null
}

function readExecutor(fields: JsonObject, reader: FieldReader): string {
  const executor = required(fields, 'executor_id', reader)
  if (executor === '' || ITEM_ID.test(executor)) return executor
  reader.problem(
    ['executor_id'],
    `\`${executor}\` is not a tool id`,
    'Name the tool that runs this one, for example `http_client`.',
  )
  return executor
}

function readRequires(fields: JsonObject, reader: FieldReader): readonly Requirement[] {
  const requirements: Requirement[] = []
  for (const [index, entry] of (reader.list(fields, ['requires']) ?? []).entries()) {
    const requirement = readRequirement(entry)
    if (requirement !== null) requirements.push(requirement)
    else {
      const fix = 'Write `- fs.read`, or `- {cap: fs.read, scope: {path: "{path}"}}`.'
      reader.problem(['requires', index], `${describe(entry)} is not a capability requirement`, fix)
    }
  }
  return requirements
}

function readRequirement(entry: Json): Requirement | null {
  if (typeof entry === 'string') return CAPABILITY.test(entry) ? entry : null
  if (!isJsonObject(entry) || Object.keys(entry).some((key) => key !== 'cap' && key !== 'scope')) return null
  const { cap, scope } = entry
  if (typeof cap !== 'string' || !CAPABILITY.test(cap)) return null
  if (scope === undefined) return cap
  if (!isJsonObject(scope)) return null
  const values: [string, string][] = []
  for (const [name, value] of Object.entries(scope)) {
    if (typeof value !== 'string') return null
    values.push([name, value])
  }
  return { cap, scope: Object.fromEntries(values) }
}
