import type { Json, JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { canonicalJson, hash } from '../limits/loops.ts'
import type { RunnableCall } from '../tools/tool-request.ts'
import type { CallPlace } from '../tools/under-token.ts'
import { fileDiff } from '../changes/file-diff.ts'

/** What somebody is shown of a call before it may run. */
export interface CallQuestion {
  readonly title: string
  readonly subject: JsonObject
}

const TITLE_CHARACTERS = 200
const TEXT_CHARACTERS = 4_000
const LIST_ENTRIES = 100

/**
 * The question whether a call may be made: the tool, its parameters without secrets and with long texts cut, the path and the difference where
 * it writes a file, and who asks. `args_hash` is that of the events of the call.
 */
export async function callQuestion(place: CallPlace, call: RunnableCall, context: ExecutionContext): Promise<CallQuestion> {
  const { services, ctx } = place
  const redactor = services.redactor(ctx.threadId)
  // Before anything is cut: half a secret is not known for one any more.
  const parameters = redactor.json(call.parameters)
  const path = typeof parameters['path'] === 'string' ? parameters['path'] : null
  const diff = path === null ? null : await fileDiff(place, call, context)
  return {
    title: titleOf(call.item, parameters),
    subject: {
      tool: call.item,
      parameters: bounded(parameters),
      args_hash: argsHashOf(call),
      path,
      diff: diff === null ? null : redactor.text(diff),
      thread: ctx.threadId,
      directive: ctx.start.directiveId,
    },
  }
}

/** Tells a call from one of other parameters; what is approved is a call of this hash. */
export function argsHashOf({ parameters }: Pick<RunnableCall, 'parameters'>): string {
  return hash(canonicalJson(parameters))
}

/** One line of a title or a table. */
export function titleLine(text: string): string {
  const line = text
    .slice(0, TITLE_CHARACTERS * 2)
    .replaceAll(/\s+/g, ' ')
    .trim()
  return line.length <= TITLE_CHARACTERS ? line : `${line.slice(0, TITLE_CHARACTERS - 1).replace(/\p{Surrogate}$/u, '')}…`
}

function titleOf(tool: string, parameters: JsonObject): string {
  return titleLine(Object.keys(parameters).length === 0 ? `run ${tool}` : `run ${tool} with ${JSON.stringify(parameters)}`)
}

/** The same value with long texts and lists cut, each saying so. */
function bounded(value: Json): Json {
  if (typeof value === 'string') {
    if (value.length <= TEXT_CHARACTERS) return value
    return `${value.slice(0, TEXT_CHARACTERS).replace(/\p{Surrogate}$/u, '')}… (${value.length} characters in all)`
  }
  if (Array.isArray(value)) {
    const shown = value.slice(0, LIST_ENTRIES).map(bounded)
    return value.length <= LIST_ENTRIES ? shown : [...shown, `… (${value.length} entries in all)`]
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const shown = entries.slice(0, LIST_ENTRIES).map(([key, entry]) => [key, bounded(entry)] as const)
  return Object.fromEntries(
    entries.length <= LIST_ENTRIES ? shown : [...shown, ['…', `${entries.length} entries in all`] as const],
  )
}
