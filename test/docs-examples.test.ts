import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import type { JsonObject } from '../src/json.ts'
import { parseItem } from '../src/kernel/items/item-file.ts'
import { startScriptedModel } from '../src/scripted-model/server.ts'
import { BIN } from './cli/kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from './cli/scripted-project.ts'
import { directiveExamples, findingsOf } from './directive-examples.ts'
import { fences, read } from './docs/document.ts'
import { runProgram } from './docs/program-examples.ts'
import { valueOf } from './kernel/expressions/expressions.ts'

let project: ScriptedProject

before(async () => {
  project = await createScriptedProject()
})
after(() => project.close())

test('the harness that docs/library.md shows runs as it stands', async (t) => {
  const model = await startScriptedModel({
    scenario: ({ turn }) =>
      turn === 1
        ? { reply: { tool_calls: [{ name: 'count_words', arguments: { text: 'How many words has this sentence?' } }] } }
        : { reply: { text: 'Six.' } },
  })
  t.after(() => model.close())
  const [harness = ''] = fences('docs/library.md', 'ts')
  assert.match(await runProgram(harness, project, { ANTHROPIC_BASE_URL: model.anthropicBaseUrl }), /^done Six\. \{/u)
})

test('the program that docs/library.md shows spawns a thread and gets its result', async () => {
  const program = fences('docs/library.md', 'ts')[1] ?? ''
  assert.match(await runProgram(program, project), /^completed done \{\s*text: 'Scripted answer/u)
})

test('the harness of one’s own that docs/library.md shows is signed, spawned and answers as the commands behind it say', async (t) => {
  const counting = await createScriptedProject(({ turn }) =>
    turn === 1
      ? { reply: { tool_calls: [{ name: 'count_words', arguments: { text: 'How many words has this sentence?' } }] } }
      : { reply: { text: 'Six.' } },
  )
  t.after(() => counting.close())
  writeFileSync(join(counting.path, '.ai', 'tools', 'word_counter.ts'), fences('docs/library.md', 'ts')[2] ?? '')
  const [commands = ''] = fences('docs/library.md', 'sh')
  const kiwi = `kiwi() { "${process.execPath}" "${BIN}" "$@"; }\nset -e\n`
  const options = { cwd: counting.path, env: { PATH: process.env['PATH'], ...counting.options.env }, timeout: 60_000 }
  const { stdout } = await promisify(execFile)('/bin/bash', ['-c', kiwi + commands], options)
  assert.match(stdout, /"end_reason": ?"done"[^]*"text": ?"Six\."/u)
})

test('the scenario that docs/scenarios.md shows answers after its fault', async (t) => {
  const path = join(project.path, 'scenario.yaml')
  writeFileSync(path, fences('docs/scenarios.md', 'yaml')[0] ?? '')
  const model = await startScriptedModel({ scenario: path })
  t.after(() => model.close())
  const ask = (): Promise<Response> =>
    fetch(`${model.openaiBaseUrl}/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer scripted', 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'scripted-model', messages: [{ role: 'user', content: 'Count.' }] }),
    })
  assert.equal((await ask()).status, 529)
  const answered = await ask()
  assert.equal(answered.status, 200)
  assert.match(await answered.text(), /list_files/u)
})

test('the items that help shows are valid files', () => {
  const [yaml = ''] = fences('system/knowledge/help/tools.md', 'yaml')
  const [code = ''] = fences('system/knowledge/help/tools.md', 'ts')
  const [directive = ''] = fences('system/knowledge/help/directives.md', 'markdown', '````')
  const parsed = [
    parseItem('tool', 'get_weather.yaml', Buffer.from(yaml)),
    parseItem('tool', 'word_count.ts', Buffer.from(code)),
    parseItem('directive', 'count_files.md', Buffer.from(directive)),
  ]
  assert.deepEqual(
    parsed.map(({ problems }) => problems),
    [[], [], []],
  )
})

test('the examples of docs/directives.md are read without a warning, or with the errors and warnings that are shown', async () => {
  const examples = directiveExamples(read('docs/directives.md'))
  assert(examples.length > 15)
  for (const { mark, xml, shown } of examples) {
    const { problems, warnings } = await findingsOf(xml)
    const expected = { problems: mark === 'invalid' ? shown : '', warnings: mark === 'warned' ? shown : '' }
    assert.deepEqual({ problems: problems.join('\n'), warnings: warnings.join('\n') }, expected, xml)
    assert(['', 'invalid', 'warned'].includes(mark), mark)
  }
})

test('the conditions of docs/directives.md have the values that are shown', () => {
  const document = read('docs/directives.md')
  // The block is ours, and an object.
  const scope = JSON.parse(fences('docs/directives.md', 'json')[0] ?? '') as JsonObject
  const rows = Array.from(document.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| [^|]+ \|$/gmu), ([, text = '', value = '']) => ({
    text,
    value,
  }))
  assert(rows.length > 10)
  for (const { text, value } of rows) assert.equal(JSON.stringify(valueOf(text, scope)), value, text)
})
