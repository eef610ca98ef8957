import type { JsonObject } from '../../../src/json.ts'
import type { Sink } from '../../../src/primitives/http-client/contract.ts'

export const __tool_type__ = 'sink'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __category__ = 'sinks'
export const __description__ = 'Takes every event of a stream and keeps nothing.'
export const PARAMETERS: JsonObject = {
  type: 'object',
  properties: {},
  additionalProperties: false,
}

/** Makes the sink; it has nothing to configure. */
export default function createNullSink(): Promise<Sink> {
  return Promise.resolve({ write() {}, close: () => Promise.resolve() })
}
