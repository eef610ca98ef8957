import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COMPLETE_METADATA, directiveFile, toolYaml } from '../items/item-spaces.ts'
import { createTestProject } from '../project.ts'

const DIRECTIVE = directiveFile('d', {
  metadata: `${COMPLETE_METADATA}
<hooks><hook><when>event.name == "on_error"</when><directive>repair</directive><inputs><input name="code">\${event.code}</input></inputs></hook></hooks>`,
  body: `<success_criteria><check type="command">npm test</check></success_criteria>
<process/>
<outputs><schema>{"type": "object"}</schema></outputs>`,
})

test('load shows the hooks of a directive with their conditions as written, and its checks', async () => {
  await using project = await createTestProject()
  await project.write('.ai/directives/d.md', DIRECTIVE)
  const { definition } = (await project.kernel.load({ item_type: 'directive', item_id: 'd' })) as Record<string, unknown>
  assert.partialDeepStrictEqual(definition, {
    hooks: [{ when: 'event.name == "on_error"', directive: 'repair', inputs: { code: '${event.code}' }, line: 10 }],
    checks: [{ type: 'command', command: 'npm test', timeoutSeconds: 60 }],
    outputsSchema: { type: 'object' },
  })
})

test('executing a directive shows the lines of its checks and the schema of its outputs', async () => {
  await using project = await createTestProject()
  await project.item('directives/d.md', DIRECTIVE)
  const { directive } = (await project.kernel.execute({ item_type: 'directive', item_id: 'd' })) as Record<string, unknown>
  assert.partialDeepStrictEqual(directive, {
    success_criteria: ['the command `npm test` succeeds (it is run when you finish)'],
    outputs_schema: { type: 'object' },
  })
})

test('load shows that a tool wants approval', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/t.yaml', toolYaml('t', 'approval: required\n'))
  const { definition } = (await project.kernel.load({ item_type: 'tool', item_id: 't' })) as Record<string, unknown>
  assert.partialDeepStrictEqual(definition, { approval: 'required' })
})
