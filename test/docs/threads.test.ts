import assert from 'node:assert/strict'
import { cpSync, readdirSync, writeFileSync } from 'node:fs'
import { join, parse } from 'node:path'
import { after, before, test } from 'node:test'
import { createKiwi, type ItemType } from '../../src/index.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'
import { fences } from './document.ts'
import { runProgram } from './program-examples.ts'
import { isAsShown, playShell, shellExamples } from './shell-examples.ts'

const DOCUMENT = 'docs/threads.md'
const FOLDER = join(import.meta.dirname, 'threads-project')

let project: ScriptedProject

before(async () => {
  project = await createScriptedProject(join(FOLDER, 'scenario.yaml'))
  const items = join(project.path, '.ai')
  cpSync(join(FOLDER, 'directives'), join(items, 'directives'), { recursive: true })
  const [directive = ''] = fences(DOCUMENT, 'xml')
  writeFileSync(join(items, 'directives/survey.md'), `\`\`\`xml\n${directive}\`\`\`\n`)
  const [tool = ''] = fences(DOCUMENT, 'ts')
  writeFileSync(join(items, 'tools/send_report.ts'), tool)
  const names = readdirSync(join(items, 'directives')).filter((name) => parse(name).ext === '.md')
  await signAll([['tool', 'send_report'], ...names.map((name): [ItemType, string] => ['directive', parse(name).name])])
})
after(() => project.close())

for (const [section, examples] of shellExamples(DOCUMENT)) {
  test(`the commands of docs/threads.md below "${section}" do and print what is shown`, async () => {
    const outputs = await playShell(examples, project)
    for (const [index, { code, shown }] of examples.entries()) {
      const output = outputs[index] ?? ''
      if (shown !== null && !isAsShown(output, shown)) assert.equal(output, shown, code)
    }
  })
}

test('the program that docs/threads.md shows answers the question of a thread', async () => {
  const [, program = ''] = fences(DOCUMENT, 'ts')
  const output = await runProgram(program, project)
  assert.match(
    output,
    /^asked: Which of the two titles\?\ncompleted \{ text: 'The first one, as I was told\.' \}\n\{ kind: 'operator', door: 'library' \}\n$/u,
  )
})

/** In one process, because there are many. */
async function signAll(items: readonly (readonly [ItemType, string])[]): Promise<void> {
  const { path, options } = project
  const kiwi = createKiwi({ projectPath: path, env: options.env ?? {} })
  try {
    for (const [type, id] of items) {
      const { success } = await kiwi.kernel(path).sign({ item_type: type, item_id: id })
      assert(success, id)
    }
  } finally {
    await kiwi.close()
  }
}
