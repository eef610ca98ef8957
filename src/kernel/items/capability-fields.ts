import type { Json, JsonObject } from '../../json.ts'
import { describe, isJsonObject } from './field-reader.ts'
import type { FieldReader } from './field-reader.ts'
import type { CapabilityDeclaration } from './item.ts'
import { CAPABILITY_ID } from './names.ts'

/** The constants of a capability module, all of them literals. What a module implies or keeps for the system it must declare itself. */
export function readCapability(fields: JsonObject, reader: FieldReader): CapabilityDeclaration {
  const { capabilities, descriptions } = readIds(fields, reader)
  const scope = reader.choice(fields, ['SCOPE'], ['path', 'host', 'id'])
  const defaultParameter = reader.text(fields, ['DEFAULT_PARAMETER'])
  if (defaultParameter !== null && scope === null) {
    const reason = '`DEFAULT_PARAMETER` names the parameter of a scope, but there is no `SCOPE`'
    reader.warn(['DEFAULT_PARAMETER'], reason, "Add `export const SCOPE = 'path'` (or 'host', 'id'), or remove it.")
  }
  return {
    capabilities,
    description: reader.text(fields, ['DESCRIPTION']) ?? '',
    ...(descriptions === null ? {} : { descriptions }),
    systemOnly: readSystemOnly(fields, capabilities, reader),
    defaultParameter,
    scope,
    implies: readImplies(fields, capabilities, reader),
  }
}

interface Ids {
  readonly capabilities: readonly string[]
  readonly descriptions: Readonly<Record<string, string>> | null
}

/** A list of ids, or a map from each id to what it is for. */
function readIds(fields: JsonObject, reader: FieldReader): Ids {
  const written = fields['CAPABILITIES'] ?? null
  const names: readonly Json[] = Array.isArray(written) ? written : isJsonObject(written) ? Object.keys(written) : []
  const capabilities = names.filter((name) => typeof name === 'string')
  const odd = capabilities.find((name) => !CAPABILITY_ID.test(name))
  if (capabilities.length === 0 || capabilities.length < names.length)
    reader.problem(
      ['CAPABILITIES'],
      '`CAPABILITIES` must list capability ids',
      "Write `export const CAPABILITIES = ['fs.read']`.",
    )
  else if (odd !== undefined)
    reader.problem(['CAPABILITIES'], `\`${odd}\` is not a capability id`, 'Write two or more names with dots between: `fs.read`.')
  if (!isJsonObject(written)) return { capabilities, descriptions: null }
  const descriptions = Object.entries(written).flatMap(([id, text]) => (typeof text === 'string' ? [[id, text] as const] : []))
  if (descriptions.length < capabilities.length)
    reader.problem(
      ['CAPABILITIES'],
      'a value of `CAPABILITIES` is not text',
      'Write what the capability allows, or a list of ids.',
    )
  return { capabilities, descriptions: Object.fromEntries(descriptions) }
}

function readSystemOnly(fields: JsonObject, capabilities: readonly string[], reader: FieldReader): boolean | readonly string[] {
  const written = fields['SYSTEM_ONLY'] ?? false
  if (typeof written === 'boolean') return written
  const ids = idList(written)
  const other = ids?.find((id) => !capabilities.includes(id))
  if (ids === null)
    reader.problem(
      ['SYSTEM_ONLY'],
      '`SYSTEM_ONLY` must be true, false or a list of capability ids',
      'Write `false` when users may ask for all.',
    )
  else if (other !== undefined) reader.problem(['SYSTEM_ONLY'], notOwn('SYSTEM_ONLY', other), 'Add it to `CAPABILITIES`.')
  // A module whose list cannot be read is refused; until then it keeps all to the system.
  return ids ?? true
}

function readImplies(
  fields: JsonObject,
  capabilities: readonly string[],
  reader: FieldReader,
): Readonly<Record<string, readonly string[]>> {
  const implies: [string, readonly string[]][] = []
  for (const [id, written] of Object.entries(reader.map(fields, ['IMPLIES']) ?? {})) {
    const ids = idList(written)
    const other = [id, ...(ids ?? [])].find((name) => !capabilities.includes(name))
    if (ids === null) {
      const fix = "Write `export const IMPLIES = { 'fs.write': ['fs.read'] }`."
      reader.problem(['IMPLIES'], `\`IMPLIES\` must map ids to lists of ids, got ${describe(written)} for \`${id}\``, fix)
    } else if (other !== undefined) reader.problem(['IMPLIES'], notOwn('IMPLIES', other), 'Add it to `CAPABILITIES`.')
    else implies.push([id, ids])
  }
  return Object.fromEntries(implies)
}

function idList(value: Json): readonly string[] | null {
  if (!Array.isArray(value)) return null
  const ids = value.filter((id) => typeof id === 'string')
  return ids.length === value.length ? ids : null
}

function notOwn(constant: string, id: string): string {
  return `\`${constant}\` names \`${id}\`, which this module does not declare`
}
