import type { Definition } from './item.ts'
import type { Finding } from './source-text.ts'

/** What a parser makes of one file. `definition` is null exactly when there are problems. */
export interface ParsedFile {
  readonly definition: Definition | null
  readonly description: string
  readonly version: string | null
  /** What the file says of its own category, which the folder decides. */
  readonly writtenCategory: string | null
  readonly problems: readonly Finding[]
  readonly warnings: readonly Finding[]
}

/** The outcome of a file that could not be understood at all. */
export function unreadable(problems: readonly Finding[]): ParsedFile {
  return { definition: null, description: '', version: null, writtenCategory: null, problems, warnings: [] }
}
