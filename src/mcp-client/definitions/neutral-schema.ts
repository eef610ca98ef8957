import { createRequire } from 'node:module'
import type * as Validator from 'ajv/dist/2020.js'
import type { JsonObject } from '../../json.ts'
import type { UpstreamTool } from '../contract.ts'
import { describeHidden, hiddenCharacters, neutralText, quotedName } from './neutral-text.ts'
import { isCheap } from './schema-cost.ts'
import { isMap } from './schema-values.ts'
import { walkSchema } from './schema-walk.ts'
import type { WalkOutcome } from './schema-walk.ts'

export interface NeutralDefinition {
  /** Never empty. */
  readonly description: string
  /** `type: object`; compiles; checking a value against it takes time in proportion to the value. */
  readonly inputSchema: JsonObject
  /** One sentence for each thing that was left out or changed, for people. */
  readonly notes: readonly string[]
}

const MAX_DESCRIPTION = 4000
const MAX_SCHEMA_CHARACTERS = 100_000
const MAX_LABELS = 20
const MAX_NAMES = 10

/** What a server says of a tool, made safe to show and to validate with. Equal for definitions of equal hash. Never throws. */
export function neutralDefinition(tool: UpstreamTool): NeutralDefinition {
  const written = [tool.description, tool.title].find((text) => typeof text === 'string' && text.trim() !== '') ?? ''
  const description = neutralText(written, { maxCharacters: MAX_DESCRIPTION, multiline: true })
  const { schema, notes, texts } = neutralSchema(tool.inputSchema)
  const hidden = describeHidden(hiddenCharacters([written.slice(0, MAX_DESCRIPTION * 2), ...texts].join('\n')))
  return {
    description: description === '' ? 'The server does not describe this tool.' : description,
    inputSchema: schema,
    notes: [
      ...(hidden === '' ? [] : [`Hidden characters in its texts were made visible: ${hidden}.`]),
      ...(written.length > MAX_DESCRIPTION ? [`Its description of ${written.length} characters was cut.`] : []),
      ...notes,
    ],
  }
}

interface NeutralSchema {
  readonly schema: JsonObject
  readonly notes: readonly string[]
  readonly texts: readonly string[]
}

function neutralSchema(upstream: JsonObject): NeutralSchema {
  if (!isMap(upstream)) return anyObject('Its input schema is no JSON object')
  const withoutReferences = walkSchema(upstream, () => false)
  const linked = walkSchema(upstream, (pointer) => withoutReferences.schemas.has(pointer))
  const isKept = isCheap(linked.schemas)
  const outcome = isKept ? linked : withoutReferences
  if (JSON.stringify(outcome.schema).length > MAX_SCHEMA_CHARACTERS) return anyObject('Its input schema is too large')
  const reason = whyNotCompiled(outcome.schema)
  if (reason !== null) return anyObject(`Its input schema does not compile (${reason})`)
  return {
    schema: outcome.schema,
    notes: [
      ...(isKept ? [] : ['References within its input schema were left out: a check against them could take for ever.']),
      ...notesOf(outcome, upstream),
    ],
    texts: outcome.texts,
  }
}

function anyObject(why: string): NeutralSchema {
  return {
    schema: { type: 'object' },
    notes: [`${why}: any parameters are accepted here, and the server checks them.`],
    texts: [],
  }
}

function notesOf({ dropped, lostNames }: WalkOutcome, { type }: JsonObject): readonly string[] {
  const labels = [...dropped].map(([label, times]) => (times === 1 ? label : `${label} (${times} times)`))
  const more = labels.length > MAX_LABELS ? `, and ${labels.length - MAX_LABELS} more` : ''
  return [
    ...(type === 'object' || type === undefined ? [] : ['Its input schema describes no object; it was made to.']),
    ...(labels.length === 0
      ? []
      : [`Left out of its input schema, for the server to check: ${labels.slice(0, MAX_LABELS).join(', ')}${more}.`]),
    ...(lostNames.length === 0 ? [] : [`No call can give ${lostText(lostNames)}; names like these are refused here.`]),
  ]
}

function lostText(names: readonly string[]): string {
  const told = names.slice(0, MAX_NAMES).map(quotedName).join(', ')
  return `${names.length === 1 ? 'its parameter' : 'its parameters'} ${told}${names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : ''}`
}

/** As the kernel compiles schemas of parameters. */
const OPTIONS = {
  allErrors: true,
  strict: false,
  addUsedSchema: false,
  ownProperties: true,
  verbose: true,
  logger: false,
} as const

interface Compiler {
  compile(schema: object): unknown
  removeSchema(schema: object): unknown
}

/** Null when it compiles. Loading the validator takes longer than all else here, so that is left to the first call. */
function whyNotCompiled(schema: JsonObject): string | null {
  loaded ??= loadCompiler()
  try {
    loaded.compile(schema)
    return null
  } catch (error) {
    return neutralText(error instanceof Error ? error.message : String(error), { maxCharacters: 200, multiline: false })
  } finally {
    loaded.removeSchema(schema)
  }
}

let loaded: Compiler | null = null

function loadCompiler(): Compiler {
  // What a package exports has no type when it is loaded without `import`, which could not wait for the first call.
  const { Ajv2020 } = createRequire(import.meta.url)('ajv/dist/2020.js') as typeof Validator
  return new Ajv2020(OPTIONS)
}
