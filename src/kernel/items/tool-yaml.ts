import { createFieldReader, describe, isJsonObject } from './field-reader.ts'
import type { FieldReader } from './field-reader.ts'
import type { JsonObject } from '../../json.ts'
import { parameterSchema } from './parameter-schema.ts'
import { unreadable } from './parsed-file.ts'
import type { ParsedFile } from './parsed-file.ts'
import type { SourceText } from './source-text.ts'
import { readCommonFields } from './tool-fields.ts'
import { readYaml } from './yaml-document.ts'

const KNOWN = [
  'tool_id',
  'tool_type',
  'version',
  'executor_id',
  'description',
  'category',
  'config',
  'parameters',
  'requires',
  'retry',
  'input_schema',
  'effect',
  'loop',
  'approval',
  'config_schema',
]

/** A tool file in YAML; `id` is the stem of its name. */
export function parseToolYaml(source: SourceText, id: string): ParsedFile {
  const yaml = readYaml(source)
  if (yaml.kind === 'invalid') return unreadable(yaml.findings)
  const { value: fields, locate } = yaml.document
  if (!isJsonObject(fields)) {
    const reason = `a tool file must be a map of fields, got ${describe(fields)}`
    return unreadable([{ ...locate([]), reason, fix: 'Start with `tool_id:`, `tool_type:` and `version:`.' }])
  }
  const reader = createFieldReader({ locate, label: (path) => path.join('.') })
  reader.onlyKeys(fields, [], KNOWN)
  checkId(fields, id, reader)
  const common = readCommonFields(fields, reader, ['primitive'])
  const config = reader.map(fields, ['config']) ?? {}
  const configSchema = reader.map(fields, ['config_schema'])
  if (configSchema !== null && common.toolType !== 'primitive') {
    reader.problem(
      ['config_schema'],
      '`config_schema` belongs to primitives only',
      'Remove it, or use `input_schema` for the parameters.',
    )
  }
  const inputSchema = readInputSchema(fields, reader)
  const retry = reader.map(fields, ['retry']) ?? reader.map(config, ['config', 'retry'])
  const description = reader.text(fields, ['description']) ?? ''
  if (description === '') reader.warn([], 'no `description`', 'Add one; it is how the tool is found.')
  const writtenCategory = reader.text(fields, ['category'])
  const broken = reader.problems.length > 0
  return {
    definition: broken
      ? null
      : { kind: 'tool', toolId: id, ...common, config, inputSchema, retry, configSchema, dependencies: {}, module: false },
    description,
    version: common.version === '' ? null : common.version,
    writtenCategory,
    problems: reader.problems,
    warnings: reader.warnings,
  }
}

function checkId(fields: JsonObject, id: string, reader: FieldReader): void {
  const written = reader.text(fields, ['tool_id'])
  if (written === null && (fields['tool_id'] ?? null) === null)
    reader.problem([], '`tool_id` is missing', `Add \`tool_id: ${id}\`.`)
  if (written === null || written === id) return
  reader.problem(
    ['tool_id'],
    `\`tool_id\` is \`${written}\` but the file is named \`${id}\``,
    `Write \`tool_id: ${id}\`, or rename the file.`,
  )
}

function readInputSchema(fields: JsonObject, reader: FieldReader): JsonObject | null {
  const parameters = reader.list(fields, ['parameters'])
  const schema = reader.map(fields, ['input_schema'])
  if (parameters !== null && schema !== null) {
    reader.problem(['input_schema'], 'both `parameters` and `input_schema` are given', 'Keep one of them.')
  }
  if (schema !== null && schema['type'] !== 'object') {
    reader.problem(['input_schema'], '`input_schema` must describe an object', 'Add `type: object`.')
  }
  return parameters === null ? schema : parameterSchema(parameters, ['parameters'], reader)
}
