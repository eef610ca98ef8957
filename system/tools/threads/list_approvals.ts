import type { JsonObject } from '../../../src/json.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import type { ApprovalStatus } from '../../../src/threads/approvals/approval.ts'
import { approvalView, listApprovals } from '../../../src/harness/safety/approvals/approval-view.ts'
import { servicesOf } from '../../../src/harness/safety/services.ts'

export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'threads'
export const __description__ =
  'List what threads ask somebody to agree to, newest first, with everything that is known of each question. From a thread: those of threads below it.'
export const __requires__ = ['thread.orchestrate'] as const
export const __effect__ = 'pure'
export const __loop__ = { poll: true }
export const PARAMETERS: JsonObject = {
  type: 'object',
  additionalProperties: false,
  properties: {
    thread_id: { type: 'string', minLength: 1, description: 'Only this thread and those below it.' },
    status: {
      type: 'string',
      enum: ['pending', 'approved', 'denied', 'expired', 'cancelled'],
      description: 'Only those of this status; pending ones wait for an answer.',
    },
  },
}

interface Parameters {
  readonly thread_id?: string
  readonly status?: ApprovalStatus
}

export default async function tool({ thread_id: threadId, status }: Parameters, context: ExecutionContext): Promise<JsonObject> {
  const query = { ...(threadId === undefined ? {} : { threadId }), ...(status === undefined ? {} : { status }) }
  return { approvals: listApprovals(servicesOf(context), context, query).map(approvalView) }
}
