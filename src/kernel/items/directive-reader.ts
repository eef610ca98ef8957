import { suggestName } from './nearest-name.ts'
import type { Finding } from './source-text.ts'
import type { XmlTag } from './directive-xml.ts'

/** Collects what is wrong with a directive's tags, each at its line. */
export interface DirectiveReader {
  readonly problems: readonly Finding[]
  readonly warnings: readonly Finding[]
  problem(at: Placed, reason: string, fix: string): void
  warn(at: Placed, reason: string, fix: string): void
  /** The only child of that name; a second one is a problem. */
  child(parent: XmlTag, name: string): XmlTag | null
  onlyAttributes(tag: XmlTag, known: readonly string[]): void
  onlyChildren(parent: XmlTag, known: readonly string[]): void
  noText(parent: XmlTag, fix: string): void
}

/** A tag, or a place within one. */
export type Placed = Pick<XmlTag, 'position'>

export function createDirectiveReader(): DirectiveReader {
  const problems: Finding[] = []
  const warnings: Finding[] = []
  const problem = (at: Placed, reason: string, fix: string): void => {
    problems.push({ ...at.position, reason, fix })
  }
  return {
    problems,
    warnings,
    problem,
    warn(at, reason, fix) {
      warnings.push({ ...at.position, reason, fix })
    },
    child(parent, name) {
      const [first, second] = childTags(parent).filter((tag) => tag.name === name)
      if (second !== undefined) problem(second, `a second \`<${name}>\` in \`<${parent.name}>\``, 'Keep one of them.')
      return first ?? null
    },
    onlyAttributes(tag, known) {
      for (const name of Object.keys(tag.attributes)) {
        if (!known.includes(name)) problem(tag, `\`<${tag.name}>\` has no attribute \`${name}\``, suggestName(name, known))
      }
    },
    onlyChildren(parent, known) {
      for (const tag of childTags(parent)) {
        if (!known.includes(tag.name))
          problem(tag, `\`<${tag.name}>\` does not belong in \`<${parent.name}>\``, suggestName(tag.name, known))
      }
    },
    noText(parent, fix) {
      const text = parent.children.find((child) => typeof child === 'string' && child.trim() !== '')
      if (typeof text === 'string')
        problem(parent, `text directly in \`<${parent.name}>\`: ${JSON.stringify(text.trim().slice(0, 40))}`, fix)
    },
  }
}

export function childTags(tag: XmlTag): readonly XmlTag[] {
  return tag.children.filter((child) => typeof child !== 'string')
}

/** The character at `offset` of the text of a tag that has no tags inside. */
export function inText(tag: XmlTag, offset: number): Placed {
  return { position: tag.textPosition(offset) }
}

/** All text below a tag on one line. */
export function lineText(tag: XmlTag): string {
  return rawText(tag).replaceAll(/\s+/g, ' ').trim()
}

/** All text below a tag with its lines kept and their common indentation removed. */
export function blockText(text: string): string {
  const lines = text.replaceAll('\r\n', '\n').split('\n')
  const indents = lines.slice(1).flatMap((line) => (line.trim() === '' ? [] : [line.length - line.trimStart().length]))
  const indent = Math.min(...(indents.length > 0 ? [indents.reduce((least, next) => Math.min(least, next))] : [0]))
  return lines
    .map((line, index) =>
      (index === 0 ? line.trimStart() : line.slice(Math.min(indent, line.length - line.trimStart().length))).trimEnd(),
    )
    .join('\n')
    .trim()
}

export function rawText(tag: XmlTag): string {
  return tag.children.map((child) => (typeof child === 'string' ? child : rawText(child))).join('')
}
