import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import type { RunnableCall } from '../tools/tool-request.ts'
import type { CallPlace } from '../tools/under-token.ts'
import { unifiedDiff } from './unified-diff.ts'

const MAX_BYTES = 1_000_000

/**
 * What a call with the parameters of `write_file` or `edit_file` would make of its file, as a unified diff; null for any other call, and where
 * the thread may not read the file, or it is no text of moderate size.
 */
export async function fileDiff(place: CallPlace, call: RunnableCall, context: ExecutionContext): Promise<string | null> {
  const change = changeOf(call.parameters)
  if (change === null || !(await mayRead(place, call, context))) return null
  const before = await currentText(place, change.path, context)
  if (before.kind === 'unreadable') return null
  const after = change.apply(before.text)
  return after === null ? null : unifiedDiff(change.path, before.text, after)
}

interface FileChange {
  readonly path: string
  /** Null where the change would be refused. */
  apply(before: string | null): string | null
}

function changeOf(parameters: JsonObject): FileChange | null {
  const { path, content, old_text: oldText, new_text: newText, replace_all: all } = parameters
  if (typeof path !== 'string') return null
  if (typeof content === 'string') return content.length > MAX_BYTES ? null : { path, apply: () => content }
  if (typeof oldText !== 'string' || typeof newText !== 'string' || oldText === '') return null
  return { path, apply: (before) => edited(before, { oldText, newText, all: all === true }) }
}

function edited(
  before: string | null,
  { oldText, newText, all }: { readonly oldText: string; readonly newText: string; readonly all: boolean },
): string | null {
  const pieces = before?.split(oldText) ?? []
  const found = pieces.length - 1
  if (found < 1 || (found > 1 && !all) || found * newText.length > MAX_BYTES) return null
  return pieces.join(newText)
}

/** By the thread's own `fs.read`: whoever writes a file need not be able to read it. */
async function mayRead(
  { services }: CallPlace,
  { question, parameters }: RunnableCall,
  context: ExecutionContext,
): Promise<boolean> {
  if (question === null) return false
  const { permitted } = await services.gate.authorize({
    verb: 'execute',
    ...question,
    requires: ['fs.read'],
    chainRequires: ['fs.read'],
    parameters,
    context,
  })
  return permitted
}

async function currentText(
  { services }: CallPlace,
  path: string,
  { signal }: ExecutionContext,
): Promise<{ readonly kind: 'text'; readonly text: string | null } | { readonly kind: 'unreadable' }> {
  const parameters = { path, max_bytes: MAX_BYTES }
  // What the thread may read was asked for above; the tool is called for the person who is asked.
  const answer = await services.kernel.execute(
    { item_type: 'tool', item_id: 'read_file', parameters },
    signal === undefined ? {} : { signal },
  )
  if (!answer.success) {
    const missing = [answer.error.code, answer.error.cause?.code].includes('FILE_NOT_FOUND')
    return missing ? { kind: 'text', text: null } : { kind: 'unreadable' }
  }
  const { result } = answer
  if (typeof result !== 'object' || result === null || !('content' in result) || !('truncated' in result))
    return { kind: 'unreadable' }
  const { content, truncated } = result
  return typeof content === 'string' && truncated === false ? { kind: 'text', text: content } : { kind: 'unreadable' }
}
