import { createFieldReader, describe, isJsonObject } from './field-reader.ts'
import type { FieldReader } from './field-reader.ts'
import type { JsonObject } from '../../json.ts'
import { markdownLines } from './markdown-lines.ts'
import { VERSION } from './names.ts'
import { unreadable } from './parsed-file.ts'
import type { ParsedFile } from './parsed-file.ts'
import type { SourceText } from './source-text.ts'
import { readYaml } from './yaml-document.ts'
import type { YamlDocument } from './yaml-document.ts'

const KNOWN = ['id', 'title', 'tags', 'version', 'description', 'category', 'author', 'created', 'updated']
const LINK = /\[\[([^[\]\n|#]{1,128})(?:[|#][^[\]\n]{0,256})?\]\]/g
const SIGNATURE_LINE = /^<!-- kiwi:signed:[^\n]*\n/
const OPENING = /^---[ \t]*\r?\n/
const CLOSING = /^---[ \t]*\r?$/m

/** A knowledge file: optional YAML front matter and Markdown; `id` is the stem of its name. */
export function parseKnowledge(source: SourceText, id: string): ParsedFile {
  const matter = readFrontMatter(source)
  if (matter.kind === 'invalid') return matter.outcome
  const { document } = matter
  const locate = (path: readonly (string | number)[]) => document?.locate(path) ?? source.position(0)
  const reader = createFieldReader({ locate, label: (path) => path.join('.') })
  const fields = document?.value ?? {}
  if (!isJsonObject(fields)) {
    const reason = `the front matter must be a map of fields, got ${describe(fields)}`
    return unreadable([{ ...locate([]), reason, fix: 'Write `title: …` and the other fields one a line.' }])
  }
  reader.onlyKeys(fields, [], KNOWN)
  const content = source.text.slice(matter.bodyStart)
  const title = reader.text(fields, ['title']) ?? /^#[ \t]+([^\n]*)/m.exec(content)?.[1]?.trim() ?? id
  const tags = readTags(fields, reader)
  const version = readVersion(fields, reader)
  const description = reader.text(fields, ['description']) ?? ''
  const writtenCategory = reader.text(fields, ['category'])
  const written = reader.text(fields, ['id'])
  if (written !== null && written !== id) {
    reader.problem(['id'], `\`id\` is \`${written}\` but the file is named \`${id}\``, `Write \`id: ${id}\`, or rename the file.`)
  }
  return {
    definition: reader.problems.length > 0 ? null : { kind: 'knowledge', title, tags, links: findLinks(content), content },
    description: description === '' ? title : description,
    version,
    writtenCategory,
    problems: reader.problems,
    warnings: reader.warnings,
  }
}

type FrontMatter =
  | { readonly kind: 'read'; readonly document: YamlDocument | null; readonly bodyStart: number }
  | { readonly kind: 'invalid'; readonly outcome: ParsedFile }

function readFrontMatter(source: SourceText): FrontMatter {
  const start = SIGNATURE_LINE.exec(source.text)?.[0].length ?? 0
  const opening = OPENING.exec(source.text.slice(start))
  if (opening === null) return { kind: 'read', document: null, bodyStart: start }
  const matterStart = start + opening[0].length
  const closing = CLOSING.exec(source.text.slice(matterStart))
  if (closing === null) {
    const finding = {
      ...source.position(start),
      reason: 'the front matter is never closed',
      fix: 'Add a line `---` after its last field.',
    }
    return { kind: 'invalid', outcome: unreadable([finding]) }
  }
  const matterEnd = matterStart + closing.index
  const lineEnd = source.text.indexOf('\n', matterEnd)
  const bodyStart = lineEnd === -1 ? source.text.length : lineEnd + 1
  if (source.text.slice(matterStart, matterEnd).trim() === '') return { kind: 'read', document: null, bodyStart }
  const yaml = readYaml(source, matterStart, matterEnd)
  if (yaml.kind === 'invalid') return { kind: 'invalid', outcome: unreadable(yaml.findings) }
  return { kind: 'read', document: yaml.document, bodyStart }
}

function readTags(fields: JsonObject, reader: FieldReader): readonly string[] {
  const tags: string[] = []
  for (const [index, tag] of (reader.list(fields, ['tags']) ?? []).entries()) {
    if (typeof tag === 'string') tags.push(tag)
    else reader.problem(['tags', index], `a tag must be text, got ${describe(tag)}`, 'Put it in quotes.')
  }
  return tags
}

function readVersion(fields: JsonObject, reader: FieldReader): string | null {
  const version = reader.text(fields, ['version'])
  if (version !== null && !VERSION.test(version))
    reader.problem(['version'], `\`${version}\` is not a version`, 'Write it as "1.2.3".')
  return version
}

/** Ids of `[[links]]`, once each, in order; fenced code is not read. */
function findLinks(content: string): readonly string[] {
  const links = new Set<string>()
  for (const { text, role } of markdownLines(content)) {
    if (role !== 'prose') continue
    for (const match of text.matchAll(LINK)) links.add((match[1] ?? '').trim())
  }
  return [...links]
}
