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
import { parseThreadUri, rowUri, transcriptUri } from './thread-uri.ts'
import { transcriptText } from './transcript-text.ts'

/** The threads of one project as resources: each its registry row and its transcript. */
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
    description: 'Status, turns, usage, limits and result of a thread.',
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
        resources: page.flat(),
        ...(last === undefined || rows.length <= page.length ? {} : { nextCursor: listCursor(positionOf(last)) }),
      }
    },
    async read(uri) {
      const { open, row } = await rowOf(uri)
      const { part, since } = parseThreadUri(uri) ?? { part: 'row', since: null }
      if (part === 'row') {
        // A row is JSON; its type only lacks an index signature.
        const shown = open.redact(row as unknown as JsonObject)
        return { contents: [{ uri, mimeType: 'application/json', text: boundedText(shown, MAX_RESULT_BYTES) }] }
      }
      const text = await transcriptText(open, { threadId: row.thread_id, since, maxBytes: MAX_RESULT_BYTES })
      return { contents: [{ uri, mimeType: 'application/jsonl', text }] }
    },
    async assertKnown(uri) {
      await rowOf(uri)
    },
  }
}

function notFound(uri: string): ResourceNotFoundError {
  return new ResourceNotFoundError(
    uri.slice(0, 512),
    `There is no resource ${uri.slice(0, 512)}. There are thread://THREAD_ID and thread://THREAD_ID/transcript, of the threads of this project.`,
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
