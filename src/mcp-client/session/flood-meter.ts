/**
 * What a server sends without being asked: notifications, pings, late answers. A burst is normal, a stream without end is not.
 * Nothing of it is kept, so this bounds the work, not the memory.
 */
export interface FloodMeter {
  /** False when the server sent more than it may. */
  take(messages: number, bytes: number): boolean
}

export interface FloodLimits {
  readonly burstMessages: number
  readonly messagesPerSecond: number
  readonly burstBytes: number
  readonly bytesPerSecond: number
}

/** A scan that tells its progress for each of a thousand files in a second is still below this. */
const FLOOD_LIMITS: FloodLimits = {
  burstMessages: 5_000,
  messagesPerSecond: 500,
  burstBytes: 32 * 1024 * 1024,
  bytesPerSecond: 2 * 1024 * 1024,
}

/** `now` is in milliseconds and never goes back. */
export function createFloodMeter(limits: FloodLimits = FLOOD_LIMITS, now: () => number = () => performance.now()): FloodMeter {
  let messages = limits.burstMessages
  let bytes = limits.burstBytes
  let lastMs = now()
  return {
    take(tookMessages, tookBytes) {
      const nowMs = now()
      const seconds = (nowMs - lastMs) / 1000
      lastMs = nowMs
      messages = Math.min(limits.burstMessages, messages + seconds * limits.messagesPerSecond) - tookMessages
      bytes = Math.min(limits.burstBytes, bytes + seconds * limits.bytesPerSecond) - tookBytes
      return messages >= 0 && bytes >= 0
    },
  }
}
