import type { Server, ServerContext } from '@modelcontextprotocol/server'
import type { ApprovalRow } from '../../threads/approvals/approval.ts'
import { type AnswerPlace, answerQuestion } from './answer-question.ts'
import { formAnswer, questionForm } from './question-form.ts'

/**
 * The dialog of one connection of the older era, where a server asks while a call runs. One question at a time; it may stay open when its call
 * has been answered, and what the user says then still counts. It is closed when somebody else answers, when its time is over, when its call
 * is cancelled, and with the connection.
 */
export interface Dialog {
  current(): OpenQuestion | null
  /** Does nothing while another question is open. Never throws. */
  ask(row: ApprovalRow, place: AnswerPlace, context: ServerContext): void
}

export interface OpenQuestion {
  readonly approvalId: string
  /** Resolves when it is open no longer, with what went wrong with an answer, or null. */
  readonly closed: Promise<string | null>
}

/** A dialog that nobody looks at keeps no other question waiting for longer. */
const MAX_OPEN_MS = 10 * 60_000
const LOOK_EVERY_MS = 500

export function createDialog(server: Server): Dialog {
  let open: OpenQuestion | null = null
  return {
    current: () => open,
    ask(row, place, context) {
      if (open !== null) return
      const asked: OpenQuestion = {
        approvalId: row.approval_id,
        closed: put(server, row, { place, context }).finally(() => {
          if (open === asked) open = null
        }),
      }
      open = asked
    },
  }
}

async function put(
  server: Server,
  row: ApprovalRow,
  { place, context }: { readonly place: AnswerPlace; readonly context: ServerContext },
): Promise<string | null> {
  const { mcpReq } = context
  const ended = new AbortController()
  const close = (): void => ended.abort(new Error('The question is closed.'))
  const looking = setInterval(() => {
    if (!isPending(place, row.approval_id)) close()
  }, LOOK_EVERY_MS).unref()
  const ends = [mcpReq.signal, place.signal]
  for (const signal of ends) signal.addEventListener('abort', close, { once: true })
  const timeout = Math.max(1, Math.min(MAX_OPEN_MS, Date.parse(row.expires_at) - Date.now()))
  try {
    const response: unknown = await server.request(
      { method: 'elicitation/create', params: questionForm(row) },
      { relatedRequestId: mcpReq.id, timeout, signal: ended.signal },
    )
    const answer = formAnswer(row, response)
    if (answer === null) return null
    const answered = await answerQuestion(place, row, answer)
    return answered.success ? null : answered.error.message
  } catch {
    // No answer, or none that can be read: the question is as open as before, and no answer is a no.
    return null
  } finally {
    clearInterval(looking)
    for (const signal of ends) signal.removeEventListener('abort', close)
  }
}

function isPending({ open }: AnswerPlace, approvalId: string): boolean {
  try {
    return open.threads.approvals.get(approvalId).status === 'pending'
  } catch {
    // A registry that cannot be read now may be so at the next look.
    return true
  }
}
