import type { TestContext } from 'node:test'
import type { Conversation } from '../../../../src/scripted-model/conversation.ts'
import type { ScenarioFunction } from '../../../../src/scripted-model/scenario.ts'
import type { ThreadRow } from '../../../../src/threads/threads-client.ts'
import { directive, openWorkshop, says } from '../workshop.ts'
import type { Workshop, WorkshopOptions } from '../workshop.ts'

type Answer = ReturnType<typeof says>

const LIMITS = '<max_turns>20</max_turns><on_exceeded>stop</on_exceeded>'

/** One `<hook>`; `inputs` by name, as written. */
export function hook(when: string, name = 'guard', inputs: Readonly<Record<string, string>> = {}): string {
  const given = Object.entries(inputs).map(([input, text]) => `<input name="${input}">${text}</input>`)
  return `<hook><when>${when}</when><directive>${name}</directive><inputs>${given.join('')}</inputs></hook>`
}

export function withHooks(text: string, hooks: string): string {
  return text.replace('</metadata>', `<hooks>${hooks}</hooks></metadata>`)
}

/** The directive of a hook. */
export function guard(name = 'guard', cost = '<max_turns>3</max_turns><on_exceeded>stop</on_exceeded>', extra = ''): string {
  return directive(name, cost, extra)
}

/** What a hook's thread says at its end. */
export function decides(action: string, message = ''): Answer {
  return says(JSON.stringify({ action, ...(message === '' ? {} : { message }) }))
}

export function runs(conversation: Conversation, name: string): boolean {
  return conversation.firstUserText.includes(`<directive name="${name}"`)
}

/** The thread `work` follows one scenario, each thread of `guard` the other. */
export function guarded(work: ScenarioFunction, answer: ScenarioFunction): ScenarioFunction {
  return (conversation, request) => (runs(conversation, 'guard') ? answer(conversation, request) : work(conversation, request))
}

export interface GuardedOptions extends WorkshopOptions {
  /** The inside of the `<cost>` of `work`. */
  readonly cost?: string
  /** What `work` has besides its metadata and its process. */
  readonly extra?: string
  /** The inside of its `<permissions>`. */
  readonly permissions?: string
}

/** A workshop with the directive `work`, which has these hooks, and the directive `guard`. */
export function openGuarded(t: TestContext, hooks: string, options: GuardedOptions): Promise<Workshop> {
  const { cost = LIMITS, extra = '', permissions, directives, ...others } = options
  const work = withHooks(directive('work', cost, extra, permissions), hooks)
  return openWorkshop(t, { ...others, directives: { guard: guard(), ...directives, work } })
}

/** Spawns `work` and waits for its end; hooks are waited for. */
export async function finish(shop: Workshop): Promise<ThreadRow> {
  return shop.until(await shop.spawn('work'), 'completed', 'error', 'cancelled')
}

export function hookThreads(shop: Workshop, threadId: string): readonly ThreadRow[] {
  return shop.threads.list({ parent_thread_id: threadId, order_by: 'created_at' })
}

/** What the log says of hooks: type and payload, without ids of threads. */
export function hookEvents(shop: Workshop, threadId: string): readonly Record<string, unknown>[] {
  return shop
    .events(threadId)
    .filter(({ event_type: type }) => type.startsWith('hook_'))
    .map(({ event_type: type, payload: { thread_id: _id, ...facts } }) => ({ type, ...facts }))
}

/** The notes to the model, in order. */
export function notes(shop: Workshop, threadId: string): readonly string[] {
  return shop.threads
    .messages(threadId)
    .flatMap(({ role, content }) => (role === 'system_note' ? [(content as { content: string }).content] : []))
}

/** A call of the meta-tool `help` in which the model says how it stands. */
export function asksForHelp(action: string, reason: string): Answer {
  return { reply: { tool_calls: [{ name: 'help', arguments: { action, reason } }] } }
}
