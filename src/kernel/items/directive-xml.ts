/**
 * The XML of a directive as a tree of tags with their places in the file.
 *
 * X1. A flat scan comes before the parser and refuses what it must never see: document types, processing instructions, entities beyond
 *     the five, deep nesting, huge or many attributes. The parser recurses.
 * X2. A `<` before a digit, a blank or `=` is text: it is escaped for the parser, and offsets are mapped back.
 * X3. Nothing is dropped silently: `]]>` outside of a CDATA section and an unclosed section or comment are errors.
 */
import { XmlCdata, XmlElement, XmlError, XmlText, parseXml } from '@rgrove/parse-xml'
import type { XmlNode } from '@rgrove/parse-xml'
import { FORBIDDEN_KEYS } from './names.ts'
import { MAX_NESTING } from './source-text.ts'
import type { Finding, Position, SourceText } from './source-text.ts'
import { sourceOffset } from './xml-text-place.ts'

const MAX_ATTRIBUTES = 32
const MAX_TAG_CHARACTERS = 16_384
const MAX_TAGS = 10_000
const ENTITY = /&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);/y
const NAME_START = /[\p{L}_:]/u

export interface XmlTag {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly (XmlTag | string)[]
  readonly position: Position
  /** Where a character of its text stands; `offset` counts in the joined text of a tag that has no tags inside. */
  readonly textPosition: (offset: number) => Position
}

export type XmlOutcome =
  | { readonly kind: 'tree'; readonly root: XmlTag }
  | { readonly kind: 'invalid'; readonly finding: Finding }

/** Parses `source` from `start` to `end` (UTF-16 offsets); positions are those of the whole source. */
export function readXml(source: SourceText, start: number, end: number): XmlOutcome {
  const text = source.text.slice(start, end)
  const scan = scanXml(text)
  if (scan.refusal !== null) {
    const { offset, reason, fix } = scan.refusal
    return { kind: 'invalid', finding: { ...source.position(start + offset), reason, fix } }
  }
  const places: Places = {
    at: (escapedOffset) => source.position(start + unescapeOffset(escapedOffset, scan.textMarks)),
    inText(escapedOffset, offset) {
      const tagEnd = readOpenTag(text, unescapeOffset(escapedOffset, scan.textMarks))
      return source.position(start + ('end' in tagEnd ? sourceOffset(text, tagEnd.end, offset) : 0))
    },
  }
  try {
    const document = parseXml(escapeMarks(text, scan.textMarks), { includeOffsets: true })
    const root = document.root
    if (root === null)
      return { kind: 'invalid', finding: { ...places.at(0), reason: 'no element', fix: 'Write `<directive …>`.' } }
    const forbidden: Finding[] = []
    const tag = toTag(root, places, forbidden)
    return forbidden[0] === undefined ? { kind: 'tree', root: tag } : { kind: 'invalid', finding: forbidden[0] }
  } catch (error) {
    if (!(error instanceof XmlError)) throw error
    const reason = (error.message.split('\n', 1)[0] ?? '').replace(/ \(line \d+, column \d+\)$/, '')
    return {
      kind: 'invalid',
      finding: {
        ...places.at(error.pos),
        reason,
        fix: 'Correct the XML here; write `&lt;` and `&amp;` for `<` and `&` in text.',
      },
    }
  }
}

/** From offsets in the escaped text to places in the file. */
interface Places {
  at(escapedOffset: number): Position
  /** The place of a character of the text of the tag that starts at `escapedOffset`. */
  inText(escapedOffset: number, offset: number): Position
}

interface Refusal {
  readonly offset: number
  readonly reason: string
  readonly fix: string
}

interface XmlScan {
  /** Offsets of every `<` that is text (X2). */
  readonly textMarks: readonly number[]
  readonly refusal: Refusal | null
}

function scanXml(text: string): XmlScan {
  const textMarks: number[] = []
  let depth = 0
  let tags = 0
  const refuse = (offset: number, reason: string, fix: string): XmlScan => ({ textMarks, refusal: { offset, reason, fix } })
  for (let offset = 0; offset < text.length;) {
    const char = text[offset]
    if (char === '&') {
      ENTITY.lastIndex = offset
      if (!ENTITY.test(text))
        return refuse(
          offset,
          'an entity that is not one of &lt; &gt; &amp; &quot; &apos; or numeric',
          'Write `&amp;` for a plain `&`.',
        )
      offset = ENTITY.lastIndex
    } else if (char === ']' && text.startsWith(']]>', offset)) {
      return refuse(offset, '`]]>` outside of a CDATA section', 'Write `]]&gt;`; a CDATA section ends at its first `]]>`.')
    } else if (char !== '<') offset = nextMark(text, offset + 1)
    else {
      const mark = readMark(text, offset)
      if (mark.kind === 'refused') return { textMarks, refusal: mark.refusal }
      if (mark.kind === 'text') textMarks.push(offset)
      if (mark.kind === 'open') depth += 1
      if (mark.kind === 'close') depth -= 1
      if (mark.kind === 'open' || mark.kind === 'empty') tags += 1
      if (depth > MAX_NESTING) return refuse(offset, `tags nested deeper than ${MAX_NESTING} levels`, 'Flatten the structure.')
      if (tags > MAX_TAGS) return refuse(offset, `more than ${MAX_TAGS} tags`, 'Split the directive.')
      offset = mark.end
    }
  }
  return { textMarks, refusal: null }
}

const MARK = /[<&\]]/g

function nextMark(text: string, from: number): number {
  MARK.lastIndex = from
  return MARK.exec(text)?.index ?? text.length
}

type Mark =
  | { readonly kind: 'text' | 'open' | 'close' | 'empty' | 'skipped'; readonly end: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

function refused(offset: number, reason: string, fix: string): Mark {
  return { kind: 'refused', refusal: { offset, reason, fix } }
}

function readMark(text: string, offset: number): Mark {
  const next = text[offset + 1] ?? ''
  if (/[\d\s=]/.test(next)) return { kind: 'text', end: offset + 1 }
  if (next === '?') return refused(offset, 'a processing instruction (`<?…`)', 'Remove it; the block starts with `<directive`.')
  if (text.startsWith('<!--', offset)) {
    const end = text.indexOf('-->', offset + 4)
    return end === -1 ? refused(offset, 'a comment that is never closed', 'Add `-->`.') : { kind: 'skipped', end: end + 3 }
  }
  if (text.startsWith('<![CDATA[', offset)) {
    const end = text.indexOf(']]>', offset + 9)
    return end === -1 ? refused(offset, 'a CDATA section that is never closed', 'Add `]]>`.') : { kind: 'skipped', end: end + 3 }
  }
  if (next === '!')
    return refused(offset, 'a document type or another declaration (`<!…`)', 'Remove it; no DOCTYPE and no entities are read.')
  if (next === '/') {
    const end = text.indexOf('>', offset)
    return end === -1 ? refused(offset, 'a closing tag without `>`', 'Add `>`.') : { kind: 'close', end: end + 1 }
  }
  if (!NAME_START.test(text.slice(offset + 1, offset + 3))) return refused(offset, 'a `<` that starts no tag', 'Write `&lt;`.')
  return readOpenTag(text, offset)
}

function readOpenTag(text: string, offset: number): Mark {
  const limit = Math.min(text.length, offset + MAX_TAG_CHARACTERS)
  let attributes = 0
  for (let at = offset + 1; at < limit; at += 1) {
    const char = text[at]
    if (char === '>') return { kind: text[at - 1] === '/' ? 'empty' : 'open', end: at + 1 }
    if (char === '<') return refused(at, 'a `<` inside a tag', 'Close the tag before it with `>`, or write `&lt;`.')
    if (char !== '"' && char !== "'") continue
    attributes += 1
    if (attributes > MAX_ATTRIBUTES)
      return refused(offset, `a tag with more than ${MAX_ATTRIBUTES} attributes`, 'Use child tags.')
    const close = text.indexOf(char, at + 1)
    if (close === -1) return refused(at, 'an attribute value that is never closed', `Add \`${char}\`.`)
    const value = text.slice(at + 1, Math.min(close, limit))
    const entity = value.indexOf('&')
    if (entity !== -1 && !everyEntityKnown(value))
      return refused(at + 1 + entity, 'an unknown entity in an attribute', 'Write `&amp;` for `&`.')
    at = close
  }
  const reason = limit === text.length ? 'a tag without `>`' : `a tag of more than ${MAX_TAG_CHARACTERS} characters`
  return refused(offset, reason, limit === text.length ? 'Add `>`.' : 'Put long text into the content of the tag.')
}

function everyEntityKnown(value: string): boolean {
  for (let at = value.indexOf('&'); at !== -1; at = value.indexOf('&', at + 1)) {
    ENTITY.lastIndex = at
    if (!ENTITY.test(value)) return false
  }
  return true
}

const ESCAPED = '&lt;'

function escapeMarks(text: string, marks: readonly number[]): string {
  let escaped = ''
  let from = 0
  for (const mark of marks) {
    escaped += text.slice(from, mark) + ESCAPED
    from = mark + 1
  }
  return escaped + text.slice(from)
}

function unescapeOffset(escapedOffset: number, marks: readonly number[]): number {
  let offset = escapedOffset
  for (const mark of marks) {
    if (mark >= offset) break
    offset = Math.max(offset - (ESCAPED.length - 1), mark)
  }
  return offset
}

function toTag(element: XmlElement, places: Places, forbidden: Finding[]): XmlTag {
  const children: (XmlTag | string)[] = []
  for (const child of element.children) {
    if (child instanceof XmlElement) children.push(toTag(child, places, forbidden))
    else if (isText(child)) children.push(child.text)
  }
  const { start } = element
  const position = places.at(start)
  for (const name of [element.name, ...Object.keys(element.attributes)]) {
    if (FORBIDDEN_KEYS.has(name))
      forbidden.push({ ...position, reason: `the name \`${name}\` is not allowed`, fix: 'Rename it.' })
  }
  const textPosition = (offset: number): Position => places.inText(start, offset)
  return { name: element.name, attributes: { ...element.attributes }, children, position, textPosition }
}

function isText(node: XmlNode): node is XmlText {
  return node instanceof XmlText || node instanceof XmlCdata
}
