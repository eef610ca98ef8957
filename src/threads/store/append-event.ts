import type { JsonObject } from '../../json.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { prepareEvent } from '../transcript/transcript-line.ts'
import { integer } from './columns.ts'
import type { Store } from './open-store.ts'

const INSERT_EVENT = `INSERT INTO thread_events (thread_id, seq, ts, event_type, payload_json, line_json)
  SELECT ?1, COALESCE(MAX(seq), 0) + 1, ?2, ?3, ?4, NULL FROM thread_events WHERE thread_id = ?1 RETURNING seq`

/**
 * Adds an event after the thread's last one and gives its `seq`; inside an operation. For whoever is not the thread's host: a host that
 * has the thread live, here or in another process, notices and counts on from it.
 */
export function appendEvent(
  store: Store,
  event: { readonly threadId: string; readonly type: string; readonly payload: JsonObject; readonly nowIso: string },
): number {
  store.touch()
  const row = store.statement(INSERT_EVENT).get(event.threadId, event.nowIso, event.type, prepareEvent(event, null).payloadJson)
  if (row === undefined) throw new KiwiError('INTERNAL', `The event ${event.type} of thread ${event.threadId} was not written.`)
  return integer(row, 'seq')
}
