/**
 * Keeps secrets out of all that a thread writes, shows or sends.
 *
 *   X1. Whatever a harness journals, records or emits goes through `redactedRunner`; the conversation that the model is sent is read back from there.
 *   X2. Raw events go to the sinks of a tool through `sinkWrapOf`.
 *   X3. What holds no secret is passed on as it is: provider blocks stay byte-exact.
 */
import type { EventRedaction, Redactor } from '../../capabilities/contract.ts'
import type { Json, JsonObject } from '../../json.ts'
import type { ExecutionContext } from '../../kernel/chain/primitive.ts'
import { KiwiError } from '../../kernel/errors.ts'
import type { ErrorContext } from '../../kernel/errors.ts'
import type { Sink, StreamEvent } from '../../primitives/http-client/contract.ts'
import type { ApprovalChange } from '../../threads/approvals/approval.ts'
import type { Commit, NewEvent, NewMessage, Next, Runner, TurnContext } from '../../threads/engine.ts'
import type { ToolCall } from '../base/conversation.ts'

/** The same runner, of which no secret gets out. `redactorOf` is asked once a turn. */
export function redactedRunner(runner: Runner, redactorOf: (threadId?: string) => Redactor): Runner {
  return {
    ...runner,
    async runTurn(ctx, state) {
      const redactor = redactorOf(ctx.threadId)
      try {
        const [next, then] = await runner.runTurn(redactedContext(ctx, redactor), state)
        // What the state keeps of an event or a question may quote a tool.
        return [{ ...next, data: redactor.json(next.data) }, redactedNext(then, redactor)]
      } catch (error) {
        throw redactedError(error, redactor)
      }
    },
    receive(state, signal, threadId) {
      const { commit, ...received } = runner.receive(state, signal, threadId)
      return { ...received, ...(commit === undefined ? {} : { commit: redactedCommit(commit, redactorOf(threadId)) }) }
    },
  }
}

function redactedNext(next: Next, redactor: Redactor): Next {
  if (next.do !== 'done') return next
  const { successor } = next
  return {
    ...next,
    result: redactor.json(next.result),
    ...(successor === undefined
      ? {}
      : {
          successor: {
            ...successor,
            initialMessage: redactor.text(successor.initialMessage),
            options: redactor.json(successor.options),
          },
        }),
  }
}

/** The context of a turn that redacts on the way out. Live text is held back while it may be the beginning of a secret. */
function redactedContext(ctx: TurnContext, redactor: Redactor): TurnContext {
  const live = createLiveRedaction(ctx, redactor)
  return {
    ...ctx,
    step: (name, { before, ...options }, run) =>
      ctx.step(
        redactor.text(name),
        before === undefined ? options : { ...options, before: redactedCommit(before, redactor) },
        async (meta) => {
          try {
            const { value, commit } = await run(meta)
            return { value: redactor.json(value), ...(commit === undefined ? {} : { commit: redactedCommit(commit, redactor) }) }
          } catch (error) {
            throw redactedError(error, redactor)
          } finally {
            live.flush()
          }
        },
      ),
    record: (commit) => ctx.record(redactedCommit(commit, redactor)),
    emit: (message) => live.emit(message),
  }
}

/** One stream for each kind of text of each answer, so that a secret which is split over two deltas never leaves. */
function createLiveRedaction(ctx: TurnContext, redactor: Redactor): { emit(live: JsonObject): void; flush(): void } {
  const streams = new Map<string, { readonly stream: ReturnType<Redactor['stream']>; last: JsonObject }>()
  return {
    emit(live) {
      const { type, text, turn, attempt } = live
      if (typeof text !== 'string') return ctx.emit(redactor.json(live))
      const key = JSON.stringify([type, turn, attempt])
      const known = streams.get(key)
      const entry = known ?? { stream: redactor.stream(), last: live }
      if (known === undefined) streams.set(key, entry)
      entry.last = live
      const shown = entry.stream.push(text)
      if (shown !== '') ctx.emit(shown === text ? live : { ...live, text: shown })
    },
    flush() {
      for (const { stream, last } of streams.values()) {
        const text = stream.end()
        if (text !== '') ctx.emit({ ...last, text })
      }
      streams.clear()
    },
  }
}

function redactedCommit(commit: Commit, redactor: Redactor): Commit {
  const { messages, events, approvals } = commit
  return {
    ...commit,
    ...(messages === undefined ? {} : { messages: messages.map((message) => redactedMessage(message, redactor)) }),
    ...(events === undefined ? {} : { events: events.map((event) => redactedEvent(event, redactor)) }),
    ...(approvals === undefined ? {} : { approvals: approvals.map((change) => redactedApproval(change, redactor)) }),
  }
}

function redactedApproval(change: ApprovalChange, redactor: Redactor): ApprovalChange {
  if (change.do === 'close') return change
  const { title, subject } = change.approval
  return { ...change, approval: { ...change.approval, title: redactor.text(title), subject: redactor.json(subject) } }
}

function redactedEvent(event: NewEvent, redactor: Redactor): NewEvent {
  const { payload, transcript } = event
  return {
    ...event,
    payload: redactor.json(payload),
    ...(transcript === undefined ? {} : { transcript: redactor.json(transcript) }),
  }
}

function redactedMessage(message: NewMessage, redactor: Redactor): NewMessage {
  const content = redactor.json(message.content)
  if (content === message.content) return message
  return { ...message, content: message.role === 'assistant' ? markedAnswer(message.content, content, redactor) : content }
}

/**
 * An answer in which something was replaced. Its calls say which secret they carried, because that can no longer be seen; signed reasoning
 * that was changed is left out, because the provider refuses it.
 */
function markedAnswer(before: Json, after: Json, redactor: Redactor): Json {
  const answer = objectOf(after)
  const blocks = listOf(answer['blocks']).map((block, index) => {
    const given = objectOf(objectOf(listOf(objectOf(before)['blocks'])[index])['call'])
    const name = redactor.find(given)
    const mark: Pick<MarkedCall, 'secret'> = name === null ? {} : { secret: name }
    return name === null ? block : { ...objectOf(block), call: { ...objectOf(objectOf(block)['call']), ...mark } }
  })
  const raw = listOf(answer['raw'])
  const rawBefore = listOf(objectOf(before)['raw'])
  const kept = raw.filter(
    (block, index) => objectOf(block)['type'] !== 'thinking' || redactor.json(rawBefore[index] ?? null) === rawBefore[index],
  )
  return { ...answer, blocks, ...(Array.isArray(answer['raw']) ? { raw: kept } : {}) }
}

/** A call of a stored answer whose arguments held a secret before they were stored. */
interface MarkedCall extends ToolCall {
  readonly secret?: string
}

/**
 * The refusal of a model's call whose arguments hold a secret in any form, or held one when the model made it; null for any other. The
 * call must not run, not even with a mark in the place of the secret.
 */
export function secretInParameters(redactor: Redactor, call: MarkedCall): KiwiError | null {
  const name = call.secret ?? redactor.find(call.arguments)
  if (name === null) return null
  return new KiwiError('SECRET_IN_PARAMETERS', `The arguments of this call hold the value of ${name}, so it was not run.`, {
    facts: { secret: name },
    suggestion: `Leave the value out. A tool that needs it takes it from the environment: its signed file names \${${name}}.`,
  })
}

/** The event of a refused call; none for any other error. */
export function secretBlockedEvents(
  tool: string,
  error: { readonly code: string; readonly secret?: unknown },
): readonly NewEvent[] {
  if (error.code !== 'SECRET_IN_PARAMETERS' || typeof error.secret !== 'string') return []
  return [{ type: 'secret_blocked', payload: { tool, name: error.secret } }]
}

/** For the context of a call: the sinks that its tool file names get no secret, not even one that is split over events. */
export function sinkWrapOf(redactor: Redactor): Pick<ExecutionContext, '__wrap_sink'> {
  return { __wrap_sink: (sink) => redactedSink(sink, redactor.events()) }
}

/** A sink that gets its events redacted, some of them a little later. It is closed after the last of them. */
export function redactedSink(sink: Sink, redaction: EventRedaction<StreamEvent>): Sink {
  return {
    write: (event) => writeAll(sink, redaction.push(event)),
    async close() {
      try {
        await writeAll(sink, redaction.end())
      } finally {
        await sink.close()
      }
    },
  }
}

/** Synchronous for a sink that is, so that it costs no promise. */
function writeAll(sink: Sink, events: readonly StreamEvent[]): void | Promise<void> {
  const [first, ...others] = events
  if (first === undefined) return undefined
  const written = sink.write(first)
  if (others.length === 0) return written
  return written === undefined ? writeAll(sink, others) : written.then(() => writeAll(sink, others))
}

/** The same error where it tells no secret; otherwise one that says the rest, without its stack. */
function redactedError(error: unknown, redactor: Redactor): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? redactor.text(error) : error
  const message = redactor.text(error.message)
  if (!(error instanceof KiwiError)) {
    if (message === error.message && redactor.text(error.stack ?? '') === (error.stack ?? '')) return error
    const shown = new Error(message)
    shown.name = error.name
    return shown
  }
  // The constructor's argument is kept whole, the original error with it.
  const { error: _original, ...context } = error.context as ErrorContext & { readonly error?: unknown }
  // The facts of an error are JSON, and its other fields are texts.
  const shown = redactor.json(context as JsonObject)
  if (message === error.message && (shown as unknown) === context) return error
  return new KiwiError(error.code, message, shown)
}

// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001F\u007F-\u009F\u061C\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF]/gu

/**
 * Lines for a log file that is read in a terminal: without secrets, and with control and bidirectional characters written as escapes, so
 * that a foreign text can neither steer the terminal nor begin a line of its own.
 */
export function safeLog(write: (line: string) => void, redactor: () => Redactor): (line: string) => void {
  return (line) => write(redactor().text(line).replaceAll(UNPRINTABLE, unicodeEscape))
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function objectOf(value: Json | undefined): JsonObject {
  // Neither null nor a list: what is left of Json is an object.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : []
}
