import type { Expression, PathUse } from '../expressions/expression.ts'
import { parseExpression } from '../expressions/parse-expression.ts'
import { findPaths } from '../expressions/render-paths.ts'
import { COST_NAMES } from './directive-cost.ts'
import { blockText, childTags, inText, lineText, rawText } from './directive-reader.ts'
import type { DirectiveReader } from './directive-reader.ts'
import type { XmlTag } from './directive-xml.ts'
import type { DirectiveHook } from './item.ts'
import { ITEM_ID, PARAMETER_NAME } from './names.ts'
import { suggestName } from './nearest-name.ts'

const MAX_HOOKS = 32
/** What a hook can read, each root with its entries. Entries of another name are null whenever it is asked. */
export const HOOK_SCOPE: ReadonlyMap<string, readonly string[]> = new Map([
  ['event', ['name', 'code', 'detail']],
  ['directive', ['name', 'inputs']],
  [
    'cost',
    ['turns', 'input_tokens', 'output_tokens', 'total_tokens', 'context_tokens', 'tool_calls', 'spent_usd', 'elapsed_seconds'],
  ],
  ['limits', COST_NAMES],
  ['permissions', ['granted', 'required']],
])
/** The values of `event.name`. */
const POINTS: readonly string[] = ['before_step', 'after_step', 'on_error', 'on_limit']

/** The `<hook>` children of `<hooks>`, in order; what can never be true as it is written becomes a warning. */
export function readHooks(section: XmlTag | null, reader: DirectiveReader): readonly DirectiveHook[] {
  if (section === null) return []
  reader.onlyAttributes(section, [])
  reader.onlyChildren(section, ['hook'])
  reader.noText(section, 'Write `<hook>` with `<when>` and `<directive>`.')
  const tags = childTags(section).filter(({ name }) => name === 'hook')
  const [first] = tags.slice(MAX_HOOKS)
  if (first !== undefined) reader.problem(first, `more than ${MAX_HOOKS} hooks`, 'Join conditions with `or`.')
  return tags.slice(0, MAX_HOOKS).flatMap((tag) => readHook(tag, reader) ?? [])
}

function readHook(tag: XmlTag, reader: DirectiveReader): DirectiveHook | null {
  reader.onlyAttributes(tag, [])
  reader.onlyChildren(tag, ['when', 'directive', 'inputs'])
  reader.noText(tag, 'Put the condition into `<when>`.')
  const when = textChild(tag, 'when', reader)
  const directive = readDirectiveId(tag, reader)
  const inputs = readHookInputs(reader.child(tag, 'inputs'), reader)
  if (when === null) {
    const fix = 'Add a condition: `<when>event.name == "on_error"</when>`.'
    if (lacks(tag, 'when')) reader.problem(tag, 'a `<hook>` without `<when>`', fix)
    return null
  }
  const expression = readWhen(when, reader)
  if (expression === null || directive === null) return null
  return { when: expression, source: rawText(when).trim(), directive, inputs, line: tag.position.line }
}

/** The only child of that name, which holds text alone. */
function textChild(tag: XmlTag, name: string, reader: DirectiveReader): XmlTag | null {
  const child = reader.child(tag, name)
  if (child === null) return null
  reader.onlyAttributes(child, [])
  reader.onlyChildren(child, [])
  // The text around tags is not what somebody meant.
  return childTags(child).length > 0 ? null : child
}

function lacks(tag: XmlTag, name: string): boolean {
  return childTags(tag).every((child) => child.name !== name)
}

function readDirectiveId(tag: XmlTag, reader: DirectiveReader): string | null {
  const child = textChild(tag, 'directive', reader)
  const id = child === null ? '' : lineText(child)
  if (ITEM_ID.test(id)) return id
  const fix = 'Name the directive that is run: `<directive>repair_build</directive>`.'
  if (child !== null) {
    const reason = id === '' ? 'an empty `<directive>`' : `\`${id.slice(0, 60)}\` is not the id of a directive`
    reader.problem(child, reason, fix)
  } else if (lacks(tag, 'directive')) reader.problem(tag, 'a `<hook>` without `<directive>`', fix)
  return null
}

function readWhen(when: XmlTag, reader: DirectiveReader): Expression | null {
  const outcome = parseExpression(rawText(when))
  if (outcome.kind === 'broken') {
    reader.problem(inText(when, outcome.offset), `\`<when>\`: ${outcome.reason}`, outcome.fix)
    return null
  }
  checkPaths(when, outcome.paths, reader)
  for (const { text, path } of comparedNames(outcome.expression)) {
    if (POINTS.includes(text)) continue
    const place = inText(when, outcome.paths[path]?.offset ?? 0)
    reader.warn(place, `\`event.name\` is never ${JSON.stringify(text.slice(0, 60))}`, suggestName(text, POINTS))
  }
  return outcome.expression
}

function checkPaths(tag: XmlTag, paths: readonly PathUse[], reader: DirectiveReader): void {
  for (const { segments, offset } of paths) {
    const [root = '', entry] = segments
    const entries = HOOK_SCOPE.get(root)
    if (entries === undefined) {
      const reason = `\`${segments.join('.').slice(0, 60)}\` is nothing that a hook can read`
      reader.problem(inText(tag, offset), reason, suggestName(root, [...HOOK_SCOPE.keys()]))
    } else if (entry !== undefined && !entries.includes(entry)) {
      const reason = `\`${root}\` has no \`${entry.slice(0, 60)}\`, so this is always null`
      reader.warn(inText(tag, offset), reason, suggestName(entry, entries))
    }
  }
}

interface ComparedName {
  readonly text: string
  /** Which of the paths, in the order in which they are written. */
  readonly path: number
}

/** The texts that `event.name` is compared with. */
function comparedNames(expression: Expression): readonly ComparedName[] {
  const found: ComparedName[] = []
  let paths = 0
  const visit = (part: Expression): void => {
    if (part.kind === 'path') paths += 1
    if (part.kind === 'not') visit(part.operand)
    if (part.kind !== 'binary') return
    const before = paths
    visit(part.left)
    visit(part.right)
    if (part.operator !== '==' && part.operator !== '!=') return
    const text = comparedText(part.left, part.right) ?? comparedText(part.right, part.left)
    if (text !== null) found.push({ text, path: before })
  }
  visit(expression)
  return found
}

function comparedText(path: Expression, literal: Expression): string | null {
  if (path.kind !== 'path' || path.segments.join('.') !== 'event.name') return null
  return literal.kind === 'literal' && typeof literal.value === 'string' ? literal.value : null
}

function readHookInputs(section: XmlTag | null, reader: DirectiveReader): Readonly<Record<string, string>> {
  if (section === null) return {}
  reader.onlyAttributes(section, [])
  reader.onlyChildren(section, ['input'])
  reader.noText(section, 'Write `<input name="…">${event.detail}</input>`.')
  const inputs = new Map<string, string>()
  for (const tag of childTags(section)) {
    if (tag.name !== 'input') continue
    reader.onlyAttributes(tag, ['name'])
    reader.onlyChildren(tag, [])
    const name = tag.attributes['name'] ?? ''
    if (!PARAMETER_NAME.test(name)) {
      const reason = name === '' ? '`<input>` without a name' : `\`${name.slice(0, 60)}\` is not a name`
      reader.problem(tag, reason, 'Add `name="…"`, the name of an input of the directive.')
    } else if (inputs.has(name)) reader.problem(tag, `two inputs are named \`${name}\``, 'Keep one of them.')
    const use = findPaths(rawText(tag))
    if (use.kind === 'broken') reader.problem(inText(tag, use.offset), use.reason, use.fix)
    else checkPaths(tag, use.paths, reader)
    inputs.set(name, blockText(rawText(tag)))
  }
  return Object.fromEntries(inputs)
}
