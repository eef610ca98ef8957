import { isThreadId } from '../threads/thread-id.ts'

/** What a `thread://` URI names. */
export interface ThreadUri {
  readonly threadId: string
  readonly part: 'row' | 'transcript'
  /** Only events after this one; null for the newest. */
  readonly since: number | null
}

const URI = /^thread:\/\/([A-Za-z0-9_-]+)(?:(\/transcript)(?:\?since=(\d{1,12}))?)?$/

/** Null for anything else. */
export function parseThreadUri(uri: string): ThreadUri | null {
  const [, threadId = '', transcript, since] = URI.exec(uri) ?? []
  if (!isThreadId(threadId)) return null
  return { threadId, part: transcript === undefined ? 'row' : 'transcript', since: since === undefined ? null : Number(since) }
}

export function rowUri(threadId: string): string {
  return `thread://${threadId}`
}

export function transcriptUri(threadId: string, since: number | null = null): string {
  return `thread://${threadId}/transcript${since === null ? '' : `?since=${since}`}`
}

/** The questions of all threads that wait for an answer. */
export const APPROVALS_URI = 'kiwi://approvals'
