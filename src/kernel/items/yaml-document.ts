/**
 * Strict YAML 1.2 (core schema): one document of plain JSON values, or the places where it is not.
 *
 * Y1. Nesting is measured on the lexer's and parser's own stack, which is flat; composing recurses and comes only after that.
 * Y2. Aliases are counted and their expansion is limited while the value is built, so a small file cannot become a large value.
 */
import { Composer, Lexer, Parser, isAlias, isMap, isScalar, isSeq } from 'yaml'
import type { Document, Node, Pair } from 'yaml'
import type { Json } from '../../json.ts'
import { FORBIDDEN_KEYS } from './names.ts'
import { MAX_NESTING } from './source-text.ts'
import type { Finding, Position, SourceText } from './source-text.ts'

const MAX_ALIASES = 32
const MAX_NODES = 20_000
/** The parser keeps a few frames besides the collections themselves. */
const STACK_ALLOWANCE = 8

export interface YamlDocument {
  readonly value: Json
  /** Where the key (or the list entry) at this path stands; the nearest parent that exists otherwise. */
  readonly locate: (path: readonly (string | number)[]) => Position
}

export type YamlOutcome =
  | { readonly kind: 'document'; readonly document: YamlDocument }
  | { readonly kind: 'invalid'; readonly findings: readonly Finding[] }

/** Reads `source` from `start` to `end` (UTF-16 offsets) as one document; positions are those of the whole source. */
export function readYaml(source: SourceText, start: number = 0, end: number = source.text.length): YamlOutcome {
  const at = (offset: number): Position => source.position(start + offset)
  const composed = composeDocument(source.text.slice(start, end), at)
  if ('findings' in composed) return { kind: 'invalid', findings: composed.findings }
  const { document } = composed
  const walk: Walk = { at, findings: [], anchors: new Map(), open: new Set(), aliases: 0, nodes: 0 }
  const value = document.contents === null ? null : buildValue(document.contents, 0, walk)
  if (walk.findings.length > 0) return { kind: 'invalid', findings: walk.findings }
  return { kind: 'document', document: { value, locate: (path) => at(offsetOf(document, path)) } }
}

type Composed = { readonly document: Document.Parsed } | { readonly findings: readonly Finding[] }

function composeDocument(text: string, at: (offset: number) => Position): Composed {
  const parser = new Parser()
  const composer = new Composer({
    version: '1.2',
    schema: 'core',
    uniqueKeys: true,
    strict: true,
    stringKeys: true,
    logLevel: 'silent',
  })
  const tokens = []
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme))
    if (parser.stack.length > MAX_NESTING + STACK_ALLOWANCE) return { findings: [tooDeep(at(parser.offset))] } // Y1
  }
  tokens.push(...parser.end())
  const directive = tokens.find((token) => token.type === 'directive')
  if (directive !== undefined) {
    return {
      findings: [
        { ...at(directive.offset), reason: 'a YAML directive (`%…`)', fix: 'Remove the line; files are read as YAML 1.2.' },
      ],
    }
  }
  const documents = [...composer.compose(tokens, true, text.length)]
  const [document, second] = documents
  if (document === undefined)
    return { findings: [{ ...at(0), reason: 'the file is empty', fix: 'Write the fields of the item.' }] }
  if (second !== undefined) {
    return {
      findings: [
        { ...at(second.range[0]), reason: 'more than one YAML document', fix: 'Keep one document; remove the `---` line.' },
      ],
    }
  }
  const findings = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    reason: error.message,
    fix: fixOf(error.code),
  }))
  return findings.length > 0 ? { findings } : { document }
}

function fixOf(code: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'Keep one of the two keys.'
    case 'TAG_RESOLVE_FAILED':
      return 'Remove the tag; only plain values are read.'
    case 'NON_STRING_KEY':
      return 'Use a plain string as the key.'
    case 'TAB_AS_INDENT':
      return 'Indent with spaces.'
    default:
      return 'Correct the YAML at this place.'
  }
}

function tooDeep(position: Position): Finding {
  return { ...position, reason: `nested deeper than ${MAX_NESTING} levels`, fix: 'Flatten the structure.' }
}

/** What one walk over a composed document has found and spent. */
interface Walk {
  readonly at: (offset: number) => Position
  readonly findings: Finding[]
  readonly anchors: Map<string, Node>
  /** Collections that are being built: an alias to one of them has no end. */
  readonly open: Set<Node>
  aliases: number
  nodes: number
}

function buildValue(node: Node, depth: number, walk: Walk): Json {
  walk.nodes += 1
  if (walk.nodes > MAX_NODES) {
    return walk.nodes === MAX_NODES + 1 ? refuse(walk, node, `more than ${MAX_NODES} values`, 'Split the file.') : null
  }
  if (depth > MAX_NESTING) {
    walk.findings.push(tooDeep(walk.at(node.range?.[0] ?? 0)))
    return null
  }
  if (isAlias(node)) return buildAlias(node, depth, walk)
  if ('anchor' in node && node.anchor !== undefined) walk.anchors.set(node.anchor, node)
  if (isScalar(node)) return buildScalar(node, walk)
  walk.open.add(node)
  let value: Json = null
  if (isMap(node)) value = buildMap(node.items, depth, walk)
  // The items of a parsed sequence are nodes.
  else if (isSeq(node)) value = node.items.map((item) => buildValue(item as Node, depth + 1, walk))
  walk.open.delete(node)
  return value
}

function buildAlias(node: Node & { readonly source: string }, depth: number, walk: Walk): Json {
  walk.aliases += 1
  const target = walk.anchors.get(node.source)
  if (target === undefined || walk.open.has(target)) {
    return refuse(walk, node, `the alias *${node.source} has no value yet`, 'Write the value out.')
  }
  if (walk.aliases <= MAX_ALIASES) return buildValue(target, depth, walk)
  return walk.aliases === MAX_ALIASES + 1 ? refuse(walk, node, `more than ${MAX_ALIASES} aliases`, 'Write the values out.') : null // Y2
}

function buildMap(pairs: readonly Pair[], depth: number, walk: Walk): Json {
  const entries: [string, Json][] = []
  for (const { key: keyNode, value } of pairs) {
    if (!isScalar(keyNode) || typeof keyNode.value !== 'string') continue
    const key = keyNode.value
    if (FORBIDDEN_KEYS.has(key)) refuse(walk, keyNode, `the key \`${key}\` is not allowed`, 'Rename the key.')
    else if (key === '<<') refuse(walk, keyNode, 'merge keys (`<<`) are not read', 'Write the fields out.')
    // A pair of a composed document holds nodes only.
    else entries.push([key, value === null ? null : buildValue(value as Node, depth + 1, walk)])
  }
  return Object.fromEntries(entries)
}

function buildScalar(node: Node & { readonly value: unknown; readonly source?: string }, walk: Walk): Json {
  const { value, source = '' } = node
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value !== 'number') return null
  if (!Number.isFinite(value))
    return refuse(walk, node, `${source} is not a finite number`, 'Write a finite number, or quote it.')
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return refuse(walk, node, `${source} is too large to be kept exactly`, 'Quote it to keep its digits as text.')
  }
  if (/^[-+]?0\d/.test(source))
    return refuse(walk, node, `${source} has a leading zero`, 'Remove the zero, or quote it to keep it as text.')
  return value
}

function refuse(walk: Walk, node: Node, reason: string, fix: string): null {
  walk.findings.push({ ...walk.at(node.range?.[0] ?? 0), reason, fix })
  return null
}

function offsetOf(document: Document.Parsed, path: readonly (string | number)[]): number {
  let node: unknown = document.contents
  let offset = document.contents?.range[0] ?? 0
  for (const step of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find((item) => isScalar(item.key) && item.key.value === step)
      if (pair === undefined) break
      offset = isScalar(pair.key) ? (pair.key.range?.[0] ?? offset) : offset
      node = pair.value
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step]
      if (isScalar(node) || isMap(node) || isSeq(node)) offset = node.range?.[0] ?? offset
    } else break
  }
  return offset
}
