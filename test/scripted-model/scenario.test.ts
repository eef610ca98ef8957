import assert from 'node:assert/strict'
import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Conversation } from '../../src/scripted-model/conversation.ts'
import { createDecide } from '../../src/scripted-model/rules.ts'
import { loadScenario, parseScenario } from '../../src/scripted-model/scenario-file.ts'
import { startScriptedModel } from '../../src/scripted-model/server.ts'

const talk: Conversation = {
  wire: 'anthropic_messages',
  model: 'm',
  system: 'Be brief.',
  turn: 1,
  messageCount: 1,
  firstUserText: 'Report on the kiwi folder for Ann',
  lastUserText: 'Report on the kiwi folder for Ann',
  tools: [],
  results: [],
  maxTokens: 100,
  stream: false,
}
const listing = {
  path: '.',
  entries: [
    { path: 'a.md', size: 2 },
    { path: 'b|c.ts', size: 40 },
  ],
  count: 2,
}
const listed: Conversation = {
  ...talk,
  turn: 2,
  results: [{ callId: 'c', tool: 'execute', item: 'list_files', isError: false, content: JSON.stringify(listing) }],
}

/** What a scenario of these rules says to a conversation: the text, or why there is none. */
function answerOf(yaml: string, ...conversations: readonly Conversation[]): readonly string[] {
  const decide = createDecide(parseScenario(`scenario: test\nrules:\n${yaml}`, 'test.yaml'))
  return conversations.map((conversation) => {
    const decision = decide(conversation, { seq: 1, body: {} })
    return decision.kind === 'none' ? decision.message : (decision.reply.text ?? '')
  })
}

test('the first rule whose conditions all hold answers', () => {
  const yaml = `
  - { when: { turn: 1, model: other }, reply: { text: wrong model } }
  - { when: { turn: { from: 2 } }, reply: { text: later } }
  - { when: { user_contains: KIWI, system_contains: brief }, reply: { text: right } }`
  assert.deepEqual(answerOf(yaml, talk, listed), ['right', 'later'])
})

test('a rule can be for the threads of one directive', () => {
  const yaml = `
  - { when: { directive: survey }, reply: { text: survey } }
  - { reply: { text: other } }`
  const survey = { ...talk, firstUserText: '<directive name="survey" version="1.0.0">\n</directive>' }
  const quoted = { ...talk, firstUserText: 'Run <directive name="survey">' }
  assert.deepEqual(answerOf(yaml, survey, quoted), ['survey', 'other'])
})

test('a pattern matches the whole text, and each * is any text', () => {
  const yaml = `
  - { when: { user_matches: "report on * for bob" }, reply: { text: Bob } }
  - { when: { user_matches: "*kiwi*for ann" }, reply: { text: Ann } }`
  assert.deepEqual(answerOf(yaml, talk), ['Ann'])
})

test('a pattern of many stars over a long text is answered at once', () => {
  const stars = `${'*a'.repeat(200)}*b`
  const text = 'a'.repeat(100_000)
  assert.match(
    answerOf(`  - { when: { user_matches: "${stars}" }, reply: { text: yes } }`, { ...talk, lastUserText: text })[0] ?? '',
    /No rule/,
  )
})

test('a rule is used as often as it says, then the next one is', () => {
  assert.deepEqual(answerOf('  - { times: 2, reply: { text: a } }\n  - { reply: { text: b } }', talk, talk, talk), [
    'a',
    'a',
    'b',
  ])
})

test('a result is found by its tool and by the item that execute ran', () => {
  const yaml = '  - { when: { last_result: list_files }, reply: { text: "{{ results.execute.count }}" } }'
  assert.deepEqual(answerOf(yaml, listed), ['1'])
})

test('templates fill in figures of the conversation', () => {
  const entries = 'results.list_files.last.entries'
  const text = `{{ length(${entries}) }} files, {{ sum(${entries}, 'size') }} bytes, first {{ ${entries}.0.path }}, {{ nth(where(${entries}, 'size', 40), 9).path }}`
  assert.deepEqual(answerOf(`  - { reply: { text: "${text}" } }`, listed), ['2 files, 42 bytes, first a.md, b|c.ts'])
})

test('a table escapes what would break it', () => {
  const yaml = "  - { reply: { text: \"{{ table(results.list_files.last.entries, 'File=path', 'Bytes=size') }}\" } }"
  assert.deepEqual(answerOf(yaml, listed), ['| File | Bytes |\n| --- | --- |\n| a.md | 2 |\n| b\\|c.ts | 40 |'])
})

test("a lone expression keeps its type, and a meta-tool's envelope is taken off", () => {
  const content = JSON.stringify({ success: true, item_type: 'tool', item_id: 'list_files', result: listing })
  const yaml = '  - { reply: { tool_calls: [ { name: read, arguments: { list: "{{ results.list_files.last.entries }}" } } ] } }'
  const decide = createDecide(parseScenario(`scenario: test\nrules:\n${yaml}`, 'test.yaml'))
  const decision = decide({ ...listed, results: listed.results.map((result) => ({ ...result, content })) }, { seq: 1, body: {} })
  assert.deepEqual(decision.kind === 'answer' && decision.reply.tool_calls?.[0]?.arguments, { list: listing.entries })
})

test('a path that leads nowhere says where it ended and what was there', () => {
  const [missing] = answerOf('  - { name: report, reply: { text: "{{ results.read_file.last.size }}" } }', listed)
  const [field] = answerOf('  - { name: report, reply: { text: "{{ results.list_files.last.files }}" } }', listed)
  assert.match(missing ?? '', /rule "report" cannot be filled in: No result of "read_file".*there are results of: list_files/)
  assert.match(field ?? '', /results\.list_files\.last has no "files"; it is \{"path"/)
})

test('prototype members cannot be reached', () => {
  assert.match(
    answerOf('  - { reply: { text: "{{ results.list_files.last.constructor }}" } }', listed)[0] ?? '',
    /has no "constructor"/,
  )
})

test('a hole in the scenario tells the turn, the text and the rule to add', () => {
  const [message] = answerOf('  - { when: { turn: 9 }, reply: { text: x } }', listed)
  assert.match(
    message ?? '',
    /No rule of the scenario "test" matches this request \(turn 2, .*last result of list_files\)\. Add a rule/,
  )
})

const bad: readonly { readonly name: string; readonly yaml: string; readonly error: RegExp }[] = [
  { name: 'broken YAML', yaml: 'scenario: x\nrules:\n  - {', error: /bad\.yaml:3:\d+: not valid YAML/ },
  { name: 'a list', yaml: '- a', error: /bad\.yaml:1:1: a scenario must be a map\. Begin with/ },
  { name: 'no rules', yaml: 'scenario: x', error: /`rules` must be a list of at least one rule/ },
  {
    name: 'an unknown field',
    yaml: 'rules:\n  - reply:\n      txt: hi',
    error: /bad\.yaml:3:12: `rules\.0\.reply\.txt` is not a field here\. Use one of reasoning, text/,
  },
  {
    name: 'an unknown fault',
    yaml: 'rules:\n  - fault: { kind: explode }',
    error: /bad\.yaml:2:\d+: `rules\.0\.fault\.kind` "explode" is not a fault\. Use one of status/,
  },
  {
    name: 'a wrong type',
    yaml: 'rules:\n  - reply: { delay_ms: soon }',
    error: /`rules\.0\.reply\.delay_ms` must be a whole number of at least 0, got "soon"/,
  },
  {
    name: 'a bad expression',
    yaml: 'rules:\n  - reply: { text: "{{ nope(1) }}" }',
    error: /There is no function "nope"; use one of length/,
  },
  { name: 'a rule that does nothing', yaml: 'rules:\n  - when: { turn: 1 }', error: /has neither `reply` nor `fault`/ },
]

for (const { name, yaml, error } of bad) {
  test(`a scenario file with ${name} is refused with file, line and what to write`, () => {
    assert.throws(() => parseScenario(yaml, 'bad.yaml'), error)
  })
}

test('every scenario that is shipped or shown can be loaded', async () => {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const files = await Array.fromAsync(glob('{system,examples}/scenarios/*.yaml', { cwd: root }))
  assert.ok(files.length >= 2, `found only ${files.join(', ')}`)
  for (const file of files) assert.equal(typeof (await loadScenario(join(root, file))), 'object')
})

async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'scenario-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('a module can be a scenario, and one without a function is refused', async (context) => {
  const folder = await temporaryFolder(context)
  await writeFile(join(folder, 'good.mjs'), 'export default ({ turn }) => ({ reply: { text: `turn ${turn}` } })')
  await writeFile(join(folder, 'bad.mjs'), 'export const scenario = 1')
  const good = createDecide(await loadScenario(join(folder, 'good.mjs')))(talk, { seq: 1, body: {} })
  assert.equal(good.kind === 'answer' && good.reply.text, 'turn 1')
  await assert.rejects(loadScenario(join(folder, 'bad.mjs')), /bad\.mjs: has no default export that is a function/)
})

test('every request is logged in memory and as a JSON line, without keys and content', async (context) => {
  const folder = await temporaryFolder(context)
  const logPath = join(folder, 'requests.jsonl')
  const model = await startScriptedModel({
    scenario: { name: 's', rules: [{ name: 'only', when: {}, reply: { text: 'hi' } }] },
    logPath,
  })
  const ask = (body: unknown, headers: Readonly<Record<string, string>> = { authorization: 'Bearer sk-secret' }) =>
    fetch(`${model.openaiBaseUrl}/chat/completions`, { method: 'POST', headers, body: JSON.stringify(body) }).then((answer) =>
      answer.text(),
    )
  await ask({ model: 'm', messages: [{ role: 'user', content: 'private words' }] })
  await ask({ model: 'm' }, {})
  const inMemory = model.requests()
  await model.close()
  const text = await readFile(logPath, 'utf8')
  assert.deepEqual(
    inMemory.map(({ seq, status, auth, rule }) => [seq, status, auth, rule]),
    [
      [1, 200, true, 'only'],
      [2, 401, false, null],
    ],
  )
  assert.deepEqual(
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    inMemory,
  )
  assert.equal(/sk-secret|private words/.test(text), false)
})

test('close ends streams that are still open', async () => {
  const model = await startScriptedModel({
    scenario: () => ({ reply: { text: 'x' }, fault: { kind: 'stall', after_events: 1 } }),
  })
  const response = await fetch(`${model.openaiBaseUrl}/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer k' },
    body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'x' }] }),
  })
  await model.close()
  await assert.rejects(response.text())
})
