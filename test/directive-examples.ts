import { createReview } from '../src/capabilities/permissions/review.ts'
import { parseItem } from '../src/kernel/items/item-file.ts'
import type { Item, ItemProblem } from '../src/kernel/items/item.ts'
import { SHIPPED } from './capabilities/permissions/shipped-vocabulary.ts'

/** An example in a ```xml block of a document: ```xml as it should be, ```xml invalid or ```xml warned, whose findings a ```text block shows. */
export interface DirectiveExample {
  readonly mark: string
  readonly xml: string
  /** One a line. */
  readonly shown: string
}

/** What Kiwi says of an example, as `line:column: reason. fix` with the places of the example. */
export interface ExampleFindings {
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

/** Parts of the metadata, and what stands for them where an example does not show them. */
const METADATA: Readonly<Record<string, string>> = {
  model: '<model tier="fast"/>',
  cost: '<cost max_turns="10" on_exceeded="stop"/>',
  permissions:
    '<permissions><execute resource="kiwi-mcp" action="execute"/><execute resource="shell"/><execute resource="tool" id="bash"/>' +
    '<execute resource="tool" id="file_info"/><read resource="filesystem" path="**"/></permissions>',
}
const EXAMPLE = /^```xml([^\n]*)\n([^]*?)^```$(?:\n+```text\n([^]*?)^```$)?/gmu

export function directiveExamples(document: string): readonly DirectiveExample[] {
  return Array.from(document.matchAll(EXAMPLE), ([, mark = '', xml = '', shown = '']) => ({
    mark: mark.trim(),
    xml,
    shown: shown.trim(),
  }))
}

/** Parses and reviews a whole directive, or tags of one within what a complete directive has besides. */
export async function findingsOf(xml: string): Promise<ExampleFindings> {
  const name = /^<directive name="([^"]*)"/.exec(xml)?.[1] ?? 'example'
  const { before, after } = xml.startsWith('<directive') ? { before: '', after: '' } : surroundings(xml)
  const opening = '````xml\n'
  const parsed = parseItem('directive', `${name}.md`, Buffer.from(`${opening}${before}${xml}${after}\`\`\`\`\n`))
  const lines = `${opening}${before}`.split('\n').length - 1
  const shown = ({ line, column, reason, fix }: Omit<ItemProblem, 'file'>): string =>
    `${Math.max(line - lines, 1)}:${column}: ${reason}. ${fix}`
  const { definition, problems, warnings } = parsed
  if (definition?.kind !== 'directive') return { problems: problems.map(shown), warnings: warnings.map(shown) }
  const item: Item = {
    type: 'directive',
    id: name,
    space: 'project',
    category: '',
    description: '',
    version: null,
    path: `/nowhere/${name}.md`,
    file: `.ai/directives/${name}.md`,
    state: { kind: 'available', definition },
    warnings: [],
  }
  const reviewed = await createReview({ vocabulary: () => Promise.resolve(SHIPPED) })(item)
  return {
    problems: reviewed.problems.map(shown),
    warnings: [...warnings, ...reviewed.warnings].map(shown),
  }
}

/** What makes a directive of tags that all belong into the metadata, or all beside it. */
function surroundings(xml: string): { readonly before: string; readonly after: string } {
  const isShown = (tag: string): boolean => new RegExp(`^<${tag}[\\s/>]`, 'mu').test(xml)
  const rest = Object.entries(METADATA).flatMap(([tag, text]) =>
    isShown(tag) || (tag === 'cost' && isShown('limits')) ? [] : [text],
  )
  const start = '<directive name="example" version="1.0.0">\n<metadata><description>An example.</description>'
  const process = isShown('process') ? '' : '<process><step name="work">Work.</step></process>'
  const isMetadata = [...Object.keys(METADATA), 'limits', 'hooks', 'relationships'].some(isShown)
  if (isMetadata) return { before: `${start}${rest.join('')}\n`, after: `</metadata>${process}</directive>\n` }
  return { before: `${start}${rest.join('')}</metadata>\n`, after: `${process}</directive>\n` }
}
