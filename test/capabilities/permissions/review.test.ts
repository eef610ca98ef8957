import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createReview } from '../../../src/capabilities/permissions/review.ts'
import type { Definition, Item, ItemProblem, Space } from '../../../src/kernel/items/item.ts'
import { parseKnowledgeText, parseTool } from '../../kernel/items/parse.ts'
import { FIRST_LINE, SHIPPED, directiveWith } from './shipped-vocabulary.ts'

const review = createReview({ vocabulary: () => Promise.resolve(SHIPPED) })

const NOTHING = { problems: [], warnings: [] }

function itemOf(definition: Definition, space: Space = 'project'): Item {
  const base = { id: 'x', space, category: '', description: '', version: null, path: '/nowhere/x', warnings: [] }
  return { ...base, type: definition.kind, file: '.ai/x', state: { kind: 'available', definition } }
}

async function reviewTool(requires: string, primitive = false): Promise<readonly ItemProblem[]> {
  const kind = primitive
    ? 'tool_type: primitive\nconfig_schema: {type: object, properties: {command: {type: string}}}'
    : 'tool_type: runtime\nexecutor_id: node\nparameters: [{name: path, type: string}, {name: host, type: string}, {name: port, type: integer}]'
  const tool = parseTool('x.yaml', `tool_id: x\n${kind}\nversion: 1.0.0\ndescription: X\nrequires: ${requires}\n`)
  return (await review(itemOf(tool))).problems
}

test('a directive is reviewed with its file and the line of the entry', async () => {
  const { problems } = await review(
    itemOf(directiveWith('<execute resource="shell"/>\n<execute resource="registry" action="write"/>')),
  )
  assert.deepEqual(
    problems.map(({ file, line, column }) => ({ file, line, column })),
    [{ file: '.ai/x', line: FIRST_LINE + 1, column: 1 }],
  )
  assert.match(problems[0]?.reason ?? '', /for shipped directives only/)
})

test('a shipped directive may ask for what is system-only', async () => {
  const { problems } = await review(itemOf(directiveWith('<execute resource="registry" action="write"/>'), 'system'))
  assert.deepEqual(problems, [])
})

test('an item that requires and declares nothing is reviewed without looking for capabilities', async () => {
  const careless = createReview({ vocabulary: () => Promise.reject(new Error('asked')) })
  assert.deepEqual(await careless(itemOf(parseKnowledgeText('x.md', '---\ntitle: X\n---\nText.\n'))), NOTHING)
  assert.deepEqual(await careless({ ...itemOf(directiveWith('')), state: { kind: 'unavailable', problems: [] } }), NOTHING)
})

for (const requires of [
  '[fs.read, net.http, process.exec, db.query, mcp.supabase, mcp.connect, registry.write]',
  '[{cap: fs.read, scope: {path: "{path}/**"}}]',
  '[{cap: fs.write, scope: {path: "reports/**"}}]',
  '[{cap: net.http, scope: {host: "{host}"}}]',
  '[{cap: net.http, scope: {host: "{host}:{port}"}}]',
  '[{cap: net.http, scope: {host: "*.example.com:8443"}}]',
  '[{cap: mcp.connect, scope: {server: github}}]',
  '[{cap: tool.execute, scope: {id: "read_*"}}]',
]) {
  test(`a tool may require ${requires}`, async () => {
    assert.deepEqual(await reviewTool(requires), [])
  })
}

for (const { requires, reason, fix } of [
  { requires: '[fs.reed]', reason: /names `fs\.reed`, which no capability module declares/, fix: /`fs\.read`/ },
  { requires: '[fs.*]', reason: /which no capability module declares/, fix: /./ },
  { requires: '[{cap: process.exec, scope: {path: a}}]', reason: /`process\.exec` has no scope/, fix: /- process\.exec/ },
  { requires: '[{cap: fs.read, scope: {host: a}}]', reason: /key `path` alone, found `host`/, fix: /scope: \{path/ },
  { requires: '[{cap: fs.read, scope: {}}]', reason: /found nothing/, fix: /path/ },
  { requires: '[{cap: fs.read, scope: {path: a, host: b}}]', reason: /found `path`, `host`/, fix: /path/ },
  { requires: '[{cap: fs.read, scope: {path: "{path}/../a"}}]', reason: /character 3: `\.\.`/, fix: /./ },
  { requires: '[{cap: fs.read, scope: {path: "/etc/{path}"}}]', reason: /absolute/, fix: /fs\.absolute/ },
  { requires: '[{cap: fs.read, scope: {path: "{pth}"}}]', reason: /`\{pth\}`, which is no parameter/, fix: /`path`/ },
  { requires: '[{cap: fs.read, scope: {path: "${HOME}/a"}}]', reason: /has a `\$\{…\}`/, fix: /environment/ },
  { requires: '[{cap: net.http, scope: {host: "https://a"}}]', reason: /not a URL/, fix: /./ },
  { requires: '[mcp.-a]', reason: /character 1/, fix: /./ },
]) {
  test(`a tool that requires ${requires} cannot be used`, async () => {
    const problems = await reviewTool(requires)
    assert.equal(problems.length, 1)
    assert.match(problems[0]?.reason ?? '', reason)
    assert.match(problems[0]?.fix ?? '', fix)
    assert.equal(problems[0]?.line, 1)
  })
}

test('the scope of a primitive names what its configuration has', async () => {
  assert.deepEqual(await reviewTool('[{cap: tool.execute, scope: {id: "{command}"}}]', true), [])
  const [problem] = await reviewTool('[{cap: tool.execute, scope: {id: "{path}"}}]', true)
  assert.match(problem?.reason ?? '', /no parameter/)
})

test('a directive that names tools and may not call execute is a warning with the line to add', async () => {
  const { problems, warnings } = await review(itemOf(directiveWith('<execute resource="tool" id="read_file"/>')))
  assert.deepEqual([problems, warnings.length], [[], 1])
  assert.match(warnings[0]?.fix ?? '', /resource="kiwi-mcp" action="execute"/)
})
