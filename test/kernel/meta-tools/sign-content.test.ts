import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTestProject, errorOf } from '../project.ts'

const TOOL =
  'tool_id: mine\ntool_type: http\nversion: 1.0.0\nexecutor_id: http_client\ndescription: x\nconfig: { url: "http://a.example/" }\n'
const REQUEST = { item_type: 'tool', item_id: 'mine' } as const

test('a check says what would be signed, and writes nothing', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/mine.yaml', TOOL)
  const checked = await project.kernel.sign(REQUEST, { __check_only: true })
  const before = await readFile(join(project.root, '.ai/tools/mine.yaml'), 'utf8')
  const signed = await project.kernel.sign(REQUEST)
  assert.ok(checked.success && signed.success)
  assert.deepEqual([before, checked['sha256'], checked['file']], [TOOL, signed['sha256'], '.ai/tools/mine.yaml'])
})

test('only content of the hash that was given is signed; a signature line is no part of it', async () => {
  await using project = await createTestProject()
  await project.write('.ai/tools/mine.yaml', TOOL)
  const signed = await project.kernel.sign(REQUEST)
  assert.ok(signed.success)
  const again = await project.kernel.sign({ ...REQUEST, parameters: { sha256: String(signed['sha256']) } })
  const other = await project.kernel.sign({ ...REQUEST, parameters: { sha256: 'a'.repeat(64) } })
  assert.deepEqual([again.success, errorOf(other).code], [true, 'ITEM_CHANGED'])
  assert.equal(errorOf(await project.kernel.sign({ ...REQUEST, parameters: { sha256: 'x' } })).code, 'INVALID_REQUEST')
})
