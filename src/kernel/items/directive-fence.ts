import { markdownLines } from './markdown-lines.ts'
import type { MarkdownLine } from './markdown-lines.ts'
import type { Finding, SourceText } from './source-text.ts'

/** The directive's XML as offsets into the file, without the fence lines. */
export type DirectiveFence =
  | { readonly kind: 'found'; readonly start: number; readonly end: number }
  | { readonly kind: 'invalid'; readonly finding: Finding }

/** Tags that stand for a piece of a directive wherever they are seen. */
const DIRECTIVE_TAG =
  /<\/?(directive|metadata|process|step|inputs|input|permissions|cost|limits|success_criteria|outputs|action)(?=[\s>/]|$)/
const MARK = /^ {0,3}(`{3,}|~{3,})/

/**
 * Finds the one ```` ```xml ```` block that holds a `<directive>`.
 *
 * A block that ends before `</directive>`, one that holds further fence lines, and directive tags outside of it are errors: each is how a
 * part of a directive gets lost without anyone noticing.
 */
export function findDirectiveFence(source: SourceText): DirectiveFence {
  const blocks = xmlBlocks(source.text)
  const [block, second] = blocks.filter(({ lines }) => lines.some(({ text }) => text.includes('<directive')))
  const invalid = (offset: number, reason: string, fix: string): DirectiveFence => ({
    kind: 'invalid',
    finding: { ...source.position(offset), reason, fix },
  })
  if (block === undefined) {
    return invalid(
      0,
      'no ```xml block with a `<directive>`',
      'Put `<directive name="…" version="…">` into a block that starts with ```xml.',
    )
  }
  if (second !== undefined)
    return invalid(second.open.offset, 'a second ```xml block with a `<directive>`', 'Keep one directive a file.')
  const nested = block.lines.find(({ text }) => MARK.test(text) && text.trim() !== '')
  if (nested !== undefined && !isLongerFence(block, nested)) {
    return invalid(
      nested.offset,
      'a fence line inside the ```xml block would end it early',
      'Open and close the XML with four backticks: ````xml.',
    )
  }
  if (block.close === null)
    return invalid(block.open.offset, 'the ```xml block is never closed', 'Add a line ``` after `</directive>`.')
  const start = block.open.next
  const end = block.close.offset
  if (!source.text.slice(start, end).includes('</directive>')) {
    return invalid(
      end,
      'the ```xml block ends before `</directive>`',
      'Close the directive first; use ````xml when it holds ``` lines.',
    )
  }
  const stray = strayTag(source.text, block.close.next)
  if (stray !== null)
    return invalid(stray.offset, `\`${stray.tag}\` stands after the directive's block`, 'Move it into the block, or remove it.')
  return { kind: 'found', start, end }
}

interface XmlBlock {
  readonly open: MarkdownLine
  readonly lines: MarkdownLine[]
  close: MarkdownLine | null
}

function xmlBlocks(text: string): readonly XmlBlock[] {
  const blocks: XmlBlock[] = []
  let current: XmlBlock | null = null
  for (const line of markdownLines(text)) {
    if (line.role === 'open' && line.language.toLowerCase() === 'xml') {
      current = { open: line, lines: [], close: null }
      blocks.push(current)
    } else if (line.role === 'code') current?.lines.push(line)
    else if (line.role === 'close' && current !== null) {
      current.close = line
      current = null
    }
  }
  return blocks
}

/** Fence lines are content when the block itself was opened with a longer mark. */
function isLongerFence(block: XmlBlock, line: MarkdownLine): boolean {
  const outer = MARK.exec(block.open.text)?.[1] ?? ''
  const inner = MARK.exec(line.text)?.[1] ?? ''
  return outer[0] !== inner[0] || outer.length > inner.length
}

/** The first directive tag after `from`, code in backticks and blocks of other languages excepted. */
function strayTag(text: string, from: number): { readonly offset: number; readonly tag: string } | null {
  for (const line of markdownLines(text, from)) {
    if (line.role === 'open' || line.role === 'close') continue
    if (line.role === 'code' && line.language !== '' && line.language.toLowerCase() !== 'xml') continue
    const shown = line.role === 'prose' ? line.text.replaceAll(/`[^`]+`/g, (span) => ' '.repeat(span.length)) : line.text
    const match = DIRECTIVE_TAG.exec(shown)
    if (match !== null) return { offset: line.offset + match.index, tag: `${match[0]}>` }
  }
  return null
}
