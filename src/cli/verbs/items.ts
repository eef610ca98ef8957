import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Kiwi } from '../../compose.ts'
import type { JsonObject } from '../../json.ts'
import type { MetaToolResult } from '../../kernel/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { ItemType, Space } from '../../kernel/items/item.ts'
import { parseAssignments, parseJsonObject } from '../assignments.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { printResult } from '../execute-tool.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { clip, table } from '../format.ts'

export interface SearchOptions {
  readonly type?: ItemType
  readonly source?: Space | 'all'
  readonly limit?: number
}

/** `kiwi search WORDS`: the same ranking that a model gets; without words everything, as far as the limit goes. */
export async function search(context: CliContext, words: readonly string[], options: SearchOptions): Promise<ExitCode> {
  const request = {
    query: words.join(' '),
    ...(options.type === undefined ? {} : { item_type: options.type }),
    ...(options.source === undefined ? {} : { source: options.source }),
    ...limitOf(words, options.limit),
  }
  return withKiwi(context, async (kiwi) =>
    printResult(context, await kiwi.kernel(context.projectPath).search(request), (result) => searchText(result, options)),
  )
}

/** A list is asked for to be seen whole; ranked results beyond the kernel's default are seldom wanted. */
function limitOf(words: readonly string[], limit: number | undefined): { readonly limit?: number } {
  if (limit !== undefined) return { limit }
  return words.length === 0 ? { limit: MOST_RESULTS } : {}
}

const MOST_RESULTS = 100

export interface LoadOptions {
  readonly source?: Space | 'all'
  readonly to?: 'project' | 'user'
  readonly overwrite?: boolean
}

/** `kiwi load TYPE ID`: the item as a model sees it; `--to` copies it into a space. */
export async function load(context: CliContext, type: ItemType, id: string, options: LoadOptions): Promise<ExitCode> {
  const request = {
    item_type: type,
    item_id: id,
    ...(options.source === undefined ? {} : { source: options.source }),
    ...(options.to === undefined ? {} : { destination: options.to }),
    ...(options.overwrite === true ? { parameters: { overwrite: true } } : {}),
  }
  return withKiwi(context, async (kiwi) => printResult(context, await kiwi.kernel(context.projectPath).load(request), loadText))
}

export interface ExecuteOptions {
  readonly type: ItemType
  readonly id: string
  readonly param: readonly string[]
  readonly params?: string
}

/** `kiwi execute TYPE ID`. `--params -` reads the JSON object from stdin, `--params @FILE` from a file. Ctrl-C aborts the call. */
export async function execute(context: CliContext, options: ExecuteOptions): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const kernel = kiwi.kernel(context.projectPath)
    const parameters = await parametersOf(context, kiwi, options)
    const signal = context.interrupt()
    const result = await kernel.execute(
      { item_type: options.type, item_id: options.id, parameters },
      { signal, __caller: { door: 'cli' } },
    )
    // JSON says it beside the result.
    if (result['sandbox'] === 'none') context.output.talk('warning: this ran without a sandbox (sandbox: none)')
    const code = printResult(context, result, pretty)
    return signal.aborted ? EXIT.interrupted : code
  })
}

async function parametersOf(context: CliContext, kiwi: Kiwi, options: ExecuteOptions): Promise<JsonObject> {
  if (options.params !== undefined && options.param.length > 0) {
    throw new KiwiError('INVALID_REQUEST', 'Both --param and --params were given.', { suggestion: 'Use one of them.' })
  }
  if (options.params !== undefined) return parseJsonObject('--params', readWord(context, options.params))
  if (options.param.length === 0) return {}
  return parseAssignments(options.param, await inputTypes(kiwi, context.projectPath, options))
}

function readWord(context: CliContext, word: string): string {
  if (word === '-') return readFileSync(0, 'utf8')
  if (!word.startsWith('@')) return word
  try {
    return readFileSync(resolve(context.cwd, word.slice(1)), 'utf8')
  } catch (error) {
    throw new KiwiError('FILE_NOT_FOUND', `Reading ${word.slice(1)} failed.`, { error, suggestion: 'Check the path after @.' })
  }
}

/** The declared JSON type of each input of an item, so that `limit=5` can be a number. An item that cannot be used declares none. */
export async function inputTypes(
  kiwi: Kiwi,
  projectPath: string,
  item: { readonly type: ItemType; readonly id: string },
): Promise<(name: string) => string | readonly string[] | null> {
  const { state } = await kiwi.kernel(projectPath).find(item.type, item.id)
  if (state.kind !== 'available') return () => null
  const { definition } = state
  if (definition.kind === 'directive') return (name) => definition.inputs.find((input) => input.name === name)?.type ?? null
  if (definition.kind === 'tool') return (name) => typeInSchema(definition.inputSchema, name)
  return () => null
}

function typeInSchema(schema: JsonObject | null, name: string): string | readonly string[] | null {
  const property = asObject(asObject(schema?.['properties'])?.[name])
  const type = property?.['type']
  if (typeof type === 'string') return type
  return Array.isArray(type) ? type.filter((entry): entry is string => typeof entry === 'string') : null
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null
}

/** What a tool returned, else everything of the result but `success`; text as it is. */
function pretty(result: MetaToolResult): string {
  const { success: _success, ...rest } = result
  const shown = 'result' in rest ? rest.result : rest
  return typeof shown === 'string' ? shown : (JSON.stringify(shown, null, 2) ?? '')
}

/** What is known of the item, then its file as it is. */
function loadText(result: MetaToolResult): string {
  if (!result.success || typeof result['text'] !== 'string') return pretty(result)
  const { text, ...rest } = result
  return `${pretty(rest)}\n\n${text}`
}

function searchText(result: MetaToolResult, { type, source }: SearchOptions): string {
  const found = result.success ? result['results'] : null
  if (!Array.isArray(found)) return pretty(result)
  if (found.length === 0) {
    const narrow = [...(type === undefined ? [] : ['--type']), ...(source === undefined || source === 'all' ? [] : ['--source'])]
    return `Nothing found. Try fewer or other words${narrow.length === 0 ? '' : `, or without ${narrow.join(' and ')}`}.`
  }
  const rows = table(
    ['TYPE', 'ID', 'SPACE', 'DESCRIPTION'],
    found.map((entry: unknown) => {
      const row = asObject(entry) ?? {}
      const cell = (name: string): string => (typeof row[name] === 'string' ? row[name] : '')
      const mark = row['available'] === false ? ' (unavailable)' : ''
      return [cell('type'), `${cell('id')}${mark}`, cell('space'), clip(cell('description'), 90)]
    }),
  )
  return result.success && result['more'] === true ? `${rows}\n… and more: use other words or a larger --limit.` : rows
}
