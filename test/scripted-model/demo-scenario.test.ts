import assert from 'node:assert/strict'
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createBaseHarness, createModelCaller } from '../../src/harness/base/base-harness.ts'
import type { BaseHarnessOptions, RunResult, ToolCall } from '../../src/harness/base/base-harness.ts'
import { startScriptedModel } from '../../src/scripted-model/server.ts'
import listFiles from '../../system/tools/files/list_files.ts'
import readText from '../../system/tools/files/read_file.ts'
import writeText from '../../system/tools/files/write_file.ts'

const SCENARIO = fileURLToPath(new URL('../../system/scenarios/repository_report.yaml', import.meta.url))

async function projectOf(context: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'demo-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'src'))
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text)
  return folder
}

/** The meta-tools over the real file tools: what a thread does, without a thread. */
function metaTools(projectPath: string): NonNullable<BaseHarnessOptions['callTool']> {
  return async (call) => ({ content: JSON.stringify(await executeItem(call, projectPath)), is_error: false })
}

async function executeItem({ name, arguments: input }: ToolCall, projectPath: string): Promise<unknown> {
  if (name !== 'execute') return { success: true, query: input['query'] ?? null }
  const given: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(input['parameters']))
  const path = String(given['path'])
  const itemId = typeof input['item_id'] === 'string' ? input['item_id'] : ''
  // What a thread's gate says to a call beyond its directive.
  if (itemId === 'bash' || (itemId === 'write_file' && !path.startsWith('reports/')))
    return { success: false, error: { code: 'PERMISSION_DENIED', message: `${itemId} is not permitted` } }
  const result = await runFileTool(itemId, { ...given, path }, projectPath)
  return { success: true, item_type: 'tool', item_id: itemId, result }
}

function runFileTool(
  id: string,
  given: Readonly<Record<string, unknown>> & { path: string },
  projectPath: string,
): Promise<unknown> {
  const { path } = given
  if (id === 'write_file') return writeText({ path, content: String(given['content']) }, { projectPath })
  if (id === 'list_files')
    return listFiles({ path, recursive: given['recursive'] === true, limit: Number(given['limit'] ?? 500) }, { projectPath })
  const limit = given['limit_lines'] === undefined ? {} : { limit_lines: Number(given['limit_lines']) }
  return readText({ path, offset_line: 1, max_bytes: Number(given['max_bytes'] ?? 60_000), ...limit }, { projectPath })
}

async function runDemo(
  context: TestContext,
  wire: 'anthropic_messages' | 'openai_chat',
  projectPath: string,
): Promise<RunResult> {
  const model = await startScriptedModel({ scenario: SCENARIO })
  const caller = createModelCaller({
    wire,
    baseUrl: wire === 'openai_chat' ? model.openaiBaseUrl : model.url,
    apiKey: 'scripted',
  })
  context.after(async () => {
    caller.close()
    await model.close()
  })
  const tools = ['search', 'load', 'execute', 'help'].map((name) => ({
    name,
    description: name,
    input_schema: { type: 'object' },
  }))
  const harness = createBaseHarness({
    wire,
    model: 'scripted-model',
    tools,
    callModel: caller.callModel,
    callTool: metaTools(projectPath),
    limits: { maxTurns: 20 },
  })
  return harness.run('Execute this directive.')
}

const files = {
  '.hidden': 'KEY=1\n',
  'a.txt': 'one\ntwo\n',
  'b.md': '# B\n',
  'c.json': '{}\n',
  'd.ts': 'export {}\n',
  'e.txt': 'never read\n',
  'src/f.ts': 'x\n',
}

for (const wire of ['anthropic_messages', 'openai_chat'] as const) {
  test(`${wire}: the demo writes a report with the true count, bytes and lines, in at least ten turns`, async (context) => {
    const project = await projectOf(context, files)
    const result = await runDemo(context, wire, project)
    const report = await readFile(join(project, 'reports', 'kiwi-report.md'), 'utf8')
    assert.deepEqual([result.end, result.turns], ['done', 12])
    assert.match(report, /- Files: 7\n- Bytes: 44\n/)
    assert.match(report, /- Files read: 4\n- Bytes of the files read: 25\n/)
    assert.match(report, /\| a\.txt \| 8 \| 2 \|\n\| b\.md \| 4 \| 1 \|\n\| c\.json \| 3 \| 1 \|\n\| d\.ts \| 10 \| 1 \|\n/)
    assert.match(result.text, new RegExp(`reports/kiwi-report\\.md \\(${Buffer.byteLength(report)} bytes\\)`))
  })
}

test('a project with a single file is reported as truly', async (context) => {
  const project = await projectOf(context, { 'only.txt': 'x\n' })
  const result = await runDemo(context, 'anthropic_messages', project)
  const report = await readFile(join(project, 'reports', 'kiwi-report.md'), 'utf8')
  assert.equal(result.end, 'done')
  assert.match(report, /- Files: 1\n- Bytes: 2\n[\s\S]*- Files read: 1\n/)
})
