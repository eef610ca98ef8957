import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kiwi } from './kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from './scripted-project.ts'

const DIRECTIVE = `\`\`\`xml
<directive name="unpriced" version="1.0.0">
  <metadata>
    <description>Say something</description>
    <category>test</category>
    <author>test</author>
    <model tier="fast"/>
    <cost><max_turns>2</max_turns><on_exceeded>stop</on_exceeded></cost>
    <permissions></permissions>
  </metadata>
  <process><step name="say">Say something.</step></process>
</directive>
\`\`\`
`

let project: ScriptedProject
before(async () => {
  project = await createScriptedProject(() => ({ reply: { text: 'Said.' } }))
  mkdirSync(join(project.path, '.ai', 'directives', 'test'), { recursive: true })
  writeFileSync(join(project.path, '.ai', 'directives', 'test', 'unpriced.md'), DIRECTIVE)
  const signed = await project.run('sign', 'directive', 'unpriced')
  assert.equal(signed.code, 0, signed.stderr)
})
after(() => project.close())

test('ps and show say whether the budget of a thread is hard or, without a known price, advisory', async () => {
  const unknown = { ...project.options, env: { ...project.options.env, KIWI_MODEL: 'a-model-without-a-price' } }
  const ran = [await project.run('run', 'unpriced'), await kiwi(['run', 'unpriced'], unknown)]
  assert.deepEqual(
    ran.map(({ code }) => code),
    [0, 0],
    String(ran[1]?.stderr),
  )
  const listed = JSON.parse((await project.run('ps', '--all', '-o', 'json')).stdout) as { thread_id: string; guarantee: string }[]
  assert.deepEqual(
    listed.map(({ guarantee }) => guarantee),
    ['advisory', 'hard'],
  )
  for (const { thread_id: id, guarantee } of listed) {
    assert.equal(JSON.parse((await project.run('show', id, '-o', 'json')).stdout).guarantee, guarantee)
    assert.match((await project.run('show', id)).stdout, new RegExp(`^budget .*, ${guarantee}$`, 'mu'))
  }
})
