import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import type { Kiwi } from '../../../src/compose.ts'
import { createKiwi } from '../../../src/compose.ts'
import type { ThreadsClient } from '../../../src/threads/threads-client.ts'
import { BIN } from '../../cli/kiwi-process.ts'
import { createScriptedProject, type ScriptedProject } from '../../cli/scripted-project.ts'
import { startServe, type ServedKiwi } from '../../cli/served-kiwi.ts'
import { FORMS, PAGE, SCENARIO, approve, askingThread, furnish, page, showForms, waited } from './asking-fixture.ts'

const ERAS = { legacy: { mode: 'legacy' }, modern: { mode: { pin: '2026-07-28' } } } as const

let project: ScriptedProject
let served: ServedKiwi
let kiwi: Kiwi
let threads: ThreadsClient

before(async () => {
  project = await createScriptedProject(SCENARIO)
  await furnish(project)
  served = await startServe(project.options)
  kiwi = createKiwi({ projectPath: project.path, env: { ...project.options.env } })
  threads = kiwi.threads(project.path)
})
after(async () => {
  await kiwi.close()
  await served.stop()
  await project.close()
})

const TRANSPORTS = {
  stdio: () =>
    new StdioClientTransport({
      command: process.execPath,
      args: [BIN, 'mcp'],
      cwd: project.path,
      env: { ...project.options.env },
      stderr: 'ignore',
    }),
  http: () => new StreamableHTTPClientTransport(new URL(served.url), { authProvider: { token: async () => served.token } }),
}

for (const door of ['stdio', 'http'] as const)
  for (const era of ['legacy', 'modern'] as const)
    describe(`over ${door} in the ${era} era`, () => {
      let client: Client

      before(async () => {
        client = new Client({ name: 'kiwi-test', version: '1.0.0' }, { ...FORMS, versionNegotiation: ERAS[era] })
        await client.connect(TRANSPORTS[door]())
      })
      after(() => client.close())

      test('the user agrees, and the thread goes on in the same call', async () => {
        const { threadId, question } = await askingThread(project, threads, { message: `page yes_${door}_${era}` })
        const forms = showForms(client, () => approve({ reason: 'fine' }))
        const answer = await waited(client, threadId)
        assert.deepEqual([answer.threads[0]?.status, forms.length], ['completed', 1])
        assert.equal(page(project, `yes_${door}_${era}`), PAGE)
        const { answer: given } = threads.approvals.get(question.approval_id)
        const by = { kind: 'operator', door: door === 'http' ? 'http' : 'mcp', client: 'kiwi-test' }
        assert.deepEqual([given?.by, given?.reason], [by, 'fine'])
      })

      test('the user denies, and the thread is told why', async () => {
        const { threadId } = await askingThread(project, threads, { message: `page no_${door}_${era}` })
        showForms(client, () => approve({ decision: 'deny', reason: 'too early' }))
        const answer = await waited(client, threadId)
        assert.match(JSON.stringify(answer.threads[0]?.result), /PERMISSION_DENIED.*too early/u)
        assert.equal(page(project, `no_${door}_${era}`), null)
      })
    })

for (const door of ['stdio', 'http'] as const)
  test(`over ${door} an answer of the older era counts when it comes after its call was answered`, async () => {
    const client = new Client({ name: 'kiwi-test', version: '1.0.0' }, { ...FORMS, versionNegotiation: ERAS.legacy })
    await client.connect(TRANSPORTS[door]())
    const { threadId } = await askingThread(project, threads, { message: `page later_${door}` })
    const decided = Promise.withResolvers<ReturnType<typeof approve>>()
    showForms(client, () => decided.promise)
    const early = await waited(client, threadId, { timeout_seconds: 0.5 })
    assert.equal(early.asked[0]?.status, 'pending')
    decided.resolve(approve())
    assert.equal((await waited(client, threadId)).threads[0]?.status, 'completed')
    assert.equal(page(project, `later_${door}`), PAGE)
    await client.close()
  })
