/** One line of Markdown with what it is for fenced code. `text` has no line end; `next` is where the next line starts. */
export interface MarkdownLine {
  readonly offset: number
  readonly next: number
  readonly text: string
  readonly role: 'prose' | 'open' | 'code' | 'close'
  /** First word after the fence mark of the block this line opens, is in, or closes; empty for prose. */
  readonly language: string
}

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\n]*)$/

/** Walks Markdown line by line, following fenced code by CommonMark's rules for fences that are not inside a list or quote. */
export function* markdownLines(source: string, start: number = 0): Generator<MarkdownLine, void> {
  let fence: { readonly mark: string; readonly language: string } | null = null
  for (let offset = start; offset < source.length;) {
    const feed = source.indexOf('\n', offset)
    const next = feed === -1 ? source.length : feed + 1
    const end = feed === -1 ? source.length : source[feed - 1] === '\r' ? feed - 1 : feed
    const text = source.slice(offset, Math.max(end, offset))
    const [, mark = '', info = ''] = FENCE.exec(text) ?? []
    let role: MarkdownLine['role'] = fence === null ? 'prose' : 'code'
    let language: string = fence?.language ?? ''
    if (fence === null && mark !== '' && !(mark.startsWith('`') && info.includes('`'))) {
      role = 'open'
      language = info.trim().split(/[\s{]/, 1)[0] ?? ''
      fence = { mark, language }
    } else if (fence !== null && mark.startsWith(fence.mark) && info.trim() === '') {
      role = 'close'
      fence = null
    }
    yield { offset, next, text, role, language }
    offset = next
  }
}
