import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The text of a file of the repository. */
export function read(document: string): string {
  return readFileSync(fileURLToPath(new URL(`../../${document}`, import.meta.url)), 'utf8')
}

/** The code of a document's fences of one language, in order; `mark` is longer where a fence holds fences. */
export function fences(document: string, language: string, mark = '```'): readonly string[] {
  return Array.from(read(document).matchAll(new RegExp(`^${mark}${language}\\n([^]*?)^${mark}$`, 'gmu')), ([, code = '']) => code)
}
