const REFERENCE = /&(?:#x([0-9a-fA-F]+)|#(\d+)|[a-z]+);/y
const CDATA = '<![CDATA['
const COMMENT = '<!--'

/**
 * Where in `xml` the character at `index` of a text stands whose source begins at `from`: references are one character (two for those
 * outside of the basic plane), comments none, the marks of CDATA sections none, and CRLF is one line break.
 */
export function sourceOffset(xml: string, from: number, index: number): number {
  let left = index
  let at = from
  let isCdata = false
  while (at < xml.length) {
    const mark: TextMark | null = isCdata ? null : readMark(xml, at)
    if (isCdata && xml.startsWith(']]>', at)) {
      isCdata = false
      at += 3
    } else if (mark !== null && mark.characters === 0) {
      isCdata = mark.opensCdata
      at = mark.end
    } else {
      if (left <= 0) break
      left -= mark?.characters ?? 1
      at = mark?.end ?? at + (xml.startsWith('\r\n', at) ? 2 : 1)
    }
  }
  return at
}

interface TextMark {
  readonly end: number
  /** UTF-16 units of text that it stands for. */
  readonly characters: number
  readonly opensCdata: boolean
}

function readMark(xml: string, at: number): TextMark | null {
  if (xml.startsWith(CDATA, at)) return { end: at + CDATA.length, characters: 0, opensCdata: true }
  if (xml.startsWith(COMMENT, at)) {
    const end = xml.indexOf('-->', at + COMMENT.length)
    return { end: end === -1 ? xml.length : end + 3, characters: 0, opensCdata: false }
  }
  REFERENCE.lastIndex = at
  const [whole, hex, decimal] = REFERENCE.exec(xml) ?? []
  if (whole === undefined) return null
  const code = hex === undefined ? Number(decimal ?? 0) : Number.parseInt(hex, 16)
  return { end: at + whole.length, characters: code > 0xff_ff ? 2 : 1, opensCdata: false }
}
