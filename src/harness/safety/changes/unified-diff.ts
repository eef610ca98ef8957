/** Lines around a change that are shown with it. */
const CONTEXT = 3
/** Pairs of lines that are compared at most; beyond it the whole middle counts as replaced. */
const MAX_COMPARED = 4_000_000
const MAX_LINES = 1_000
const MAX_CHARACTERS = 64_000

type Edit = { readonly mark: ' ' | '-' | '+'; readonly line: string }

/**
 * What becomes of a text file, as a unified diff; null for a file that is not there yet. Empty when nothing changes. A long one is cut
 * between lines and says how many are left out.
 */
export function unifiedDiff(path: string, before: string | null, after: string): string {
  if (before === after) return ''
  const edits = editsOf(linesOf(before ?? ''), linesOf(after))
  const head = [before === null ? '--- /dev/null' : `--- a/${path}`, `+++ b/${path}`]
  return cut([...head, ...hunksOf(edits)])
}

/** Lines with a mark where the last one has no end. */
function linesOf(text: string): readonly string[] {
  if (text === '') return []
  const lines = text.split('\n')
  if (lines.at(-1) === '') return lines.slice(0, -1)
  return [...lines.slice(0, -1), `${lines.at(-1) ?? ''}\n\\ No newline at end of file`]
}

function editsOf(before: readonly string[], after: readonly string[]): readonly Edit[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1
  let tail = 0
  while (tail < before.length - start && tail < after.length - start && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1
  return [
    ...before.slice(0, start).map((line): Edit => ({ mark: ' ', line })),
    ...middle(before.slice(start, before.length - tail), after.slice(start, after.length - tail)),
    ...before.slice(before.length - tail).map((line): Edit => ({ mark: ' ', line })),
  ]
}

/** By the longest common subsequence. */
function middle(before: readonly string[], after: readonly string[]): readonly Edit[] {
  const removed = before.map((line): Edit => ({ mark: '-', line }))
  const added = after.map((line): Edit => ({ mark: '+', line }))
  if (before.length === 0 || after.length === 0 || before.length * after.length > MAX_COMPARED) return [...removed, ...added]
  const width = after.length + 1
  const longest = new Uint32Array((before.length + 1) * width)
  const at = (row: number, column: number): number => longest[row * width + column] ?? 0
  for (let row = before.length - 1; row >= 0; row -= 1)
    for (let column = after.length - 1; column >= 0; column -= 1)
      longest[row * width + column] =
        before[row] === after[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1))
  const edits: Edit[] = []
  let [row, column] = [0, 0]
  while (row < before.length && column < after.length) {
    if (before[row] === after[column]) {
      edits.push({ mark: ' ', line: before[row] ?? '' })
      row += 1
      column += 1
    } else if (at(row + 1, column) >= at(row, column + 1)) edits.push({ mark: '-', line: before[row++] ?? '' })
    else edits.push({ mark: '+', line: after[column++] ?? '' })
  }
  return [...edits, ...removed.slice(row), ...added.slice(column)]
}

function hunksOf(edits: readonly Edit[]): readonly string[] {
  const lines: string[] = []
  let [old, fresh] = [1, 1]
  for (let at = 0; at < edits.length;) {
    const end = hunkEnd(edits, at)
    const hunk = end === null ? [] : edits.slice(Math.max(at, firstChange(edits, at) - CONTEXT), end)
    const skipped = end === null ? edits.length - at : end - hunk.length - at
    old += skipped
    fresh += skipped
    if (end === null) break
    const [removed, added] = [hunk.filter(({ mark }) => mark !== '+').length, hunk.filter(({ mark }) => mark !== '-').length]
    lines.push(`@@ -${range(old, removed)} +${range(fresh, added)} @@`, ...hunk.map(({ mark, line }) => mark + line))
    old += removed
    fresh += added
    at = end
  }
  return lines
}

function firstChange(edits: readonly Edit[], from: number): number {
  const found = edits.findIndex(({ mark }, index) => index >= from && mark !== ' ')
  return found === -1 ? edits.length : found
}

/** Behind the last change that has no more than two contexts of equal lines before it; null where nothing changes any more. */
function hunkEnd(edits: readonly Edit[], from: number): number | null {
  let last = firstChange(edits, from)
  if (last === edits.length) return null
  for (
    let next = firstChange(edits, last + 1);
    next < edits.length && next - last - 1 <= 2 * CONTEXT;
    next = firstChange(edits, last + 1)
  )
    last = next
  return Math.min(edits.length, last + 1 + CONTEXT)
}

function range(start: number, count: number): string {
  if (count === 0) return `${start - 1},0`
  return count === 1 ? String(start) : `${start},${count}`
}

function cut(lines: readonly string[]): string {
  let characters = 0
  const shown = lines.slice(0, MAX_LINES).filter((line) => (characters += line.length + 1) <= MAX_CHARACTERS)
  const left = lines.length - shown.length
  return `${[...shown, ...(left === 0 ? [] : [`… ${left} more lines`])].join('\n')}\n`
}
