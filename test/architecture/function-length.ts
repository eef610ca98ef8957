import { parseSync, Visitor } from 'oxc-parser'

import type { SourceFile } from './source-graph.ts'

export interface LongFunction {
  readonly where: string
  readonly ownLines: number
}

interface Range {
  readonly start: number
  readonly end: number
}

/**
 * Functions with more code lines of their own than `max`. The lines of a function inside belong to that one: a factory is as long as what
 * it does itself, not as what it returns. Blank lines and comments do not count. (The linter's rule counts everything inside.)
 */
export function longFunctions(file: SourceFile, max: number): readonly LongFunction[] {
  const { program, comments } = parseSync(file.path, file.text)
  const found: Range[] = []
  const take = (node: Range): void => void found.push(node)
  new Visitor({ FunctionDeclaration: take, FunctionExpression: take, ArrowFunctionExpression: take }).visit(program)
  const isCode = codeLines(file.text, comments)
  return found
    .map((range) => ({ range, ownLines: ownLinesOf(range, found, file.text, isCode) }))
    .filter(({ ownLines }) => ownLines > max)
    .map(({ range, ownLines }) => ({ where: `${file.path}:${lineOf(file.text, range.start) + 1}`, ownLines }))
}

function ownLinesOf(range: Range, all: readonly Range[], text: string, isCode: readonly boolean[]): number {
  const inside = all.filter((other) => other !== range && other.start >= range.start && other.end <= range.end)
  const foreign = new Set<number>()
  for (const { start, end } of inside) {
    // The first line of an inner function stays with the outer one.
    for (let line = lineOf(text, start) + 1; line <= lineOf(text, end - 1); line += 1) foreign.add(line)
  }
  let count = 0
  for (let line = lineOf(text, range.start); line <= lineOf(text, range.end - 1); line += 1) {
    if (isCode[line] === true && !foreign.has(line)) count += 1
  }
  return count
}

function codeLines(text: string, comments: readonly Range[]): readonly boolean[] {
  const characters = text.split('')
  for (const { start, end } of comments) {
    for (let at = start; at < end; at += 1) if (characters[at] !== '\n') characters[at] = ' '
  }
  return characters
    .join('')
    .split('\n')
    .map((line) => line.trim() !== '')
}

function lineOf(text: string, offset: number): number {
  let line = 0
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1
  return line
}
