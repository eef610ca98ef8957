import { ConfinedPathError, parseRelativePath } from '../../primitives/files/relative-path.ts'
import { blockText, lineText, rawText } from './directive-reader.ts'
import type { DirectiveReader } from './directive-reader.ts'
import { readSchema } from './directive-schema.ts'
import type { XmlTag } from './directive-xml.ts'
import type { DirectiveDefinition, SuccessCheck } from './item.ts'
import { suggestName } from './nearest-name.ts'

const MAX_CHECKS = 16
const MAX_COMMAND_CHARACTERS = 4096
const DEFAULT_TIMEOUT_SECONDS = 60
const MAX_TIMEOUT_SECONDS = 600
/** Of a schema in the line that tells of its check; a model that has to meet a longer one gets it in the directive's text. */
const MAX_SHOWN_SCHEMA = 4096
const TYPES: readonly SuccessCheck['type'][] = ['command', 'file', 'schema']

export type SuccessCriteria = Pick<DirectiveDefinition, 'successCriteria' | 'checks'>

/**
 * The lines and `<check>`s of `<success_criteria>`. Each check is also a line, at its place among the others, so that the model knows what
 * will be looked at.
 */
export function readCriteria(section: XmlTag | null, reader: DirectiveReader): SuccessCriteria {
  const successCriteria: string[] = []
  const checks: SuccessCheck[] = []
  for (const child of section?.children ?? []) {
    if (typeof child === 'string') successCriteria.push(...textCriteria(child))
    else if (child.name !== 'check') successCriteria.push(lineText(child))
    else {
      if (checks.length === MAX_CHECKS) reader.problem(child, `more than ${MAX_CHECKS} checks`, 'Join commands in a script.')
      const check = readCheck(child, reader)
      if (check === null) continue
      if (check.type === 'schema' && checks.some(({ type }) => type === 'schema'))
        reader.problem(child, 'a second check of type `schema`', 'Join both schemas with `allOf`.')
      checks.push(check)
      successCriteria.push(describeCheck(check))
    }
  }
  return { successCriteria: successCriteria.filter((text) => text !== ''), checks }
}

/** One criterion a line, with or without a mark of a list. */
function textCriteria(text: string): readonly string[] {
  return text.split('\n').map((line) => line.replace(/^\s*[-*]\s+/, '').trim())
}

/** What a check looks at, as one line for the model and for people. */
function describeCheck(check: SuccessCheck): string {
  switch (check.type) {
    case 'command':
      return `the command \`${check.command.replaceAll(/\s+/g, ' ')}\` succeeds (it is run when you finish)`
    case 'file':
      return check.sha256 === null
        ? `the file \`${check.path}\` exists (it is looked for when you finish)`
        : `the file \`${check.path}\` has the SHA-256 ${check.sha256} (it is read when you finish)`
    case 'schema': {
      const schema = JSON.stringify(check.schema)
      const shown = schema.length > MAX_SHOWN_SCHEMA ? `${schema.slice(0, MAX_SHOWN_SCHEMA)}…` : schema
      return `the result is JSON that matches this JSON Schema: ${shown}`
    }
  }
}

function readCheck(tag: XmlTag, reader: DirectiveReader): SuccessCheck | null {
  const written = tag.attributes['type'] ?? ''
  const type = TYPES.find((each) => each === written)
  switch (type) {
    case 'command':
      return readCommand(tag, reader)
    case 'file':
      return readFile(tag, reader)
    case 'schema': {
      reader.onlyAttributes(tag, ['type'])
      const schema = readSchema(tag, reader)
      return schema === null ? null : { type, schema }
    }
    case undefined: {
      const reason = written === '' ? '`<check>` without a type' : `\`${written}\` is not a type of check`
      const fix = written === '' ? 'Add `type="command"`, `type="file"` or `type="schema"`.' : suggestName(written, TYPES)
      reader.problem(tag, reason, fix)
      return null
    }
  }
}

function readCommand(tag: XmlTag, reader: DirectiveReader): SuccessCheck | null {
  reader.onlyAttributes(tag, ['type', 'timeout_seconds'])
  reader.onlyChildren(tag, [])
  const command = blockText(rawText(tag))
  if (command === '' || command.length > MAX_COMMAND_CHARACTERS) {
    const reason = command === '' ? 'a check without a command' : `a command of ${command.length} characters`
    const fix = `Write one of at most ${MAX_COMMAND_CHARACTERS} characters: \`<check type="command">npm test</check>\`.`
    reader.problem(tag, reason, fix)
    return null
  }
  const timeout = tag.attributes['timeout_seconds'] ?? String(DEFAULT_TIMEOUT_SECONDS)
  if (/^[1-9]\d{0,2}$/.test(timeout) && Number(timeout) <= MAX_TIMEOUT_SECONDS)
    return { type: 'command', command, timeoutSeconds: Number(timeout) }
  const expected = `a whole number from 1 to ${MAX_TIMEOUT_SECONDS}`
  const reason = `\`timeout_seconds\` must be ${expected}, got ${JSON.stringify(timeout.slice(0, 40))}`
  reader.problem(tag, reason, `Write ${expected}.`)
  return null
}

function readFile(tag: XmlTag, reader: DirectiveReader): SuccessCheck | null {
  reader.onlyAttributes(tag, ['type', 'path', 'sha256'])
  reader.onlyChildren(tag, [])
  const { path = '', sha256 = null } = tag.attributes
  const example = '`<check type="file" path="reports/summary.md"/>`'
  if (rawText(tag).trim() !== '') reader.problem(tag, 'a check of a file has text, which nothing reads', `Write ${example}.`)
  const fault = pathFault(path)
  if (fault !== null) reader.problem(tag, fault, `Write a path below the project: ${example}.`)
  if (sha256 !== null && !/^[0-9a-fA-F]{64}$/.test(sha256)) {
    const reason = `\`sha256\` must be 64 hexadecimal digits, got ${JSON.stringify(sha256.slice(0, 70))}`
    reader.problem(tag, reason, 'Write what `sha256sum` prints, or leave it out: then the file need only exist.')
  }
  return { type: 'file', path, sha256: sha256?.toLowerCase() ?? null }
}

function pathFault(path: string): string | null {
  try {
    return parseRelativePath(path).length === 0 ? 'a check without a path of a file' : null
  } catch (error) {
    if (error instanceof ConfinedPathError) return error.message.replace(/\.$/, '')
    throw error
  }
}
