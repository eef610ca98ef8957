import type { EndReason } from '../../../threads/engine.ts'
import type { Consequence, Settled, ThreadEvent, Unheard } from '../interruptions/contract.ts'
import type { SafetyData } from '../turn/state.ts'
import type { Verdict } from './verdict.ts'

/** How often hooks may let one thread try again for events of one code; the next time counts as `fail`. */
const MAX_RETRIES = 3

/** What comes now, and what the thread remembers of it. */
interface Obeyed {
  readonly data: SafetyData
  readonly consequence: Consequence
}

/** Does what the hook says. A limit cannot be skipped: for it `skip` is `continue`. */
export function obey(data: SafetyData, happened: Unheard, { action, message }: Verdict): Obeyed {
  const { event, consequence } = happened
  switch (action) {
    case 'retry':
      return retry(data, happened, message)
    case 'continue':
      return { data, consequence: withMessage(consequence, message) }
    case 'skip':
      if (event.name === 'on_limit') return { data, consequence: withMessage(consequence, message) }
      return { data, consequence: { kind: 'go_on', note: spoken(`A hook has settled this (${event.code}): go on.`, message) } }
    case 'fail':
      return { data, consequence: ended(happened, spoken('A hook ended the thread.', message)) }
    case 'abort': {
      const failure = { message: spoken(`A hook aborted the thread (${event.code}).`, message) }
      return { data, consequence: { kind: 'end', endReason: 'cancelled', failure } }
    }
  }
}

/**
 * What comes where a hook could not answer. One that watches over permissions or limits ends the thread; any other is passed over.
 */
export function withoutAnswer(happened: Unheard, reason: string): Consequence {
  return isGuard(happened.event) ? ended(happened, `The hook for it failed: ${reason}`) : happened.consequence
}

/** Whether the thread ends when no hook that was to be asked about this event can answer. */
export function isGuard({ name, code }: ThreadEvent): boolean {
  return name === 'on_limit' || code === 'permission_denied'
}

function retry(data: SafetyData, happened: Unheard, message: string): Obeyed {
  const { code } = happened.event
  const retries = data.hookRetries[code] ?? 0
  if (retries >= MAX_RETRIES) {
    const why = `Hooks have let the thread try again ${MAX_RETRIES} times after ${code}, which is the most.`
    return { data, consequence: ended(happened, spoken(why, message)) }
  }
  const note = spoken(`A hook lets you try again after ${code} (${retries + 1} of ${MAX_RETRIES}).`, message)
  return { data: { ...data, hookRetries: { ...data.hookRetries, [code]: retries + 1 } }, consequence: { kind: 'go_on', note } }
}

/** A thread that goes on is told; a person who is asked reads it with the question. */
function withMessage(consequence: Consequence, message: string): Consequence {
  if (message === '') return consequence
  switch (consequence.kind) {
    case 'go_on':
      return { kind: 'go_on', note: spoken(consequence.note ?? 'A hook says:', message) }
    case 'ask': {
      const { question } = consequence
      return { ...consequence, question: { ...question, subject: { ...question.subject, hook_message: message } } }
    }
    case 'end':
      return consequence
  }
}

/** The end of the thread with the reason that the event itself has for it. */
function ended({ event, consequence }: Unheard, why: string): Settled {
  const own = consequence.kind === 'ask' ? consequence.refused : consequence
  if (own.kind === 'end') return { ...own, failure: { ...own.failure, message: `${own.failure.message} ${why}` } }
  const { message } = event.detail
  const endReason: EndReason = event.code === 'permission_denied' ? 'permission_denied' : 'check_failed'
  const what = typeof message === 'string' && message !== '' ? `${event.code}: ${message}` : `${event.name} ${event.code}.`
  return { kind: 'end', endReason, failure: { message: `${what} ${why}`, event: event.name, code: event.code } }
}

function spoken(words: string, message: string): string {
  return message === '' ? words : `${words} ${message}`
}
