import assert from 'node:assert/strict'
import { parseItem } from '../../../src/kernel/items/item-file.ts'
import type { DirectiveDefinition, ItemType, KnowledgeDefinition, ToolDefinition } from '../../../src/kernel/items/item.ts'
import type { ParsedFile } from '../../../src/kernel/items/parsed-file.ts'

export function parseText(type: ItemType, name: string, content: string | Uint8Array): ParsedFile {
  return parseItem(type, name, typeof content === 'string' ? Buffer.from(content) : content)
}

export function parseTool(name: string, content: string): ToolDefinition {
  const { definition, problems } = parseText('tool', name, content)
  assert.deepEqual(problems, [])
  assert(definition?.kind === 'tool')
  return definition
}

export function parseDirectiveText(name: string, content: string): DirectiveDefinition {
  const { definition, problems } = parseText('directive', name, content)
  assert.deepEqual(problems, [])
  assert(definition?.kind === 'directive')
  return definition
}

export function parseKnowledgeText(name: string, content: string): KnowledgeDefinition {
  const { definition, problems } = parseText('knowledge', name, content)
  assert.deepEqual(problems, [])
  assert(definition?.kind === 'knowledge')
  return definition
}

/** Asserts that a file is refused with a problem at this line whose reason matches, and with something to write instead. */
export function assertRefused(parsed: ParsedFile, line: number, reason: RegExp): void {
  assert.equal(parsed.definition, null)
  const problem = parsed.problems.find((each) => reason.test(each.reason))
  assert(problem, `no problem matches ${String(reason)} in ${JSON.stringify(parsed.problems)}`)
  assert.equal(problem.line, line)
  assert(problem.column >= 1)
  assert.notEqual(problem.fix, '')
}
