import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Kiwi } from '../../compose.ts'
import type { ItemType } from '../../kernel/items/item.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXAMPLE_FILES, IGNORED_FOLDER, PROJECT_FOLDERS } from '../example-files.ts'
import { EXIT, exitCodeOfError, type ExitCode } from '../exit-codes.ts'
import { signConfig } from './sign.ts'

const EXAMPLE_ITEMS: readonly { readonly type: ItemType; readonly id: string; readonly path: string }[] = [
  { type: 'tool', id: 'count_words', path: '.ai/tools/example/count_words.ts' },
  { type: 'directive', id: 'hello_kiwi', path: '.ai/directives/example/hello_kiwi.md' },
]

/**
 * `kiwi init`: makes the current folder (or `-C DIR`) a project. Never overwrites, and signs only files that are to the byte what it
 * writes, so that running it in a cloned project trusts nothing of that project, and running it again finishes what was cut short.
 */
export async function init(context: CliContext): Promise<ExitCode> {
  const project = context.projectPath
  for (const folder of PROJECT_FOLDERS) mkdirSync(join(project, folder), { recursive: true })
  const created = EXAMPLE_FILES.filter(({ path, text }) => createFile(join(project, path), text)).map(({ path }) => path)
  const ignored = ignoreThreads(project)
  const own = EXAMPLE_FILES.filter(({ path, text }) => readFileSync(join(project, path), 'utf8') === text).map(({ path }) => path)
  const signed = own.includes('.ai/config.yaml') ? [await signConfig(context)] : []
  const failure = await withKiwi(context, (kiwi) => signItems(kiwi, project, { own, signed }))
  if (failure !== null) {
    context.output.failure(failure)
    return exitCodeOfError(failure.error.code)
  }
  const next = ['kiwi model --scenario .ai/scenarios/hello_kiwi.yaml', 'kiwi run hello_kiwi']
  context.output.data({ success: true, created, signed, ignored, next }, () => initText(created, ignored))
  return EXIT.ok
}

/** False when the file is there already; the check and the creation are one system call. */
function createFile(path: string, text: string): boolean {
  mkdirSync(dirname(path), { recursive: true })
  try {
    writeFileSync(path, text, { flag: 'wx' })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** Adds the line to `.gitignore` unless the folder is ignored there already. */
function ignoreThreads(project: string): boolean {
  const path = join(project, '.gitignore')
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  if (text.split('\n').some((line) => ['.ai/threads', '.ai/threads/', '/.ai/threads', '/.ai/threads/'].includes(line.trim())))
    return false
  appendFileSync(path, `${text === '' || text.endsWith('\n') ? '' : '\n'}${IGNORED_FOLDER}\n`)
  return true
}

/** Null when all were signed; else the first refusal. Adds the signed files to `signed`. */
async function signItems(
  kiwi: Kiwi,
  project: string,
  { own, signed }: { readonly own: readonly string[]; readonly signed: string[] },
): Promise<(Awaited<ReturnType<ReturnType<Kiwi['kernel']>['sign']>> & { readonly success: false }) | null> {
  for (const { type, id, path } of EXAMPLE_ITEMS.filter((item) => own.includes(item.path))) {
    const result = await kiwi.kernel(project).sign({ item_type: type, item_id: id, source: 'project' })
    if (!result.success) return result
    signed.push(path)
  }
  return null
}

function initText(created: readonly string[], ignored: boolean): string {
  const lines = [...created.map((path) => `  ${path}`), ...(ignored ? [`  .gitignore: ${IGNORED_FOLDER}`] : [])]
  const written =
    lines.length === 0
      ? ['Everything was there already; nothing was changed.']
      : ['Wrote, and signed what can be signed:', ...lines]
  return [
    ...written,
    '',
    'Next, with ANTHROPIC_API_KEY set:',
    '  kiwi run hello_kiwi "Count the words of this sentence."',
    'or without a key, with a scripted model (it prints the lines to export):',
    '  kiwi model --scenario .ai/scenarios/hello_kiwi.yaml',
  ].join('\n')
}
