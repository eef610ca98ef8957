import type { ServerResponse } from 'node:http'
import type { Fault } from './scenario.ts'
import type { WireAnswer, WireEvent } from './stream-event.ts'

/** What else can go out in the middle of a stream. */
export interface Delivery {
  readonly answer: WireAnswer
  readonly stream: boolean
  readonly delayMs: number
  readonly fault: Fault | null
  /** The wire's own error event, for the fault of that kind. */
  readonly errorEvent: string
  readonly headers: Readonly<Record<string, string>>
}

/** Not UTF-8, not JSON, and framed as an event of the stream so that a parser must look at it. */
const GARBAGE: Buffer = Buffer.concat([
  Buffer.from('data: {"type":"content_'),
  Buffer.from([0xff, 0xfe, 0x00, 0xc3]),
  Buffer.from('\n\n'),
])

/** Sends one answer, faults included. Every timer ends with the response. */
export function deliver(response: ServerResponse, delivery: Delivery): void {
  if (delivery.fault?.kind === 'slow_first_byte') {
    later(response, delivery.fault.delay_ms, () => send(response, delivery))
    return
  }
  send(response, delivery)
}

function send(response: ServerResponse, delivery: Delivery): void {
  const type = delivery.stream ? 'text/event-stream; charset=utf-8' : 'application/json'
  response.writeHead(200, {
    ...delivery.headers,
    'content-type': type,
    ...(delivery.stream ? { 'cache-control': 'no-cache' } : {}),
  })
  const { fault } = delivery
  if (!delivery.stream) {
    sendBody(response, delivery)
    return
  }
  if (fault?.kind === 'cut' && fault.after_bytes !== undefined) {
    const whole = Buffer.from(delivery.answer.events.map(({ text }) => text).join(''))
    cutAfter(response, whole.subarray(0, fault.after_bytes))
    return
  }
  if (delivery.delayMs === 0 && (fault === null || fault.kind === 'slow_first_byte')) {
    response.end(delivery.answer.events.map(({ text }) => text).join(''))
    return
  }
  sendEvents(response, delivery)
}

/** A whole body has no events: faults in the middle cut it in half or hold it back. */
function sendBody(response: ServerResponse, { answer, fault }: Delivery): void {
  if (fault === null || fault.kind === 'slow_first_byte') response.end(answer.body)
  else if (fault.kind === 'stall') response.flushHeaders()
  else if (fault.kind === 'garbage') response.end(GARBAGE)
  else cutAfter(response, Buffer.from(answer.body).subarray(0, Math.floor(answer.body.length / 2)))
}

function sendEvents(response: ServerResponse, delivery: Delivery): void {
  const { events } = delivery.answer
  let at = 0
  const next = (): void => {
    // Everything up to the next wait goes out in one write.
    let batch = ''
    do {
      const fault = faultAt(delivery.fault, { at, count: events.length })
      if (fault !== null && applyFault(response, { fault, batch, errorEvent: delivery.errorEvent })) return
      if (fault !== null) {
        if (batch !== '') response.write(batch)
        response.write(GARBAGE)
        batch = ''
      }
      const event = events[at]
      if (event === undefined) {
        response.end(batch)
        return
      }
      batch += event.text
      at += 1
    } while (delivery.delayMs === 0 || !isPaced(events[at]))
    if (response.write(batch)) later(response, delivery.delayMs, next)
    else response.once('drain', () => later(response, delivery.delayMs, next))
  }
  next()
}

function isPaced(event: WireEvent | undefined): boolean {
  return event?.paced === true
}

type MidStreamFault = Extract<Fault, { after_events?: number }>

/** A fault behind the last event comes at the end, where it still is before the connection's own end. */
function faultAt(fault: Fault | null, { at, count }: { at: number; count: number }): MidStreamFault | null {
  if (fault === null || fault.kind === 'status' || fault.kind === 'slow_first_byte') return null
  return Math.min(fault.after_events ?? 0, count) === at ? fault : null
}

/** True when the stream has ended (or stalled) with it. */
function applyFault(
  response: ServerResponse,
  { fault, batch, errorEvent }: { fault: MidStreamFault; batch: string; errorEvent: string },
): boolean {
  switch (fault.kind) {
    case 'error_event':
      response.end(batch + errorEvent)
      return true
    case 'cut':
      cutAfter(response, Buffer.from(batch))
      return true
    case 'stall':
      if (batch === '') response.flushHeaders()
      else response.write(batch)
      return true
    case 'garbage':
      return false
  }
}

function cutAfter(response: ServerResponse, bytes: Buffer): void {
  if (bytes.length === 0) {
    response.flushHeaders()
    response.socket?.end(() => response.destroy())
    return
  }
  // The bytes must have left before the socket is destroyed, or the fault would come at a random place.
  response.write(bytes, () => response.destroy())
}

function later(response: ServerResponse, delayMs: number, run: () => void): void {
  if (response.destroyed) return
  const stop = (): void => clearTimeout(timer)
  const timer = setTimeout(() => {
    response.off('close', stop)
    run()
  }, delayMs)
  response.once('close', stop)
}
