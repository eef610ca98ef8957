import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createReview } from '../../../src/capabilities/permissions/review.ts'
import type { SuccessCheck } from '../../../src/kernel/items/item.ts'
import { SHIPPED, directiveWith } from './shipped-vocabulary.ts'

const review = createReview({ vocabulary: () => Promise.resolve(SHIPPED) })

const COMMAND: SuccessCheck = { type: 'command', command: 'npm test', timeoutSeconds: 60 }
const FILE: SuccessCheck = { type: 'file', path: 'reports/x.md', sha256: null }
const EXECUTE = '<execute resource="kiwi-mcp" action="execute"/>'
const SHELL = '<execute resource="shell"/>'

async function warningsOf(permissions: string, ...checks: readonly SuccessCheck[]): Promise<readonly string[]> {
  const definition = { ...directiveWith(permissions), checks }
  const { problems, warnings } = await review({
    type: 'directive',
    id: 'worker',
    space: 'project',
    category: '',
    description: '',
    version: null,
    path: '/nowhere/worker.md',
    file: '.ai/directives/worker.md',
    state: { kind: 'available', definition },
    warnings: [],
  })
  assert.deepEqual(problems, [])
  return warnings.map(({ file, reason, fix }) => `${file}: ${reason}. ${fix}`)
}

test('a check that runs a command is warned of where the thread may not run one', async () => {
  assert.deepEqual(await warningsOf(`${EXECUTE}\n<execute resource="tool" id="bash"/>`, COMMAND), [
    '.ai/directives/worker.md: the check of the command `npm test` can never pass without process.exec. Add to the permissions: `<execute resource="shell"/>`.',
  ])
  assert.deepEqual(await warningsOf(`${EXECUTE}\n<execute resource="tool" id="read_*"/>\n${SHELL}`, COMMAND), [
    '.ai/directives/worker.md: the check of the command `npm test` can never pass without tool.execute of bash. Add to the permissions: `<execute resource="tool" id="bash"/>`.',
  ])
})

test('a check of a file is warned of where the thread may not look at it', async () => {
  const [warning] = await warningsOf('<read resource="filesystem" path="src/**"/>', FILE)
  assert.match(warning ?? '', /without kiwi-mcp\.execute and tool\.execute of file_info and fs\.read of reports\/x\.md/)
  assert.match(warning ?? '', /`<read resource="filesystem" path="reports\/x\.md"\/>`/)
})

test('checks that the permissions allow are not warned of, and neither is one of the result', async () => {
  const shell = `${EXECUTE}\n${SHELL}\n<execute resource="tool" id="ba*"/>`
  assert.deepEqual(await warningsOf(shell, COMMAND), [])
  const files = `${EXECUTE}\n<execute resource="tool" id="file_info"/>\n<write resource="filesystem" path="reports/**"/>`
  assert.deepEqual(await warningsOf(files, FILE), [])
  assert.deepEqual(await warningsOf('', { type: 'schema', schema: {} }), [])
})

test('several checks that lack the same are warned of once', async () => {
  assert.equal((await warningsOf('', COMMAND, { ...COMMAND, command: 'npm run lint' }, FILE)).length, 2)
})
