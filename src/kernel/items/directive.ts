import { readCriteria } from './directive-checks.ts'
import { readCost } from './directive-cost.ts'
import { findDirectiveFence } from './directive-fence.ts'
import { directiveGaps } from './directive-gaps.ts'
import { readHooks } from './directive-hooks.ts'
import { readInputs, readOutputs } from './directive-inputs.ts'
import { blockText, childTags, createDirectiveReader, lineText } from './directive-reader.ts'
import type { DirectiveReader } from './directive-reader.ts'
import { readXml } from './directive-xml.ts'
import type { XmlTag } from './directive-xml.ts'
import type { DirectiveDefinition, DirectiveStep, ModelChoice, PermissionTag } from './item.ts'
import { VERSION } from './names.ts'
import { unreadable } from './parsed-file.ts'
import type { ParsedFile } from './parsed-file.ts'
import type { SourceText } from './source-text.ts'

const SECTIONS = ['metadata', 'context', 'inputs', 'process', 'success_criteria', 'outputs']
const METADATA = ['description', 'category', 'author', 'model', 'cost', 'limits', 'permissions', 'hooks', 'relationships']

/** A directive file; `id` is the stem of its name. What it lacks to be spawned (`directiveGaps`) becomes warnings. */
export function parseDirective(source: SourceText, id: string): ParsedFile {
  const fence = findDirectiveFence(source)
  if (fence.kind === 'invalid') return unreadable([fence.finding])
  const xml = readXml(source, fence.start, fence.end)
  if (xml.kind === 'invalid') return unreadable([xml.finding])
  const { root } = xml
  if (root.name !== 'directive') {
    const reason = `the block starts with \`<${root.name}>\``
    return unreadable([{ ...root.position, reason, fix: `Start it with \`<directive name="${id}" version="1.0.0">\`.` }])
  }
  const reader = createDirectiveReader()
  const definition = readDirective(root, id, reader)
  for (const gap of directiveGaps(definition)) {
    const isMissing = childTags(root).every(
      (tag) => tag.name !== 'metadata' || childTags(tag).every(({ name }) => name !== gap.field),
    )
    if (isMissing || gap.field === 'version') reader.warn(root, `${gap.reason}: it can be read but not spawned`, gap.fix)
  }
  if (definition.description === '')
    reader.warn(root, 'no `<description>`', 'Add one to the metadata; it is how the directive is found.')
  return {
    definition: reader.problems.length > 0 ? null : definition,
    description: definition.description,
    version: definition.version,
    writtenCategory: readCategory(root),
    problems: reader.problems,
    warnings: reader.warnings,
  }
}

function readDirective(root: XmlTag, id: string, reader: DirectiveReader): DirectiveDefinition {
  reader.onlyAttributes(root, ['name', 'version'])
  reader.onlyChildren(root, SECTIONS)
  reader.noText(root, 'Put it into `<context>` or a `<step>`.')
  const name = root.attributes['name'] ?? ''
  if (name !== id) {
    const reason = name === '' ? '`<directive>` has no name' : `the directive is named \`${name}\` but the file \`${id}\``
    reader.problem(root, reason, `Write \`name="${id}"\`, or rename the file.`)
  }
  const version = root.attributes['version'] ?? null
  if (version !== null && !VERSION.test(version)) reader.problem(root, `\`${version}\` is not a version`, 'Write it as "1.2.3".')
  const context = reader.child(root, 'context')
  return {
    kind: 'directive',
    name: id,
    version,
    ...readMetadata(root, reader),
    context: context === null ? '' : sectionText(context),
    inputs: readInputs(reader.child(root, 'inputs'), reader),
    steps: readSteps(root, reader),
    ...readCriteria(reader.child(root, 'success_criteria'), reader),
    ...readOutputs(reader.child(root, 'outputs'), reader),
  }
}

function readCategory(root: XmlTag): string | null {
  const metadata = childTags(root).find(({ name }) => name === 'metadata')
  const tag = metadata === undefined ? undefined : childTags(metadata).find(({ name }) => name === 'category')
  return tag === undefined ? null : lineText(tag)
}

type Metadata = Pick<DirectiveDefinition, 'description' | 'author' | 'model' | 'cost' | 'permissions' | 'hooks' | 'relationships'>

function readMetadata(root: XmlTag, reader: DirectiveReader): Metadata {
  const metadata = reader.child(root, 'metadata')
  if (metadata === null) {
    return { description: '', author: null, model: null, cost: null, permissions: null, hooks: [], relationships: [] }
  }
  reader.onlyAttributes(metadata, [])
  reader.onlyChildren(metadata, METADATA)
  reader.noText(metadata, 'Put it into `<description>`.')
  const text = (name: string): string => {
    const tag = reader.child(metadata, name)
    return tag === null ? '' : lineText(tag)
  }
  const author = text('author')
  reader.child(metadata, 'category')
  const permissions = reader.child(metadata, 'permissions')
  return {
    description: text('description'),
    author: author === '' ? null : author,
    model: readModel(reader.child(metadata, 'model'), reader),
    cost: readCost(metadata, reader),
    permissions: permissions === null ? null : readTags(permissions, reader),
    hooks: readHooks(reader.child(metadata, 'hooks'), reader),
    relationships: readTags(reader.child(metadata, 'relationships'), reader),
  }
}

function readModel(tag: XmlTag | null, reader: DirectiveReader): ModelChoice | null {
  if (tag === null) return null
  reader.onlyAttributes(tag, ['tier', 'id', 'fallback'])
  reader.onlyChildren(tag, [])
  const text = lineText(tag)
  const tiers = [tag.attributes['tier'] ?? '', text].filter((tier) => tier !== '')
  const id = tag.attributes['id'] ?? null
  const [tier = null, second] = tiers
  if ((tier === null && id === null) || id === '')
    reader.problem(tag, '`<model>` names no model', 'Write `<model tier="balanced"/>`.')
  if (second !== undefined) reader.problem(tag, '`<model>` names two tiers', 'Keep the attribute or the text.')
  if (tier !== null && id !== null) reader.problem(tag, '`<model>` has both a tier and an id', 'Keep one of them.')
  return { tier, id, fallback: tag.attributes['fallback'] ?? null }
}

/** The tags below a section as written; what they mean is not decided here. */
function readTags(section: XmlTag | null, reader: DirectiveReader): readonly PermissionTag[] {
  if (section === null) return []
  reader.onlyAttributes(section, [])
  reader.noText(section, 'Write one tag for each entry.')
  return childTags(section).map(toPermissionTag)
}

function toPermissionTag(tag: XmlTag): PermissionTag {
  const own = tag.children.filter((child) => typeof child === 'string').join(' ')
  return {
    tag: tag.name,
    attributes: tag.attributes,
    children: childTags(tag).map(toPermissionTag),
    text: own.replaceAll(/\s+/g, ' ').trim(),
    line: tag.position.line,
  }
}

function readSteps(root: XmlTag, reader: DirectiveReader): readonly DirectiveStep[] {
  const process = reader.child(root, 'process')
  if (process === null) {
    reader.warn(root, 'no `<process>`: there is nothing to follow', 'Add `<process><step name="…">…</step></process>`.')
    return []
  }
  reader.onlyChildren(process, ['step'])
  reader.noText(process, 'Wrap it in `<step name="…">`.')
  const steps: DirectiveStep[] = []
  for (const tag of childTags(process)) {
    if (tag.name !== 'step') continue
    reader.onlyAttributes(tag, ['name'])
    const name = tag.attributes['name'] ?? ''
    if (name.trim() === '') reader.problem(tag, 'a `<step>` without a name', 'Write `<step name="…">`.')
    steps.push({ name, text: sectionText(tag) })
  }
  return steps
}

/**
 * A section as a reader or a model sees it: text as it stands, `<description>` and `<action>` without their tags, every other tag as
 * `name (attributes): text`, deeper ones indented.
 */
function sectionText(section: XmlTag): string {
  const parts: string[] = []
  for (const child of section.children) {
    const text = typeof child === 'string' ? blockText(child) : tagText(child)
    if (text !== '') parts.push(text)
  }
  return parts.join('\n')
}

function tagText(tag: XmlTag): string {
  const inner = sectionText(tag)
  const attributes = Object.entries(tag.attributes).map(([name, value]) => `${name}: ${value}`)
  if (attributes.length === 0 && (tag.name === 'description' || tag.name === 'action')) return inner
  const title = attributes.length === 0 ? tag.name : `${tag.name} (${attributes.join(', ')})`
  if (inner === '') return title
  return inner.includes('\n') ? `${title}:\n${inner.replaceAll(/^(?=.)/gm, '  ')}` : `${title}: ${inner}`
}
