import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKiwi } from '../../../src/compose.ts'

test('looking at threads in a folder that has none leaves nothing in it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-lazy-'))
  const kiwi = createKiwi({ projectPath: folder, env: { USER_SPACE: join(folder, 'user') } })
  t.after(async () => {
    await kiwi.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const threads = kiwi.threads(folder)
  assert.deepEqual(threads.list(), [])
  assert.throws(() => threads.get('nobody'), { code: 'THREAD_NOT_FOUND' })
  await assert.rejects(threads.signal('nobody', { id: 's', kind: 'pause', body: {} }), { code: 'THREAD_NOT_FOUND' })
  assert.deepEqual(threads.approvals.list(), [])
  assert.throws(() => threads.approvals.get('nothing'), { code: 'APPROVAL_NOT_FOUND' })
  assert.throws(() => threads.newestOf('nobody'), { code: 'THREAD_NOT_FOUND' })
  const answer = { decision: 'deny', reason: '', by: { kind: 'operator', door: 'library' }, facts: {} } as const
  await assert.rejects(threads.approvals.answer('nothing', answer), { code: 'APPROVAL_NOT_FOUND' })
  await kiwi.kernel(folder).search({ query: 'files' })
  assert.equal(existsSync(join(folder, '.ai')), false)
})
