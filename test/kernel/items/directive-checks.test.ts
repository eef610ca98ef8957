import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ParsedFile } from '../../../src/kernel/items/parsed-file.ts'
import { directiveFile } from './item-spaces.ts'
import { assertRefused, parseDirectiveText, parseText } from './parse.ts'

/** The line after the opening tag of what is given. */
const LINE = 12
const SHA256 = 'AB'.repeat(32)

const criteriaFile = (criteria: string): string =>
  directiveFile('d', { body: `<success_criteria>\n${criteria}\n</success_criteria>\n<process/>` })
const withCriteria = (criteria: string): ParsedFile => parseText('directive', 'd.md', criteriaFile(criteria))
const outputsFile = (outputs: string): string => directiveFile('d', { body: `<outputs>\n${outputs}\n</outputs>\n<process/>` })
const withOutputs = (outputs: string): ParsedFile => parseText('directive', 'd.md', outputsFile(outputs))

test('checks stand among the criteria and are told as lines too', () => {
  const { checks, successCriteria } = parseDirectiveText(
    'd.md',
    criteriaFile(`
- All files are read.
<check type="command">npm test</check>
<criterion>The report is short.</criterion>
<check type="command" timeout_seconds="600">
  npm run build &amp;&amp;
  test -s dist/index.js
</check>
* The author agrees.
<check type="file" path="reports/x.md"/>
<check type="file" path="./data/a.bin" sha256="${SHA256}"/>
<check type="schema"> {"type": "object", "required": ["summary"]} </check>`),
  )
  assert.deepEqual(checks, [
    { type: 'command', command: 'npm test', timeoutSeconds: 60 },
    { type: 'command', command: 'npm run build &&\ntest -s dist/index.js', timeoutSeconds: 600 },
    { type: 'file', path: 'reports/x.md', sha256: null },
    { type: 'file', path: './data/a.bin', sha256: SHA256.toLowerCase() },
    { type: 'schema', schema: { type: 'object', required: ['summary'] } },
  ])
  assert.deepEqual(successCriteria, [
    'All files are read.',
    'the command `npm test` succeeds (it is run when you finish)',
    'The report is short.',
    'the command `npm run build && test -s dist/index.js` succeeds (it is run when you finish)',
    'The author agrees.',
    'the file `reports/x.md` exists (it is looked for when you finish)',
    `the file \`./data/a.bin\` has the SHA-256 ${SHA256.toLowerCase()} (it is read when you finish)`,
    'the result is JSON that matches this JSON Schema: {"type":"object","required":["summary"]}',
  ])
})

test('criteria without checks have none', () => {
  assert.deepEqual(parseDirectiveText('d.md', directiveFile('d')).checks, [])
  assert.deepEqual(parseDirectiveText('d.md', criteriaFile('One.\n\n  - Two.')).successCriteria, ['One.', 'Two.'])
})

for (const [check, reason] of [
  ['<check>npm test</check>', /`<check>` without a type/],
  ['<check type="comand">npm test</check>', /`comand` is not a type of check/],
  ['<check type="command"> </check>', /a check without a command/],
  ['<check type="command"><b>npm</b> test</check>', /`<b>` does not belong/],
  [`<check type="command">${'x'.repeat(5000)}</check>`, /a command of 5000 characters/],
  ['<check type="command" path="x">npm test</check>', /no attribute `path`/],
  ['<check type="command" timeout_seconds="0">npm test</check>', /from 1 to 600, got "0"/],
  ['<check type="command" timeout_seconds="601">npm test</check>', /from 1 to 600/],
  ['<check type="command" timeout_seconds="1.5">npm test</check>', /from 1 to 600/],
  ['<check type="command" timeout_seconds="">npm test</check>', /from 1 to 600/],
  ['<check type="file"/>', /a check without a path/],
  ['<check type="file" path="."/>', /a check without a path/],
  ['<check type="file" path="/etc/passwd"/>', /it is absolute/],
  ['<check type="file" path="a/../../b"/>', /"\.\." is not allowed/],
  ['<check type="file" path="a">b</check>', /has text, which nothing reads/],
  ['<check type="file" path="a" sha256="abc"/>', /must be 64 hexadecimal digits/],
  ['<check type="file" path="a" timeout_seconds="5"/>', /no attribute `timeout_seconds`/],
  ['<check type="schema"/>', /not valid JSON/],
  ['<check type="schema">{"type": "objekt"}</check>', /the JSON Schema cannot be used: .*type must be equal/],
  ['<check type="schema">[]</check>', /must be a JSON object, got a list/],
  ['<check type="schema">{}</check><check type="schema">{}</check>', /a second check of type `schema`/],
  ['<check type="file" path="a"/>'.repeat(17), /more than 16 checks/],
] as const) {
  test(`${check.slice(0, 80)} is refused`, () => {
    assertRefused(withCriteria(check), LINE, reason)
  })
}

test('outputs may have a schema besides their names', () => {
  const { outputs, outputsSchema } = parseDirectiveText(
    'd.md',
    outputsFile('<output name="report">the report</output>\n<schema>{"type": "object", "required": ["report"]}</schema>'),
  )
  assert.deepEqual(
    outputs.map(({ name }) => name),
    ['report'],
  )
  assert.deepEqual(outputsSchema, { type: 'object', required: ['report'] })
  assert.equal(parseDirectiveText('d.md', directiveFile('d')).outputsSchema, null)
  assert.equal(parseDirectiveText('d.md', outputsFile('<output name="schema">text</output>')).outputsSchema, null)
})

test('an outputs schema that is broken, given twice or not of an object is refused', () => {
  assertRefused(withOutputs('<schema>{"type": "array"}</schema>'), LINE, /must describe an object/)
  assertRefused(
    withOutputs('<schema>{"type": "object"}</schema><schema>{"type": "object"}</schema>'),
    LINE,
    /a second `<schema>`/,
  )
  assertRefused(withOutputs('<schema type="object">{"type": "object"}</schema>'), LINE, /no attribute `type`/)
  assertRefused(withOutputs('<schema>type: object</schema>'), LINE, /not valid JSON/)
})

test('broken JSON is refused where it breaks', () => {
  const broken = withOutputs('<schema>{\n  "type": "object",\n  "a": "&lt;" "b"\n}</schema>')
  assertRefused(broken, LINE + 2, /not valid JSON/)
  assert.equal(broken.problems[0]?.column, 15)
})

// MAX_CHARACTERS, MAX_DEPTH and MAX_VALUES of readSchema, and its look at names, are what stops these.
test('threat row 23: schemas that are huge, deep or named like a prototype are refused before they are compiled', () => {
  const nested = (depth: number): string => `${'{"not": '.repeat(depth)}{}${'}'.repeat(depth)}`
  assertRefused(withOutputs(`<schema>{"x": "${'x'.repeat(70_000)}"}</schema>`), LINE, /the limit is 65536/)
  assertRefused(withOutputs(`<schema>${nested(5000)}</schema>`), LINE, /nested deeper than 32/)
  assertRefused(withOutputs(`<schema>{"enum": [${'1,'.repeat(2000)}1]}</schema>`), LINE, /more than 1000 values/)
  assertRefused(
    withOutputs('<schema>{"type": "object", "properties": {"__proto__": {}}}</schema>'),
    LINE,
    /`__proto__` is not allowed/,
  )
  assertRefused(withOutputs('<schema>{"maximum": 1e999}</schema>'), LINE, /a number that is too large/)
})
