import type { JsonObject } from '../../json.ts'
import { type OpenedProcess, type OpenedProcessEnd, type OpenProcess, OpenProcessError } from '../subprocess/contract.ts'
import { createAnswers } from './answers.ts'
import type { RpcCall, RpcOutcome, RpcProtocol } from './contract.ts'
import { positive, readExchange, readTimeoutMs, RpcConfigError, type RpcExchange, texts } from './rpc-config.ts'
import { createServerTalk, type ServerTalk } from './server-talk.ts'

const DEFAULT_TIMEOUT_MS = 60_000
const DEFAULT_MAX_RESPONSE_BYTES = 10 * 1024 * 1024
const MAX_STDERR_CHARS = 2_000

/**
 * `rpc: {protocol: json_rpc, …}` over `subprocess`: starts the command, writes one line, reads lines until everything is answered, closes it.
 * Further fields of `rpc`: `program` (see `OpenProcessRequest`) and `max_response_bytes` (of one line and of all answers; default 10 MiB).
 *
 * Notifications of the process stand beside the value as `notifications`; what it requests is refused. Errors: JSON_RPC_ERROR
 * {rpc_code, rpc_name, data}, INVALID_RESPONSE {violation}, PROCESS_FAILED {exit_code, signal, stderr} where it ended without an answer, TIMEOUT,
 * ABORTED, LIMIT_EXCEEDED, SANDBOX_UNAVAILABLE, CONFIG_VALIDATION_ERROR.
 */
export function createJsonRpcOverStdio(openProcess: OpenProcess): RpcProtocol {
  return {
    name: 'json_rpc',
    async call(call) {
      try {
        return await converse(openProcess, call, readCall(call))
      } catch (error) {
        if (error instanceof RpcConfigError) return failed('CONFIG_VALIDATION_ERROR', error.message)
        if (error instanceof OpenProcessError)
          return failed(error.code === 'EXECUTION_FAILED' ? 'PROCESS_FAILED' : error.code, error.message)
        throw error
      }
    },
  }
}

interface StdioCall {
  readonly exchange: RpcExchange
  readonly program: readonly string[]
  readonly timeoutMs: number
  readonly maxResponseBytes: number
}

/** @throws {RpcConfigError} */
function readCall({ config }: RpcCall): StdioCall {
  // Whoever chose the protocol read it as an object.
  const rpc = config['rpc'] as JsonObject
  if ((config['stdin'] ?? null) !== null) throw new RpcConfigError('`stdin` is made from `rpc`: leave it out.')
  return {
    exchange: readExchange(rpc, ['program', 'max_response_bytes']),
    program: texts(rpc['program'], 'rpc.program'),
    timeoutMs: readTimeoutMs(config, rpc) ?? DEFAULT_TIMEOUT_MS,
    maxResponseBytes: positive(rpc['max_response_bytes'] ?? DEFAULT_MAX_RESPONSE_BYTES, 'rpc.max_response_bytes'),
  }
}

async function converse(openProcess: OpenProcess, call: RpcCall, asked: StdioCall): Promise<RpcOutcome> {
  const { config, parameters, context } = call
  const { exchange, program, maxResponseBytes } = asked
  const opened = Promise.withResolvers<OpenedProcess>()
  const talk = createServerTalk({
    answers: createAnswers(exchange),
    maxBytes: maxResponseBytes,
    onRefusal: (line) => void opened.promise.then(async (process) => await write(process, line)),
  })
  const deadline = createDeadline(asked.timeoutMs, context.signal)
  try {
    const process = await openProcess({
      config,
      parameters,
      context,
      program,
      maxLineBytes: maxResponseBytes,
      onLine: (line) => talk.read(line),
      signal: deadline.signal,
    })
    opened.resolve(process)
    const { isBatch, messages, requests } = exchange
    // A process may answer without reading; one that does neither ends, or runs into the deadline.
    const written = write(process, JSON.stringify(isBatch ? messages : messages[0]))
    await Promise.race([requests.length === 0 ? written : talk.settled, process.ended])
    const isDone = requests.length === 0 ? await Promise.race([written, process.ended.then(() => false)]) : talk.isSettled()
    await process.close()
    const end = await process.ended
    // The opener checked that it is text.
    const command = typeof config['command'] === 'string' ? config['command'] : ''
    return { ...outcomeOf({ command, talk, end, isDone, isLate: deadline.isLate(), asked }), sandbox: process.mode }
  } finally {
    deadline.clear()
  }
}

/** False where the process takes no more input; how it ends tells why. */
async function write(process: OpenedProcess, line: string): Promise<boolean> {
  return await process.write(line).then(
    () => true,
    () => false,
  )
}

interface Deadline {
  readonly signal: AbortSignal
  /** Whether time ended the call, not its caller. */
  isLate(): boolean
  clear(): void
}

function createDeadline(timeoutMs: number, caller: AbortSignal | undefined): Deadline {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), timeoutMs)
  const signal = caller === undefined ? late.signal : AbortSignal.any([caller, late.signal])
  return { signal, isLate: () => late.signal.aborted && caller?.aborted !== true, clear: () => clearTimeout(timer) }
}

interface Conversation {
  readonly command: string
  readonly talk: ServerTalk
  readonly end: OpenedProcessEnd
  /** Whether everything was said that had to be said before it was closed. */
  readonly isDone: boolean
  readonly isLate: boolean
  readonly asked: StdioCall
}

function outcomeOf(conversation: Conversation): RpcOutcome {
  const { talk, end, isDone } = conversation
  const { value, error } = talk.outcome()
  // Answers that came count, however the process ended after them.
  const isAnswered = isDone || talk.isSettled()
  const failure = isAnswered && end.neverRan === null ? error : endFailure(conversation)
  if (failure === null && typeof value === 'object' && value !== null)
    return { value: { ...value, ...talk.notifications(), ...reportOf(end) }, error: null }
  if (failure === null) return { value, error: null }
  return { value, error: { ...failure, detail: { ...failure.detail, ...talk.notifications(), ...reportOf(end) } } }
}

/** What the sandbox has to say beside what the process said. */
function reportOf({ movedAside, deniedHosts }: OpenedProcessEnd): object {
  return {
    ...(movedAside.length === 0 ? {} : { moved_aside: movedAside }),
    ...(deniedHosts.length === 0 ? {} : { denied_hosts: deniedHosts }),
  }
}

type Failure = NonNullable<RpcOutcome['error']>

/** Why there is no answer. */
function endFailure({ command, end, isLate, asked }: Conversation): Failure {
  const { exitCode, signal, endedBy, neverRan, stderr } = end
  const facts = { exit_code: exitCode, signal, ...(stderr === '' ? {} : { stderr: stderr.slice(-MAX_STDERR_CHARS) }) }
  const failure = (code: string, message: string, detail: Failure['detail'] = {}): Failure => ({
    code,
    message,
    retryable: false,
    detail: { ...detail, ...facts },
  })
  if (isLate)
    return failure('TIMEOUT', `${command} was not done within ${asked.timeoutMs} ms and was killed.`, {
      timeout_ms: asked.timeoutMs,
    })
  if (neverRan !== null) return failure('PROCESS_FAILED', neverRan)
  switch (endedBy) {
    case 'abort':
      return failure('ABORTED', `${command} was cancelled and killed with everything it had started.`)
    case 'line_too_long':
      return failure(
        'LIMIT_EXCEEDED',
        `${command} wrote a line over \`rpc.max_response_bytes\` (${asked.maxResponseBytes}) and was killed.`,
        {
          limit: 'max_response_bytes',
          value: asked.maxResponseBytes,
        },
      )
    case 'too_many_lines':
      return failure('LIMIT_EXCEEDED', `${command} wrote more lines than anybody reads and was killed.`)
    case 'processes':
      return failure(
        'LIMIT_EXCEEDED',
        `${command} started more processes than \`limits.processes\` allows and was killed with all of them.`,
      )
    case 'close':
    case null:
      return failure(
        'PROCESS_FAILED',
        `${command} ended ${signal === null ? `with exit code ${exitCode}` : `by ${signal}`} before it answered.`,
      )
  }
}

function failed(code: string, message: string): RpcOutcome {
  return { value: null, error: { code, message, retryable: false } }
}
