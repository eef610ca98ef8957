import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isNode, LineCounter, parseDocument } from 'yaml'
import type { Document } from 'yaml'
import type { Json } from '../json.ts'
import { readScenario } from './scenario-fields.ts'
import type { FieldProblem } from './field-reader.ts'
import type { Scenario, ScenarioFunction } from './scenario.ts'

/** A scenario file that cannot be used. The message has one line for each problem: file, line, what is wrong, what to write. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError'
}

const MAX_BYTES = 1024 * 1024

/**
 * Loads a scenario: YAML rules, or a `.js`/`.ts` module whose default export is a `ScenarioFunction` (its code runs).
 *
 * @throws {ScenarioError}
 */
export async function loadScenario(path: string): Promise<Scenario | ScenarioFunction> {
  if (['.js', '.mjs', '.ts', '.mts'].includes(extname(path))) return loadModule(path)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ScenarioError(`${basename(path)}: cannot be read: ${reason}. Name a scenario file (.yaml, .js or .ts).`, {
      cause: error,
    })
  }
  return parseScenario(text, basename(path))
}

/**
 * A scenario from YAML text; `file` is the name shown in errors.
 *
 * @throws {ScenarioError}
 */
export function parseScenario(text: string, file: string): Scenario {
  if (text.length > MAX_BYTES) throw new ScenarioError(`${file}: larger than 1 MB. Split it, or write the scenario as a module.`)
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const broken = document.errors[0]
  if (broken !== undefined) {
    const { line, col } = lineCounter.linePos(broken.pos[0])
    throw new ScenarioError(`${file}:${line}:${col}: not valid YAML: ${broken.message}`, { cause: broken })
  }
  const problems: FieldProblem[] = []
  const scenario = readScenario(documentValue(document, file), problems)
  if (scenario !== null && problems.length === 0) return scenario
  const lines = problems.map(({ path, reason, fix }) => {
    const { line, col } = lineCounter.linePos(offsetOf(document, path))
    return `${file}:${line}:${col}: ${path.length === 0 ? '' : `\`${path.join('.')}\` `}${reason}. ${fix}`
  })
  throw new ScenarioError(lines.join('\n'))
}

function documentValue(document: Document, file: string): Json {
  try {
    // A YAML document in the core schema holds JSON values; dates and the like do not exist in it.
    return document.toJS({ maxAliasCount: 100 }) as Json
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ScenarioError(`${file}: ${reason}. Write the repeated parts out.`, { cause: error })
  }
}

/** Where the node of a path begins; for one that does not exist, where its nearest parent does. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  for (let length = path.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return 0
}

async function loadModule(path: string): Promise<ScenarioFunction> {
  const module: unknown = await import(pathToFileURL(path).href)
  const scenario = typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined
  if (typeof scenario !== 'function') {
    throw new ScenarioError(
      `${basename(path)}: has no default export that is a function. Write \`export default (conversation) => ({ reply: { text: '…' } })\`.`,
    )
  }
  // A function of a module cannot be checked further; it answers for its own result.
  return scenario as ScenarioFunction
}
