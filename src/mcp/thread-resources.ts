import {
  ResourceNotFoundError,
  type ListResourcesResult,
  type ReadResourceResult,
  type Resource,
  type ResourceTemplateType,
} from '@modelcontextprotocol/server'
import type { JsonObject } from '../json.ts'
import { KiwiError } from '../kernel/errors.ts'
import type { ThreadRow, ThreadsClient } from '../threads/threads-client.ts'
import { MAX_RESULT_BYTES, boundedText } from './bounded-result.ts'
import type { McpProject } from './contract.ts'
import { LIST_FRAME_BYTES, fitting, listCursor, listPosition } from './list-cursor.ts'
import { shownQuestion } from './questions/shown-questions.ts'
import { APPROVALS_URI, parseThreadUri, rowUri, transcriptUri } from './thread-uri.ts'
import { transcriptText } from './transcript-text.ts'

/** The threads of one project as resources: what they ask of somebody, and of each its registry row and its transcript. */
export interface ThreadResources {
  list(cursor: string | undefined): Promise<ListResourcesResult>
  /** @throws ResourceNotFoundError */
  read(uri: string): Promise<ReadResourceResult>
  /** @throws ResourceNotFoundError for a URI that names no thread of the project. */
  assertKnown(uri: string): Promise<void>
}

export const RESOURCE_TEMPLATES: readonly ResourceTemplateType[] = [
  {
    uriTemplate: 'thread://{thread_id}',
    name: 'thread',
    title: 'A thread',
    description: 'Status, turns, usage, limits and result of a thread, what may be done to it and what it asks.',
    mimeType: 'application/json',
  },
  {
    uriTemplate: 'thread://{thread_id}/transcript{?since}',
    name: 'transcript',
    title: 'The transcript of a thread',
    description: 'What the thread did, one JSON object a line: the newest part, or with since the events after that seq.',
    mimeType: 'application/jsonl',
  },
]

const THREADS_PER_PAGE = 50
/** More threads than are ever spawned in one millisecond. */
const MAX_TIES = 100

export function createThreadResources(project: () => Promise<McpProject>): ThreadResources {
  const rowOf = async (uri: string): Promise<{ readonly open: McpProject; readonly row: ThreadRow }> => {
    const parsed = parseThreadUri(uri)
    if (parsed === null) throw notFound(uri)
    const open = await project()
    try {
      return { open, row: open.threads.get(parsed.threadId) }
    } catch (error) {
      throw error instanceof KiwiError && error.code === 'THREAD_NOT_FOUND' ? notFound(uri) : error
    }
  }
  return {
    async list(cursor) {
      const position = listPosition(cursor, (text) => POSITION.test(text))
      const { threads } = await project()
      const rows = olderThan(threads, position)
      const resources = rows.slice(0, THREADS_PER_PAGE).map(resourcesOf)
      const page = fitting(resources, MAX_RESULT_BYTES - LIST_FRAME_BYTES)
      const last = rows[page.length - 1]
      return {
        resources: position === null ? [APPROVALS, ...page.flat()] : page.flat(),
        ...(last === undefined || rows.length <= page.length ? {} : { nextCursor: listCursor(positionOf(last)) }),
      }
    },
    async read(uri) {
      if (uri === APPROVALS_URI)
        return { contents: [{ uri, mimeType: 'application/json', text: approvalsText(await project()) }] }
      const { open, row } = await rowOf(uri)
      const { part, since } = parseThreadUri(uri) ?? { part: 'row', since: null }
      if (part === 'row') {
        const shown = open.redact(await shownRow(open, row))
        return { contents: [{ uri, mimeType: 'application/json', text: boundedText(shown, MAX_RESULT_BYTES) }] }
      }
      const text = await transcriptText(open, { threadId: row.thread_id, since, maxBytes: MAX_RESULT_BYTES })
      return { contents: [{ uri, mimeType: 'application/jsonl', text }] }
    },
    async assertKnown(uri) {
      if (uri !== APPROVALS_URI) await rowOf(uri)
    },
  }
}

const APPROVALS: Resource = {
  uri: APPROVALS_URI,
  name: 'approvals',
  title: 'Questions of threads',
  description: 'What threads ask of somebody and wait for, with the id to answer each by.',
  mimeType: 'application/json',
}

/** All that are open, oldest first; what each is about is shortened where they are many. */
function approvalsText(open: McpProject): string {
  const rows = open.threads.approvals.list({ status: 'pending', limit: MAX_APPROVALS })
  // A row is JSON; its type only lacks an index signature.
  const approvals = rows.toReversed().map((row) => shownQuestion(open, row) as unknown as JsonObject)
  return boundedText({ approvals, answer_with: HOW_TO_ANSWER }, MAX_RESULT_BYTES)
}

/** The row, what may be done to the thread by this client, and what it asks. */
async function shownRow({ threads }: McpProject, row: ThreadRow): Promise<JsonObject> {
  const { allowedActions } = await import('../harness/safety/interventions/allowed-actions.ts')
  const operator = { kind: 'operator', by: { kind: 'operator', door: 'mcp' } } as const
  const approvals = threads.approvals.list({ thread_id: row.thread_id, status: 'pending', limit: MAX_APPROVALS })
  const shown = { ...row, allowed_actions: allowedActions(threads, row, operator), approvals: approvals.toReversed() }
  // Rows are JSON; their types only lack an index signature.
  return shown as unknown as JsonObject
}

const MAX_APPROVALS = 100
const HOW_TO_ANSWER = 'execute answer_approval {approval_id, decision: approve_once | approve_thread | deny, reason}'

function notFound(uri: string): ResourceNotFoundError {
  return new ResourceNotFoundError(
    uri.slice(0, 512),
    `There is no resource ${uri.slice(0, 512)}. There are ${APPROVALS_URI}, thread://THREAD_ID and thread://THREAD_ID/transcript, of the threads of this project.`,
  )
}

/** A thread's place in the list: threads of the same time are told apart by the order of their spawning. */
const POSITION = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d{1,15})$/

function positionOf(row: ThreadRow): string {
  return `${row.created_at} ${row.registry_id}`
}

/** Newest first, one more than a page. */
function olderThan(threads: ThreadsClient, position: string | null): readonly ThreadRow[] {
  const [, created = '', id = ''] = position === null ? [] : (POSITION.exec(position) ?? [])
  if (position === null || Number.isNaN(Date.parse(created))) return threads.list({ limit: THREADS_PER_PAGE + 1 })
  const createdBefore = new Date(Date.parse(created) + 1).toISOString()
  return threads
    .list({ created_before: createdBefore, limit: THREADS_PER_PAGE + 1 + MAX_TIES })
    .filter((row) => row.created_at !== created || row.registry_id < Number(id))
}

function resourcesOf(row: ThreadRow): readonly Resource[] {
  const { thread_id: threadId, directive_id: directive, status } = row
  const annotations = { lastModified: row.updated_at }
  return [
    {
      uri: rowUri(threadId),
      name: threadId,
      title: `${threadId} (${status})`,
      description: `Thread of ${directive}, ${status}.`,
      mimeType: 'application/json',
      annotations,
    },
    {
      uri: transcriptUri(threadId),
      name: `${threadId}/transcript`,
      title: `Transcript of ${threadId}`,
      description: `What the thread of ${directive} did.`,
      mimeType: 'application/jsonl',
      annotations,
    },
  ]
}
