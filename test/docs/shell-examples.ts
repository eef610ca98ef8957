import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BIN } from '../cli/kiwi-process.ts'
import type { ScriptedProject } from '../cli/scripted-project.ts'
import { read } from './document.ts'

/** A ```sh block of a document, and what the ```text block right behind it says that it prints. */
export interface ShellExample {
  readonly code: string
  /** Null where the document shows no output. `…` stands for any text of a line, and alone for any lines. */
  readonly shown: string | null
}

const EXAMPLE = /^```sh\n([^]*?)^```$(?:\n+```text\n([^]*?)^```$)?/gmu
const SESSION_TIMEOUT_MS = 110_000

/** The examples of a document below each of its `##` headings that has some. */
export function shellExamples(document: string): ReadonlyMap<string, readonly ShellExample[]> {
  const sections = read(document)
    .split(/^## /mu)
    .map((text): [string, readonly ShellExample[]] => [
      text.slice(0, text.indexOf('\n')),
      Array.from(text.matchAll(EXAMPLE), ([, code = '', shown]) => ({ code, shown: shown ?? null })),
    ])
  return new Map(sections.filter(([, examples]) => examples.length > 0))
}

/**
 * Plays the examples of one section one after another in one shell, whose folder is the project and in which `kiwi` is the command line of this checkout.
 * Gives what each wrote to stdout; rejects with what was said where a command fails.
 */
export async function playShell(
  examples: readonly ShellExample[],
  { path, options }: Pick<ScriptedProject, 'path' | 'options'>,
): Promise<readonly string[]> {
  const outputs = mkdtempSync(join(tmpdir(), 'kiwi-shell-'))
  const script = [
    'set -euo pipefail',
    `kiwi() { '${process.execPath}' '${BIN}' "$@"; }`,
    ...examples.map(({ code }, index) => `{\n${code}} >'${join(outputs, String(index))}'`),
  ].join('\n')
  try {
    await run(script, { cwd: path, env: { PATH: process.env['PATH'], ...options.env } })
    return examples.map((_, index) => readFileSync(join(outputs, String(index)), 'utf8'))
  } catch (error) {
    const last = readdirSync(outputs).length - 1
    throw new Error(
      `This example failed:\n${examples[last]?.code}${last < 0 ? '' : readFileSync(join(outputs, String(last)), 'utf8')}`,
      { cause: error },
    )
  } finally {
    rmSync(outputs, { recursive: true, force: true })
  }
}

/** Whether an output is as the document shows it. How wide the columns of a table are depends on what is in them. */
export function isAsShown(output: string, shown: string): boolean {
  const pattern = linesOf(shown).map((line) => (line === '…' ? '(?:.*\\n)*?' : `${patternOf(line)}\\n`))
  return new RegExp(`^${pattern.join('')}$`, 'u').test(
    linesOf(output)
      .map((line) => `${line}\n`)
      .join(''),
  )
}

function patternOf(line: string): string {
  const texts = line.split('…').map((text) => text.split(/ {2,}/u).map(exactly).join(' {2,}'))
  return texts.join('.*')
}

function exactly(text: string): string {
  return RegExp.escape(text)
}

function linesOf(text: string): readonly string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd())
}

function run(script: string, options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('bash', ['-c', script], { ...options, timeout: SESSION_TIMEOUT_MS }, (error, _stdout, stderr) => {
      if (error === null) resolve()
      else reject(new Error(`The shell ended with ${String(error.code)}: ${stderr}`))
    })
  })
}
