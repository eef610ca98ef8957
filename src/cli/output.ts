import { styleText } from 'node:util'
import { toEnvelope, type ErrorEnvelope } from '../kernel/errors.ts'
import { terminalJson, terminalLine, terminalText } from './terminal-text.ts'

/**
 * Where a verb's words go. Data goes to stdout, talk to stderr. In text mode every string is cleaned for the terminal; in JSON mode data is
 * JSON, in which escapes are harmless. A reader that went away (EPIPE) is no error.
 */
export interface Output {
  readonly json: boolean
  /** Prints `value` as JSON in JSON mode, `text()` otherwise. */
  data(value: unknown, text: () => string): void
  /** One of many: a JSON line in JSON mode, `text()` otherwise. */
  record(value: unknown, text: () => string): void
  /** One line for the person at the terminal. */
  talk(line: string): void
  /** Talk that is not a whole line: live tokens. Already cleaned by the caller's filter. */
  live(piece: string): void
  /** The JSON envelope on stdout in JSON mode; message, where and suggestion on stderr otherwise. */
  failure(envelope: ErrorEnvelope): void
  /** `failure` for anything thrown. */
  error(error: unknown): ErrorEnvelope
  /** Aborts when the reader of stdout is gone: an endless verb has nobody left to talk to. */
  readonly closed: AbortSignal
}

/** Text is cleaned here, on its way out, because any of it may quote files, tools and models. Only `error:` is ever coloured. */
export function createOutput(options: {
  readonly json: boolean
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  /** Takes the secrets of the environment out of a text. Live pieces come without them. */
  readonly redact?: (text: string) => string
}): Output {
  const { json, stdout, stderr, redact = (text) => text } = options
  const closed = new AbortController()
  const out = writer(stdout, () => closed.abort())
  const talk = writer(stderr, () => undefined)
  const label = styleText(['red', 'bold'], 'error:', { stream: stderr, validateStream: true })
  const failure = (envelope: ErrorEnvelope): void =>
    json ? out(redact(terminalJson(envelope)), '\n') : talk(redact(errorText(envelope, label)), '\n')
  return {
    json,
    data: (value, text) => out(redact(json ? terminalJson(value) : terminalText(text())), '\n'),
    record: (value, text) => out(redact(json ? terminalJson(value, 0) : terminalText(text())), '\n'),
    talk: (line) => talk(redact(terminalText(line)), '\n'),
    live: (piece) => talk(piece, ''),
    failure,
    error(error) {
      const envelope = toEnvelope(error)
      failure(envelope)
      return envelope
    },
    closed: closed.signal,
  }
}

/** What went wrong, where, and what to do, one under the other. What the message says already is not said again. */
export function errorText(envelope: ErrorEnvelope, label = 'error:'): string {
  const { code, message, chain, failed_at: failedAt, cause, suggestion } = envelope.error
  // What to do has a line of its own.
  const isEnd = suggestion !== null && suggestion !== '' && message.length > suggestion.length && message.endsWith(suggestion)
  const lines = [`${label} ${terminalText(isEnd ? message.slice(0, -suggestion.length).trimEnd() : message)} [${code}]`]
  if (failedAt !== null)
    lines.push(`  at ${terminalLine([failedAt.tool_id, failedAt.config_path].filter((part) => part !== null).join(': '))}`)
  const isSaid = (text: string): boolean => message.includes(text)
  for (const { field, error } of failedAt?.validation_errors ?? [])
    if (!isSaid(error)) lines.push(`  ${terminalLine(field === '' ? error : `${field}: ${error}`)}`)
  if (chain.length > 1) lines.push(`  chain: ${terminalLine(chain.join(' → '))}`)
  if (cause !== null)
    lines.push(`  cause: ${terminalLine(isSaid(cause.message) ? cause.code : `${cause.message} [${cause.code}]`)}`)
  for (const [fact, value] of Object.entries(envelope.error)) {
    if (SHAPE.has(fact) || value === null || value === '' || (typeof value === 'string' && isSaid(value))) continue
    // The suggestion names them.
    if (fact === 'allowed_actions' && suggestion !== null) continue
    const values = Array.isArray(value) ? value.map(plain).filter((entry) => !isSaid(entry)) : [plain(value)]
    for (const entry of values) lines.push(...factLines(fact, entry))
  }
  if (suggestion !== null) lines.push(`  → ${terminalText(suggestion)}`)
  return lines.join('\n')
}

/** A text of several lines, such as a difference, keeps them. */
function factLines(fact: string, text: string): readonly string[] {
  const lines = terminalText(text).trimEnd().split('\n')
  if (lines.length < 3) return [`  ${terminalLine(`${fact}: ${text}`)}`]
  return [`  ${terminalLine(fact)}:`, ...lines.map((line) => `    ${line}`)]
}

/** Fields with a place of their own above; `validation_errors` repeats those of `failed_at`. */
const SHAPE = new Set(['code', 'message', 'chain', 'failed_at', 'cause', 'retryable', 'suggestion', 'validation_errors'])

function plain(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

function writer(stream: NodeJS.WriteStream, onGone: () => void): (text: string, end: string) => void {
  let isGone = false
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    isGone = true
    onGone()
  })
  return (text, end) => {
    if (!isGone) stream.write(end === '' || text.endsWith(end) ? text : text + end)
  }
}
