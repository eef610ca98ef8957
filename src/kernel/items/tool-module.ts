import { parseSync } from 'oxc-parser'
import type { Expression, Program } from 'oxc-parser'
import type { Json, JsonObject } from '../../json.ts'
import { readCapability } from './capability-fields.ts'
import { createFieldReader } from './field-reader.ts'
import type { FieldPath, FieldReader } from './field-reader.ts'
import { readLiteral } from './module-literal.ts'
import { checkNesting } from './module-nesting.ts'
import { checkModuleSyntax } from './module-syntax.ts'
import { suggestName } from './nearest-name.ts'
import { unreadable } from './parsed-file.ts'
import type { ParsedFile } from './parsed-file.ts'
import type { Finding, SourceText } from './source-text.ts'
import { readCommonFields } from './tool-fields.ts'

/** Constants of a module and the field of the YAML form that each stands for. */
const CONSTANTS: ReadonlyMap<string, string> = new Map([
  ['__tool_type__', 'tool_type'],
  ['__version__', 'version'],
  ['__executor_id__', 'executor_id'],
  ['__category__', 'category'],
  ['__description__', 'description'],
  ['__requires__', 'requires'],
  ['__effect__', 'effect'],
  ['__loop__', 'loop'],
  ['__approval__', 'approval'],
  ['PARAMETERS', 'PARAMETERS'],
  ['DEPENDENCIES', 'DEPENDENCIES'],
  ['CAPABILITIES', 'CAPABILITIES'],
  ['DESCRIPTION', 'DESCRIPTION'],
  ['SYSTEM_ONLY', 'SYSTEM_ONLY'],
  ['DEFAULT_PARAMETER', 'DEFAULT_PARAMETER'],
  ['SCOPE', 'SCOPE'],
  ['IMPLIES', 'IMPLIES'],
])
/** Constants that a tool may well have for itself; they are metadata only in a capability module. */
const CAPABILITY_CONSTANTS = new Set(['CAPABILITIES', 'DESCRIPTION', 'SYSTEM_ONLY', 'DEFAULT_PARAMETER', 'SCOPE', 'IMPLIES'])
const NEEDS_DEFAULT_EXPORT = new Set(['runtime', 'sink', 'harness'])
const PACKAGE = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/
const EXACT_VERSION = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/

/** A runtime tool or capability module; its metadata is read without running it. `id` is the stem of the file name. */
export function parseToolModule(source: SourceText, id: string, language: 'ts' | 'js'): ParsedFile {
  const nesting = checkNesting(source.text)
  if (nesting.kind === 'too_deep') {
    const reason = 'the code is nested too deeply to be read safely'
    return unreadable([
      {
        ...source.position(nesting.offset),
        reason,
        fix: 'Split the expression, or write a regular expression as `new RegExp(…)`.',
      },
    ])
  }
  const parsed = parseSync(`${id}.${language}`, source.text, { lang: language, sourceType: 'module', preserveParens: false })
  const syntaxErrors = parsed.errors.filter(isError)
  if (syntaxErrors.length > 0) {
    return unreadable(
      syntaxErrors.slice(0, 5).map((error) => {
        const position = source.position(error.labels[0]?.start ?? 0)
        return {
          ...position,
          reason: `a syntax error: ${error.message}`,
          fix: error.helpMessage ?? 'Correct the code at this place.',
        }
      }),
    )
  }
  return readModule(parsed.program, source, id)
}

/** The package declares its severities as a `const enum`, which cannot be named here. */
function isError(error: { readonly severity: string }): boolean {
  return error.severity === 'Error'
}

function readModule(program: Program, source: SourceText, id: string): ParsedFile {
  const constants = readConstants(program, source)
  const syntax = checkModuleSyntax(program, source)
  const reader = createFieldReader({
    locate: (path) => source.position(constants.offsets.get(String(path[0])) ?? 0),
    label: constantPath,
  })
  const { fields } = constants
  if (constants.problems.length === 0 && (fields['tool_type'] ?? null) === null) {
    const fix = "Write `export const __tool_type__ = 'runtime'`; a file that is not a tool belongs outside the tools folder."
    return unreadable([...syntax.problems, { ...source.position(0), reason: 'no `__tool_type__`, so this is not a tool', fix }])
  }
  const common = readCommonFields(fields, reader, ['capability'])
  if (NEEDS_DEFAULT_EXPORT.has(common.toolType) && !hasDefaultExport(program)) {
    const fix = 'Write `export default async (params, context) => …`.'
    reader.problem(['tool_type'], `a module of type \`${common.toolType}\` has no default export`, fix)
  }
  const capability = common.toolType === 'capability' ? readCapability(fields, reader) : null
  const inputSchema = readParameters(fields, reader)
  const dependencies = readDependencies(fields, reader)
  const description = reader.text(fields, ['description']) ?? capability?.description ?? ''
  if (description === '') reader.warn([], 'no `__description__`', 'Add one; it is how the tool is found.')
  const writtenCategory = reader.text(fields, ['category'])
  const problems = [...constants.problems, ...syntax.problems, ...withoutMissing(reader.problems, constants)]
  const tool = { ...common, config: {}, inputSchema, retry: null, configSchema: null, dependencies, module: true }
  return {
    definition:
      problems.length > 0 ? null : { kind: 'tool', toolId: id, ...tool, ...(capability === null ? {} : { capability }) },
    description,
    version: common.version === '' ? null : common.version,
    writtenCategory,
    problems,
    warnings: [...constants.warnings, ...syntax.warnings, ...reader.warnings],
  }
}

/** A constant that is there but is no literal is reported once, as that, and not again as missing. */
function withoutMissing(problems: readonly Finding[], constants: Constants): readonly Finding[] {
  return problems.filter(({ reason }) => ![...constants.broken].some((name) => reason === `\`${name}\` is missing`))
}

interface Constants {
  readonly fields: JsonObject
  /** Where each field's constant stands. */
  readonly offsets: ReadonlyMap<string, number>
  readonly problems: readonly Finding[]
  readonly warnings: readonly Finding[]
  readonly broken: ReadonlySet<string>
}

function readConstants(program: Program, source: SourceText): Constants {
  const fields = new Map<string, Json>()
  const offsets = new Map<string, number>()
  const problems: Finding[] = []
  const warnings: Finding[] = []
  const broken = new Set<string>()
  const declarations = [...topLevelVariables(program)]
  const isCapability = declarations.some(
    ({ name, init }) => name === '__tool_type__' && init?.type === 'Literal' && init.value === 'capability',
  )
  for (const { name, init, keyword, offset } of declarations) {
    const field = CONSTANTS.get(name)
    if (field === undefined) {
      if (!/^__\w+__$/.test(name)) continue
      warnings.push({
        ...source.position(offset),
        reason: `nothing reads \`${name}\``,
        fix: suggestName(name, [...CONSTANTS.keys()]),
      })
      continue
    }
    if (CAPABILITY_CONSTANTS.has(name) && !isCapability) continue
    offsets.set(field, offset)
    const literal = init === null ? null : readLiteral(init)
    if (keyword !== 'const')
      problems.push({ ...source.position(offset), reason: `\`${name}\` is declared with \`${keyword}\``, fix: 'Use `const`.' })
    if (literal?.kind === 'value') fields.set(field, literal.value)
    else {
      broken.add(name)
      const reason = `\`${name}\` must be a literal, found ${literal?.reason ?? 'no value'}`
      problems.push({
        ...source.position(literal?.offset ?? offset),
        reason,
        fix: 'Write the value itself: text, number, true, false, null, a list or an object.',
      })
    }
  }
  return { fields: Object.fromEntries(fields), offsets, problems, warnings, broken }
}

interface TopLevelVariable {
  readonly name: string
  readonly init: Expression | null
  readonly keyword: string
  readonly offset: number
}

function* topLevelVariables(program: Program): Generator<TopLevelVariable, void> {
  for (const statement of program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
    if (declaration?.type !== 'VariableDeclaration') continue
    for (const { id, init } of declaration.declarations) {
      if (id.type === 'Identifier') yield { name: id.name, init, keyword: declaration.kind, offset: id.start }
    }
  }
}

function hasDefaultExport(program: Program): boolean {
  return program.body.some((statement) => {
    if (statement.type === 'ExportDefaultDeclaration') return true
    if (statement.type !== 'ExportNamedDeclaration' || statement.exportKind === 'type') return false
    return statement.specifiers.some(
      ({ exported }) => (exported.type === 'Literal' ? exported.value : exported.name) === 'default',
    )
  })
}

function readParameters(fields: JsonObject, reader: FieldReader): JsonObject | null {
  const schema = reader.map(fields, ['PARAMETERS'])
  if (schema !== null && schema['type'] !== 'object') {
    reader.problem(
      ['PARAMETERS'],
      '`PARAMETERS` must be a JSON Schema of an object',
      "Write `{ type: 'object', properties: { … } }`.",
    )
  }
  return schema
}

function readDependencies(fields: JsonObject, reader: FieldReader): Readonly<Record<string, string>> {
  const versions: [string, string][] = []
  for (const [name, version] of Object.entries(reader.map(fields, ['DEPENDENCIES']) ?? {})) {
    if (!PACKAGE.test(name))
      reader.problem(['DEPENDENCIES'], `\`${name}\` is not a package name`, 'Use the name as npm writes it.')
    else if (typeof version === 'string' && EXACT_VERSION.test(version)) versions.push([name, version])
    else
      reader.problem(
        ['DEPENDENCIES'],
        `\`${name}\` needs an exact version, got ${JSON.stringify(version)}`,
        "Write it as '1.2.3', without a range.",
      )
  }
  return Object.fromEntries(versions)
}

function constantPath(path: FieldPath): string {
  const [first = '', ...rest] = path
  const constant = [...CONSTANTS].find(([, field]) => field === first)?.[0] ?? String(first)
  return [constant, ...rest].join('.')
}
