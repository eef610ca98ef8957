/**
 * Keeps a secret out of the raw events of a stream when it is split over several of them: an answer comes in pieces, each inside the JSON
 * of its own event. Provider-neutral: nothing is parsed; every string of an event may go on where a string of the event before ended.
 *
 *   V1. An event with a string that ends like a secret begins is held until the next events decide.
 *   V2. Events leave in the order in which they came; one without secrets leaves as the object that it came as.
 *   V3. What is held is bounded in events and characters.
 *   V4. What has stood at the beginning of several events in a row is not looked at again: it is their frame, not their text.
 */
import type { EventRedaction, RedactableEvent } from '../contract.ts'
import { openingOf, rangesIn, redacted, secretMark } from './ranges.ts'
import type { Finder, SecretRange } from './ranges.ts'

interface Entry {
  readonly event: RedactableEvent
  readonly edits: { readonly start: number; readonly end: number; readonly text: string }[]
}

/** What a secret may have begun with: the ends of strings of several events, one behind the other. */
interface Chain {
  readonly text: string
  readonly parts: readonly { readonly entry: Entry; readonly start: number; readonly length: number }[]
  /** Events that may still come between. */
  readonly patience: number
}

interface Span {
  readonly start: number
  readonly end: number
}

/** A chain of some length is hardly chance, so that a ping or another block may stand in between. */
const LONG_CHAIN = 4
const PATIENCE = 8
/** Events that must begin alike before this is no chance. */
const FRAME_REPEATS = 3
const MAX_CHAINS = 16
const MAX_HELD_EVENTS = 512
const MAX_HELD_CHARACTERS = 1024 * 1024

/** One for each stream and sink. */
export function createEventRedaction<E extends RedactableEvent>(finder: Finder): EventRedaction<E> {
  let queue: Entry[] = []
  let chains: readonly Chain[] = []
  let heldCharacters = 0
  const varying = createVaryingPart()

  const release = (count: number): readonly E[] => {
    const leaving = queue.splice(0, count)
    // Only events of type E were put in, and an edited one is a copy.
    const events = leaving.map((entry) => finished(finder, entry) as E)
    heldCharacters = queue.length === 0 ? 0 : heldCharacters - leaving.reduce((sum, { event }) => sum + event.data.length, 0)
    return events
  }

  return {
    push(event) {
      const entry: Entry = { event, edits: [] }
      const strings = stringsIn(event.data, varying.startOf(event.data))
      const next: Chain[] = []
      for (const chain of chains) goOn(finder, { chain, entry, strings, next })
      for (const span of strings) {
        const opened = open(finder, entry, span)
        if (opened !== null) next.push(opened)
      }
      if (next.length === 0 && queue.length === 0 && entry.edits.length === 0) {
        chains = next
        return [finished(finder, entry) as E]
      }
      queue.push(entry)
      heldCharacters += event.data.length
      const overfull = queue.length > MAX_HELD_EVENTS || heldCharacters > MAX_HELD_CHARACTERS
      chains = overfull ? [] : next.slice(-MAX_CHAINS)
      const held = new Set(chains.flatMap(({ parts }) => parts.map((part) => part.entry)))
      const firstHeld = queue.findIndex((waiting) => held.has(waiting))
      return release(firstHeld === -1 ? queue.length : firstHeld)
    },
    end() {
      chains = []
      return release(queue.length)
    },
  }
}

function finished(finder: Finder, { event, edits }: Entry): RedactableEvent {
  let data = event.data
  for (const { start, end, text } of edits.toSorted((a, b) => b.start - a.start))
    data = data.slice(0, start) + text + data.slice(end)
  data = redacted(data, rangesIn(finder, data))
  return data === event.data ? event : { ...event, data }
}

/** The chain with each string of the event that can continue it: complete, still open, or waiting for a later event. */
function goOn(
  finder: Finder,
  at: { readonly chain: Chain; readonly entry: Entry; readonly strings: readonly Span[]; readonly next: Chain[] },
): void {
  const { chain, entry, strings, next } = at
  let continued = false
  for (const span of strings) {
    const { data } = entry.event
    if (!mayContinue(finder, chain.text, data, span)) continue
    const piece = data.slice(span.start, span.end)
    const text = chain.text + piece
    const parts = [...chain.parts, { entry, start: span.start, length: piece.length }]
    const ranges = rangesIn(finder, text).filter(({ start, end }) => start < chain.text.length && end > chain.text.length)
    for (const range of ranges) edit(parts, range)
    const start = openingOf(finder, text)
    if (ranges.length === 0 && start < chain.text.length) next.push(chainFrom(text, parts, start))
    continued ||= ranges.length > 0 || start < chain.text.length
  }
  if (!continued && chain.patience > 0) next.push({ ...chain, patience: chain.patience - 1 })
}

const PERCENT = 0x25
const BACKSLASH = 0x5c

/** A quick look at the two characters that would stand side by side. Escapes and wrapped lines need the long look. */
function mayContinue({ matcher }: Finder, text: string, data: string, { start, end }: Span): boolean {
  if (start === end) return false
  const after = data.charCodeAt(start)
  if (after === PERCENT || after === BACKSLASH || text.includes('%') || text.includes('\\')) return true
  return matcher.mayJoin(text.charCodeAt(text.length - 1), after)
}

function open(finder: Finder, entry: Entry, { start, end }: Span): Chain | null {
  if (!mayOpen(finder, entry.event.data, { start, end })) return null
  const text = entry.event.data.slice(start, end)
  const opening = openingOf(finder, text)
  if (opening === text.length) return null
  return chainFrom(text, [{ entry, start, length: text.length }], opening)
}

/** A quick look at the last characters: only an escape there, or a pair or a beginning of a form, is worth the long look. */
function mayOpen({ matcher }: Finder, data: string, { start, end }: Span): boolean {
  if (start === end) return false
  const last = data.charCodeAt(end - 1)
  if (matcher.mayBegin(last) || (end - start > 1 && matcher.mayJoin(data.charCodeAt(end - 2), last))) return true
  for (let index = Math.max(start, end - LONGEST_ESCAPE); index < end; index += 1) {
    const code = data.charCodeAt(index)
    if (code === PERCENT || code === BACKSLASH) return true
  }
  return false
}

/** Characters of an escape in an escape in an escape. */
const LONGEST_ESCAPE = 12

/** The chain of a joined text without what stands before its opening. */
function chainFrom(text: string, parts: Chain['parts'], opening: number): Chain {
  const kept: { entry: Entry; start: number; length: number }[] = []
  let offset = 0
  for (const { entry, start, length } of parts) {
    const skipped = Math.max(0, Math.min(length, opening - offset))
    if (skipped < length) kept.push({ entry, start: start + skipped, length: length - skipped })
    offset += length
  }
  const rest = text.slice(opening)
  return { text: rest, parts: kept, patience: rest.length < LONG_CHAIN ? 0 : PATIENCE }
}

/** The mark goes where the secret begins; the rest of it is taken out of the events that followed. */
function edit(parts: Chain['parts'], { name, start, end }: SecretRange): void {
  let offset = 0
  let text = secretMark(name)
  for (const part of parts) {
    const from = Math.max(start - offset, 0)
    const to = Math.min(end - offset, part.length)
    offset += part.length
    if (from >= to) continue
    // Two chains may end in the same string; the first edit of a place stands.
    const edited = { start: part.start + from, end: part.start + to, text }
    if (!part.entry.edits.some((other) => other.start < edited.end && edited.start < other.end)) part.entry.edits.push(edited)
    text = ''
  }
}

/** Where the strings of an event begin that differ from those of the events before it (V4). */
function createVaryingPart(): { startOf(data: string): number } {
  let frame = ''
  let repeats = 0
  let previous = ''
  return {
    startOf(data) {
      if (frame !== '' && data.startsWith(frame)) repeats += 1
      else {
        frame = commonFrame(previous, data)
        repeats = 0
      }
      previous = data
      // At the opening quote with which the frame ends.
      return repeats < FRAME_REPEATS ? 0 : frame.length - 1
    },
  }
}

/** The common beginning of two events, up to and with the opening quote of the string in which they begin to differ. */
function commonFrame(before: string, data: string): string {
  const least = Math.min(before.length, data.length)
  let common = 0
  while (common < least && before.charCodeAt(common) === data.charCodeAt(common)) common += 1
  const start = data.includes('"') ? (stringsIn(data, 0).findLast((span) => span.start <= common)?.start ?? 0) : 0
  return data.slice(0, start)
}

/** The insides of the strings of a JSON text that are no keys, from a quote or the beginning on. What is no JSON is one string. */
function stringsIn(data: string, from: number): readonly Span[] {
  const first = data.indexOf('"', from)
  if (first === -1) return data.startsWith('{') || data.startsWith('[') ? [] : [{ start: 0, end: data.length }]
  const spans: Span[] = []
  for (let quote = first; quote !== -1;) {
    const end = closingQuote(data, quote + 1)
    if (end === -1) break
    if (data.charCodeAt(end + 1) !== COLON) spans.push({ start: quote + 1, end })
    quote = data.indexOf('"', end + 1)
  }
  return spans
}

const COLON = 0x3a

function closingQuote(data: string, from: number): number {
  for (let end = data.indexOf('"', from); end !== -1; end = data.indexOf('"', end + 1)) {
    let backslashes = 0
    while (data.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return end
  }
  return -1
}
