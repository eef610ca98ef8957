import type { Json } from '../../../json.ts'
import { isJsonObject } from '../../../kernel/items/field-reader.ts'

type HookAction = 'retry' | 'continue' | 'skip' | 'fail' | 'abort'

/** What the directive of a hook has answered. */
export interface Verdict {
  readonly action: HookAction
  /** Empty where it said nothing more. */
  readonly message: string
}

const ACTIONS: readonly HookAction[] = ['retry', 'continue', 'skip', 'fail', 'abort']
/** A structured answer is short; what is longer is not read as JSON. */
const MAX_ANSWER_CHARACTERS = 65_536
const FENCE = '```json'

/**
 * The answer in the result of a hook's thread: its structured outputs, else its text when that is one JSON object, alone or in one
 * fence of JSON. An unknown action and a missing one are `fail`.
 */
export function readVerdict(result: Json): Verdict {
  const { action, message } = answerOf(result) ?? {}
  const known = ACTIONS.find((one) => one === action)
  const said = typeof message === 'string' ? message.trim() : ''
  if (known !== undefined) return { action: known, message: said }
  const got = typeof action === 'string' ? `the unknown action ${JSON.stringify(action.slice(0, 40))}` : 'no action'
  return { action: 'fail', message: `The hook answered with ${got}, which counts as fail.${said === '' ? '' : ` ${said}`}` }
}

interface Answer {
  readonly action?: Json
  readonly message?: Json
}

function answerOf(result: Json): Answer | null {
  if (!isJsonObject(result)) return null
  const { outputs, text } = result
  if (outputs !== undefined && isJsonObject(outputs)) return outputs
  return typeof text === 'string' && text.length <= MAX_ANSWER_CHARACTERS ? jsonObjectIn(text.trim()) : null
}

function jsonObjectIn(text: string): Answer | null {
  const whole = parsed(text)
  const opened = text.indexOf(FENCE)
  if (whole !== null || opened === -1) return whole
  const begin = opened + FENCE.length
  const end = text.indexOf('```', begin)
  // Two answers are none.
  return end === -1 || text.includes(FENCE, end + 3) ? null : parsed(text.slice(begin, end))
}

function parsed(text: string): Answer | null {
  try {
    // JSON.parse gives nothing but JSON.
    const value = JSON.parse(text) as Json
    return isJsonObject(value) ? value : null
  } catch {
    // Prose is no answer, and the caller says so.
    return null
  }
}
