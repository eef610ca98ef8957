import type { Json } from '../../json.ts'
import type { Answers } from './answers.ts'
import { rpcErrorResponse, type RpcParams } from './build-message.ts'
import type { ParsedRpc, RpcOutcome } from './contract.ts'
import { RPC_ERROR_CODES } from './error-codes.ts'
import { parseRpc, parseRpcText } from './parse-message.ts'

/** What a process says, line by line, until its answers are complete or it broke the protocol. */
export interface ServerTalk {
  /** One line; blank ones mean nothing. */
  read(line: string): void
  /** Resolves when nothing more has to be read. */
  readonly settled: Promise<void>
  isSettled(): boolean
  outcome(): RpcOutcome
  /** What it said without being asked, for beside the value. */
  notifications(): { readonly notifications?: readonly Json[]; readonly notifications_left_out?: number }
}

export interface ServerTalkOptions {
  readonly answers: Answers
  /** Of all answers together. */
  readonly maxBytes: number
  /** Told the refusal of what the process requested, one line. */
  readonly onRefusal: (line: string) => void
}

const MAX_NOTIFICATIONS = 100
const MAX_NOTIFICATION_BYTES = 256 * 1024
/** One that asks for more gets no more refusals. */
const MAX_REFUSALS = 100
/** Of everything besides answers: telling its progress for hours takes less. Reading each message takes time that others wait. */
const MAX_TALK_BYTES = 64 * 1024 * 1024

export function createServerTalk({ answers, maxBytes, onRefusal }: ServerTalkOptions): ServerTalk {
  const settled = Promise.withResolvers<void>()
  const notifications: { readonly method: string; readonly params?: RpcParams }[] = []
  let notificationBytes = 0
  let leftOut = 0
  let refusals = 0
  let bytes = 0
  let talkBytes = 0
  let isSettled = false
  let isOver = false

  const settle = (): void => {
    isSettled = true
    settled.resolve()
  }
  const takeNotification = ({ method, params }: { readonly method: string; readonly params?: RpcParams }, size: number): void => {
    notificationBytes += size
    if (notifications.length === MAX_NOTIFICATIONS || notificationBytes > MAX_NOTIFICATION_BYTES) leftOut += 1
    else notifications.push(params === undefined ? { method } : { method, params })
  }
  /** False when nothing after it counts. */
  const take = (parsed: ParsedRpc, size: number): boolean => {
    if (isSettled) {
      // The process is on its way out, and what it says now means nothing, except that an answer which is there already was not the only one.
      const isSecond = parsed.kind === 'response' && parsed.message.id !== null && answers.isAnswered(parsed.message.id)
      return !isSecond || answers.take(parsed) === null
    }
    if (parsed.kind === 'notification') takeNotification(parsed.message, size)
    else if (parsed.kind === 'request') {
      refusals += 1
      const error = { code: RPC_ERROR_CODES.method_not_found, message: 'Method not found' }
      if (refusals <= MAX_REFUSALS) onRefusal(JSON.stringify(rpcErrorResponse(parsed.message.id, error)))
    } else if (answers.take(parsed) !== null) {
      settle()
      return false
    }
    if (answers.complete()) settle()
    return true
  }

  return {
    read(line) {
      if (isOver || line.trim() === '') return
      const size = Buffer.byteLength(line)
      const read = parseRpcText(line)
      const isTalk = read.kind === 'single' && (read.parsed.kind === 'notification' || read.parsed.kind === 'request')
      if (isTalk) talkBytes += size
      else bytes += size
      isOver = (bytes > maxBytes || talkBytes > MAX_TALK_BYTES) && !isSettled
      if (isOver) return settle()
      if (read.kind === 'single') take(read.parsed, size)
      else for (const entry of read.entries) if (!take(parseRpc(entry), size)) break
    },
    settled: settled.promise,
    isSettled: () => isSettled,
    outcome: () => {
      if (isOver) return talkBytes > MAX_TALK_BYTES ? tooMuchTalk() : overLimit(maxBytes)
      return answers.outcome()
    },
    notifications: () => ({
      ...(notifications.length === 0 ? {} : { notifications }),
      ...(leftOut === 0 ? {} : { notifications_left_out: leftOut }),
    }),
  }
}

function overLimit(maxBytes: number): RpcOutcome {
  const message = `The answers are over \`rpc.max_response_bytes\` (${maxBytes}). Raise it if such answers are expected.`
  const detail = { limit: 'max_response_bytes', value: maxBytes }
  return { value: null, error: { code: 'LIMIT_EXCEEDED', message, retryable: false, detail } }
}

function tooMuchTalk(): RpcOutcome {
  const message = `The process sent more than ${MAX_TALK_BYTES} bytes of notifications and requests before it answered.`
  const detail = { limit: 'talk_bytes', value: MAX_TALK_BYTES }
  return { value: null, error: { code: 'LIMIT_EXCEEDED', message, retryable: false, detail } }
}
