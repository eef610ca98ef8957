import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ItemStore } from '../../../src/kernel/items/item-store.ts'
import { createItemStore } from '../../../src/kernel/items/item-store.ts'
import { findItem } from '../../../src/kernel/chain/trusted-items.ts'
import { createTestProject, errorOf, type TestProject } from '../project.ts'

const PAYLOADS = [
  '',
  '.',
  '..',
  '../tools/x',
  '../../../../etc/passwd',
  '/etc/passwd',
  'a/b',
  'a\\b',
  '..\\..\\x',
  'C:\\x',
  'C:x',
  '\\\\?\\C:\\x',
  '\\\\server\\share',
  'file:///etc/passwd',
  '%2e%2e%2fx',
  '%252e%252e%252fx',
  '..%c0%afx',
  '\u00c0\u00ae\u00c0\u00ae\u00c0\u00afx',
  '\u2025/x',
  '\uff0e\uff0e\uff0fx',
  'x\u0000.yaml',
  'x\n',
  ' x',
  'x ',
  '~/x',
  '-rf',
  '.hidden',
  'e\u0301',
  'x\u202e',
  'x'.repeat(129),
]
const VERBS = ['load', 'execute', 'sign'] as const
const TYPES = ['directive', 'tool', 'knowledge'] as const

async function refusals(project: TestProject, payload: string): Promise<readonly string[]> {
  const codes: string[] = []
  for (const verb of VERBS)
    for (const type of TYPES) codes.push(errorOf(await project.kernel[verb]({ item_type: type, item_id: payload })).code)
  return codes
}

for (const payload of PAYLOADS) {
  // Fails without `ITEM_ID` in trusted-items.ts: the id is then looked for (ITEM_NOT_FOUND).
  test(`threat row 35: the item id ${JSON.stringify(payload.slice(0, 40))} is refused by every verb before it is looked for`, async () => {
    await using project = await createTestProject()
    assert.deepEqual(new Set(await refusals(project, payload)), new Set(['INVALID_REQUEST']))
  })
}

test('threat row 35: an id is refused before the store is asked', async () => {
  await using project = await createTestProject()
  const real = createItemStore({
    spaces: { project: project.root, user: project.userSpace, system: project.root },
    projectPath: project.root,
  })
  let isAsked = false
  const store: ItemStore = {
    ...real,
    async find(type, id, source) {
      isAsked = true
      return await real.find(type, id, source)
    },
  }
  await assert.rejects(findItem(store, 'tool', '../x'), { code: 'INVALID_REQUEST' })
  assert.equal(isAsked, false)
  real.close()
})

test('threat row 35: an executor that is a path leads nowhere', async () => {
  await using project = await createTestProject()
  await project.write('x.yaml', 'tool_id: x\n')
  await project.write(
    '.ai/tools/outer.yaml',
    'tool_id: outer\ntool_type: x\nversion: 1.0.0\nexecutor_id: ../../x\ndescription: x\n',
  )
  const signed = await project.kernel.sign({ item_type: 'tool', item_id: 'outer' })
  const result = signed.success ? await project.execute('outer') : signed
  assert.match(errorOf(result).code, /^(?:ITEM_UNAVAILABLE|TOOL_CHAIN_FAILED)$/)
})
