import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Review } from '../../src/kernel/contract.ts'
import { createTestProject, errorOf, valueOf } from './project.ts'

const TOOL = (requires: string): string =>
  `tool_id: mine\ntool_type: runtime\nversion: 1.0.0\nexecutor_id: list_files\ndescription: x\nrequires: [${requires}]\n`

/** Has something against tools that require `bad.thing`, and keeps what it was asked. */
function createReview(): { readonly review: Review; readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    async review({ state, id, file }) {
      asked.push(id)
      const bad =
        state.kind === 'available' && state.definition.kind === 'tool' && state.definition.requires.includes('bad.thing')
      const problem = { file, line: 6, column: 12, reason: 'no module declares `bad.thing`', fix: 'Remove it.' }
      return { problems: bad ? [problem] : [], warnings: [] }
    },
  }
}

test('an item that the review rejects is not signed, and its problems are told', async () => {
  await using project = await createTestProject({ review: createReview().review })
  await project.item('tools/mine.yaml', TOOL(''))
  valueOf(await project.execute('mine'))
  await project.write('.ai/tools/mine.yaml', TOOL('bad.thing'))
  const error = errorOf(await project.kernel.sign({ item_type: 'tool', item_id: 'mine' }))
  assert.equal(error.code, 'ITEM_UNAVAILABLE')
  assert.deepEqual(error['problems'], ['.ai/tools/mine.yaml:6:12: no module declares `bad.thing`. Remove it.'])
})

test('a signed item that the review rejects does not execute, alone or as a link', async () => {
  const { review } = createReview()
  let isAsked = false
  await using project = await createTestProject({
    review: async (item) => (isAsked ? await review(item) : { problems: [], warnings: [] }),
  })
  await project.item('tools/mine.yaml', TOOL('bad.thing'))
  await project.item('tools/outer.yaml', TOOL('').replace('mine', 'outer').replace('list_files', 'mine'))
  isAsked = true
  // Another capability is another vocabulary.
  await project.item(
    'tools/mail.ts',
    "export const __tool_type__ = 'capability'\nexport const __version__ = '1.0.0'\nexport const CAPABILITIES = { 'mail.send': 'x' } as const\nexport const DESCRIPTION = 'x'\n",
  )
  assert.equal(errorOf(await project.execute('mine')).code, 'ITEM_UNAVAILABLE')
  const error = errorOf(await project.execute('outer'))
  assert.deepEqual([error.code, error.cause?.code, error.failed_at?.tool_id], ['TOOL_CHAIN_FAILED', 'ITEM_UNAVAILABLE', 'mine'])
  await assert.rejects(project.kernel.require('tool', 'mine'), { code: 'ITEM_UNAVAILABLE' })
})

test('load shows an item that the review rejects as unavailable, and problems lists it', async () => {
  await using project = await createTestProject({ review: createReview().review })
  await project.write('.ai/tools/mine.yaml', TOOL('bad.thing'))
  const loaded = (await project.kernel.load({ item_type: 'tool', item_id: 'mine' })) as Record<string, unknown>
  assert.deepEqual(
    [loaded['success'], loaded['available'], loaded['problems']],
    [true, false, ['.ai/tools/mine.yaml:6:12: no module declares `bad.thing`. Remove it.']],
  )
  assert.deepEqual(
    (await project.kernel.problems()).filter(({ file }) => file.startsWith('.ai')).map(({ file, reason }) => [file, reason]),
    [['.ai/tools/mine.yaml', 'no module declares `bad.thing`']],
  )
})

test('a definition is reviewed once for as long as nothing changes', async () => {
  const { review, asked } = createReview()
  await using project = await createTestProject({ review })
  for (let round = 0; round < 3; round += 1) valueOf(await project.execute('list_files'))
  assert.deepEqual(asked.toSorted(), ['list_files', 'node'])
})

test('an item is not used when its review fails', async () => {
  await using project = await createTestProject({
    review: async () => {
      throw new Error('no vocabulary')
    },
  })
  assert.equal(errorOf(await project.execute('list_files')).message, 'no vocabulary')
})

test('what the review only warns of is told when the item is signed and loaded, and the item runs', async () => {
  const warning = { file: '.ai/tools/mine.yaml', line: 2, column: 1, reason: 'an old name', fix: 'Use the new one.' }
  await using project = await createTestProject({
    review: async ({ id }) => ({ problems: [], warnings: id === 'mine' ? [warning] : [] }),
  })
  await project.item('tools/mine.yaml', TOOL(''))
  valueOf(await project.execute('mine'))
  const loaded = (await project.kernel.load({ item_type: 'tool', item_id: 'mine' })) as Record<string, unknown>
  const signed = (await project.kernel.sign({ item_type: 'tool', item_id: 'mine' })) as Record<string, unknown>
  const told = ['.ai/tools/mine.yaml:2:1: an old name. Use the new one.']
  assert.deepEqual([loaded['available'], loaded['warnings'], signed['warnings']], [true, told, told])
})
