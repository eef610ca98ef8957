import type { Json, JsonObject } from '../../json.ts'
import { childTags, lineText } from './directive-reader.ts'
import type { DirectiveReader } from './directive-reader.ts'
import { readSchema } from './directive-schema.ts'
import type { XmlTag } from './directive-xml.ts'
import type { DirectiveDefinition, DirectiveInput } from './item.ts'
import { PARAMETER_NAME } from './names.ts'
import { suggestName } from './nearest-name.ts'
import { VALUE_TYPES, hasType } from './parameter-schema.ts'
import { createSourceText } from './source-text.ts'
import { readYaml } from './yaml-document.ts'

const ATTRIBUTES = ['name', 'type', 'required', 'default', 'description']
const DECIMAL = /^-?(0|[1-9]\d{0,14})(\.\d+)?([eE][-+]?\d{1,3})?$/

/** The `<input>` children of `<inputs>`. */
export function readInputs(inputs: XmlTag | null, reader: DirectiveReader): readonly DirectiveInput[] {
  if (inputs === null) return []
  reader.onlyChildren(inputs, ['input'])
  reader.noText(inputs, 'Write each input as `<input name="…" type="string" required="true">what it is</input>`.')
  const known = new Map<string, DirectiveInput>()
  for (const tag of childTags(inputs)) {
    if (tag.name !== 'input') continue
    const input = readInput(tag, tag.attributes['name'] ?? '', reader)
    if (known.has(input.name)) reader.problem(tag, `two inputs are named \`${input.name}\``, 'Rename one of them.')
    known.set(input.name, input)
  }
  return [...known.values()]
}

/** The children of `<outputs>`: `<output name="…">`, a tag that is named like the output, and one `<schema>` of the result. */
export function readOutputs(
  section: XmlTag | null,
  reader: DirectiveReader,
): Pick<DirectiveDefinition, 'outputs' | 'outputsSchema'> {
  if (section === null) return { outputs: [], outputsSchema: null }
  const outputs = childTags(section)
    .filter((tag) => tag.name !== 'schema')
    .map((tag) => readInput(tag, tag.attributes['name'] ?? (tag.name === 'output' ? '' : tag.name), reader))
  const schema = reader.child(section, 'schema')
  return { outputs, outputsSchema: schema === null ? null : readOutputsSchema(schema, reader) }
}

function readOutputsSchema(tag: XmlTag, reader: DirectiveReader): JsonObject | null {
  reader.onlyAttributes(tag, [])
  const schema = readSchema(tag, reader)
  if (schema === null || schema['type'] === 'object') return schema
  reader.problem(tag, 'the schema of the outputs must describe an object', 'Add `"type": "object"`.')
  return null
}

function readInput(tag: XmlTag, name: string, reader: DirectiveReader): DirectiveInput {
  reader.onlyAttributes(tag, ATTRIBUTES)
  if (!PARAMETER_NAME.test(name)) {
    const reason = name === '' ? `\`<${tag.name}>\` without a name` : `\`${name}\` is not a name`
    reader.problem(tag, reason, 'Add `name="…"` of letters, digits, `_` and `-`, without a leading `__`.')
  }
  const type = tag.attributes['type'] ?? 'string'
  if (!VALUE_TYPES.includes(type)) reader.problem(tag, `\`${type}\` is not a type`, suggestName(type, VALUE_TYPES))
  const required = tag.attributes['required'] ?? 'false'
  if (required !== 'true' && required !== 'false') {
    reader.problem(tag, `\`required\` must be "true" or "false", got ${JSON.stringify(required)}`, 'Write `required="true"`.')
  }
  const input = { name, type, required: required === 'true', description: tag.attributes['description'] ?? lineText(tag) }
  const written = tag.attributes['default']
  if (written === undefined) return input
  const value = readDefault(written, type)
  if (value !== null) return { ...input, default: value }
  reader.problem(
    tag,
    `the default ${JSON.stringify(written.slice(0, 40))} is not of type ${type}`,
    'Change the default or the `type`.',
  )
  return input
}

/** Null when the text is not a value of the type. */
function readDefault(text: string, type: string): Json {
  if (type === 'string') return text
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : null
  if (type === 'number' || type === 'integer') {
    const value = DECIMAL.test(text) ? Number(text) : Number.NaN
    return Number.isFinite(value) && hasType(value, type) ? value : null
  }
  if (!/^[[{]/.test(text.trim())) return null
  // JSON is YAML; this reader has the caps and refuses the keys that JSON.parse would let through.
  const read = readYaml(createSourceText(text))
  const value = read.kind === 'document' ? read.document.value : null
  return hasType(value, type) ? value : null
}
