import type { JsonObject } from '../json.ts'
import type { ThreadEventRow } from '../threads/threads-client.ts'
import { clip, dollars, numberIn } from './format.ts'
import { terminalLine } from './terminal-text.ts'
import { missingOf } from './thread-text.ts'

/**
 * What a person who follows a thread wants to see of an event, besides the streamed text; null for the rest. The `error` that ends a thread
 * is left to whoever shows its result, and an open question to whoever says how it is answered.
 */
export function noteOf(event: Pick<ThreadEventRow, 'event_type' | 'payload'>, width: number): string | null {
  const { event_type: type, payload } = event
  // Never cut: the end of the message says what to do.
  if (type === 'stream_error')
    return `  ! ${terminalLine([type, textIn(payload, 'code'), textIn(payload, 'message')].filter((part) => part !== '').join(' '))}`
  const note = callNote(type, payload) ?? workNote(type, payload) ?? happenedNote(type, payload)
  return note === null ? null : `  ${note.mark} ${clip(note.text, width - 4)}`
}

interface Note {
  readonly mark: string
  readonly text: string
}

function callNote(type: string, payload: JsonObject): Note | null {
  const tool = textIn(payload, 'tool')
  if (type === 'tool_call') return { mark: '→', text: tool }
  if (type === 'tool_result')
    return { mark: payload['success'] === false ? '✗' : '✓', text: `${tool}: ${textIn(payload, 'summary')}` }
  return type === 'permission_denied' ? { mark: '⊘', text: `denied ${tool}: ${missingOf(payload)}` } : null
}

/** Hooks, checks and what the model says of its own work. */
function workNote(type: string, payload: JsonObject): Note | null {
  const text = (name: string): string => textIn(payload, name)
  switch (type) {
    case 'hook_started':
      return { mark: '→', text: `hook ${text('directive')} for ${text('event')} ${text('code')}: thread ${text('thread_id')}` }
    case 'hook_finished':
      return { mark: '✓', text: behind(`hook: ${text('action')}`, text('message')) }
    case 'hook_failed':
      return { mark: '✗', text: behind(`hook failed, the thread ${text('outcome').replaceAll('_', ' ')}`, text('reason')) }
    case 'check_passed':
    case 'check_failed':
      return {
        mark: type === 'check_passed' ? '✓' : '✗',
        text: behind(`check ${text('check')} (${text('kind')} ${text('what')})`, text('detail')),
      }
    case 'checkpoint':
      return { mark: '•', text: behind(`checkpoint ${text('name')}`, text('note')) }
    default:
      return null
  }
}

function warning(text: string): Note {
  return { mark: '!', text }
}

function happenedNote(type: string, payload: JsonObject): Note | null {
  const text = (name: string): string => textIn(payload, name)
  switch (type) {
    case 'intervention':
      return warning(interventionText(payload))
    case 'status':
      if (text('help') === 'guidance') return { mark: '?', text: behind('the model asks for guidance', text('reason')) }
      return text('limit_reached') === ''
        ? null
        : warning(behind(`${text('limit_reached')} (${text('action')})`, text('message')))
    case 'approval_expired':
      return warning(`nobody answered ${text('approval_id')} in time, which is a no`)
    case 'reservation_settled':
      return warning(`a model call that broke off counts in full: ${dollars(numberIn(payload, 'cost_nano'))} (${text('reason')})`)
    case 'handoff':
      return text('action') === 'done' ? null : warning(behind(`handoff ${text('action').replaceAll('_', ' ')}`, text('reason')))
    case 'loop_detected':
    case 'context_warning':
    case 'sink_loss':
    case 'injected_message':
      return warning(`${type} ${factsText(payload)}`.trimEnd())
    default:
      return null
  }
}

/** `cancel by operator (cli): the reason`; what it adds or names stands between. */
function interventionText({ by, signal_id: _signal, ...payload }: JsonObject): string {
  const { action: _action, reason, ...facts } = payload
  const more = factsText(facts)
  const what = `${textIn(payload, 'action')} by ${actorText(by)}${more === '' ? '' : `, ${more}`}`
  return behind(what, typeof reason === 'string' ? reason : '')
}

function actorText(by: JsonObject[string] | undefined): string {
  if (!isObject(by)) return 'somebody'
  return by['kind'] === 'thread' ? `thread ${textIn(by, 'thread_id')}` : `operator (${textIn(by, 'door')})`
}

function isObject(value: JsonObject[string] | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function factsText(facts: JsonObject): string {
  return Object.entries(facts)
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
}

function behind(text: string, detail: string): string {
  return detail === '' ? text : `${text}: ${detail}`
}

function textIn(payload: JsonObject, name: string): string {
  const value = payload[name]
  return typeof value === 'string' ? value : ''
}
