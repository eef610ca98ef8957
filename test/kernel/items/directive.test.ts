import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directiveGaps } from '../../../src/kernel/items/directive-gaps.ts'
import { COMPLETE_METADATA, directiveFile } from './item-spaces.ts'
import { assertRefused, parseDirectiveText, parseText } from './parse.ts'

const FULL = `# Review

Some words for people.

\`\`\`xml
<directive name="review" version="2.1.0">
<metadata>
  <description>Reviews
    a change</description>
  <category>quality</category>
  <author>someone</author>
  <model tier="reasoning" fallback="fast"/>
  <cost max_cost_usd="0.25" on_exceeded="escalate">
    <max_turns>12</max_turns>
    <context_warning_threshold>0.5</context_warning_threshold>
    <on_context_full>handoff</on_context_full>
    <max_duration_seconds>90.5</max_duration_seconds>
    <max_spawns>0</max_spawns>
    <max_live_spawns>4</max_live_spawns><max_handoffs>2</max_handoffs>
  </cost>
  <permissions>
    <read resource="filesystem" path="src/**"/>
    <orchestration enabled="true"><allow_categories>quality</allow_categories></orchestration>
  </permissions>
  <hooks><hook><when>event.name == "on_error"</when><directive>notify</directive></hook></hooks>
  <relationships><related>other</related></relationships>
</metadata>
<context>Know the rules.</context>
<inputs>
  <input name="path" type="string" required="true">what to review</input>
  <input name="depth" type="integer" default="3"/>
  <input name="options" type="object" default='{"a": [1]}'/>
</inputs>
<process>
  <step name="look">
    <description>Read the change.</description>
    <action>
      Use search.
        Then load.
    </action>
    <verify kind="strict"><check>It compiles</check><check>n <= 10 &amp; m <
 5</check></verify>
  </step>
  <step name="tell">Write it down.</step>
</process>
<success_criteria><criterion>All read</criterion><criterion>All told</criterion></success_criteria>
<outputs><output name="report" type="string">the report</output><summary>one line</summary></outputs>
</directive>
\`\`\`
`

test('a directive gives every part of its definition', () => {
  const directive = parseDirectiveText('review.md', FULL)
  assert.equal(directive.version, '2.1.0')
  assert.equal(directive.description, 'Reviews a change')
  assert.equal(directive.author, 'someone')
  assert.deepEqual(directive.model, { tier: 'reasoning', id: null, fallback: 'fast' })
  assert.equal(directive.context, 'Know the rules.')
  assert.deepEqual(directive.successCriteria, ['All read', 'All told'])
  assert.deepEqual(directive.inputs, [
    { name: 'path', type: 'string', required: true, description: 'what to review' },
    { name: 'depth', type: 'integer', required: false, description: '', default: 3 },
    { name: 'options', type: 'object', required: false, description: '', default: { a: [1] } },
  ])
  assert.deepEqual(
    directive.outputs.map(({ name, description }) => [name, description]),
    [
      ['report', 'the report'],
      ['summary', 'one line'],
    ],
  )
})

test('limits may be attributes and elements of one cost', () => {
  assert.deepEqual(parseDirectiveText('review.md', FULL).cost, {
    max_turns: 12,
    on_exceeded: 'escalate',
    context_warning_threshold: 0.5,
    on_context_full: 'handoff',
    max_cost_usd: 0.25,
    max_duration_seconds: 90.5,
    max_spawns: 0,
    max_live_spawns: 4,
    max_handoffs: 2,
  })
})

test('permissions are kept as trees with their lines', () => {
  const { permissions } = parseDirectiveText('review.md', FULL)
  assert.deepEqual(permissions?.[0], {
    tag: 'read',
    attributes: { resource: 'filesystem', path: 'src/**' },
    children: [],
    text: '',
    line: 22,
  })
  assert.equal(permissions?.[1]?.children[0]?.text, 'quality')
  assert.equal(permissions?.[1]?.children[0]?.line, 23)
})

test('the text of a step keeps its lines and its structure, and a less-than sign before a digit, a blank or an equals sign', () => {
  const [look, tell] = parseDirectiveText('review.md', FULL).steps
  const lines = [
    'Read the change.',
    'Use search.',
    '  Then load.',
    'verify (kind: strict):',
    '  check: It compiles',
    '  check:',
    '    n <= 10 & m <',
    '    5',
  ]
  assert.equal(look?.text, lines.join('\n'))
  assert.equal(tell?.text, 'Write it down.')
})

test('a model may be named by text, by tier or by id, and in one way only', () => {
  const model = (xml: string) => directiveFile('d', { metadata: COMPLETE_METADATA.replace(/<model[^\n]*/, xml) })
  assert.deepEqual(parseDirectiveText('d.md', model('<model>fast</model>')).model, { tier: 'fast', id: null, fallback: null })
  assert.deepEqual(parseDirectiveText('d.md', model('<model id="claude-x"/>')).model, {
    tier: null,
    id: 'claude-x',
    fallback: null,
  })
  assertRefused(parseText('directive', 'd.md', model('<model id="x" tier="fast"/>')), 7, /both a tier and an id/)
  assertRefused(parseText('directive', 'd.md', model('<model/>')), 7, /names no model/)
  assertRefused(parseText('directive', 'd.md', model('<model teir="fast"/>')), 7, /has no attribute `teir`/)
})

const withCost = (xml: string) =>
  parseText('directive', 'd.md', directiveFile('d', { metadata: `<description>x</description>\n${xml}` }))

test('the short form of the limits becomes the long one and stops by default', () => {
  const xml = '<limits><turns>5</turns><tokens>1000</tokens><spawns>2</spawns><duration>60</duration><spend>0.5</spend></limits>'
  const { definition } = withCost(xml)
  assert(definition?.kind === 'directive')
  assert.deepEqual(definition.cost, {
    max_turns: 5,
    max_total_tokens: 1000,
    max_spawns: 2,
    max_duration_seconds: 60,
    max_cost_usd: 0.5,
    on_exceeded: 'stop',
    context_warning_threshold: 0.8,
    on_context_full: 'stop',
  })
  const attributes = withCost('<limits turns="5" spend="0.5"/>').definition
  assert(attributes?.kind === 'directive')
  assert.equal(attributes.cost?.max_cost_usd, 0.5)
})

test('both forms of the limits at once, a limit twice and an unknown limit are refused', () => {
  const cost = '<cost><max_turns>1</max_turns><on_exceeded>stop</on_exceeded></cost>'
  assertRefused(withCost(`${cost}\n<limits turns="1"/>`), 8, /both `<cost>` and `<limits>`/)
  assertRefused(withCost(cost.replace('<cost>', '<cost max_turns="2">')), 7, /`max_turns` is given twice/)
  assertRefused(withCost(cost.replace('</cost>', '\n<max_turn>3</max_turn></cost>')), 8, /has no `max_turn`/)
  assertRefused(withCost(`${cost}\n${cost}`), 8, /a second `<cost>`/)
})

test('numbers that are negative, not finite, not whole or no numbers are refused with their line', () => {
  const cost = (name: string, value: string) =>
    withCost(`<cost max_turns="1" on_exceeded="stop">\n<${name}>${value}</${name}></cost>`)
  for (const name of ['max_live_spawns', 'max_handoffs']) assertRefused(cost(name, '1.5'), 8, /must be a whole number/)
  for (const value of ['-1', '1.5', 'NaN', 'Infinity', '1e3', '0x10', '', 'ten', '99999999999999999999']) {
    assertRefused(cost('max_input_tokens', value), 8, /`max_input_tokens` must be a whole number/)
  }
  for (const value of ['-0.1', 'NaN', '$5', '1e2']) assertRefused(cost('max_cost_usd', value), 8, /US dollars/)
  for (const value of ['1.5', '-1', '80']) assertRefused(cost('context_warning_threshold', value), 8, /from 0 to 1/)
  assertRefused(withCost('<cost max_turns="1" on_exceeded="explode"/>'), 7, /`stop`, `warn` or `escalate`/)
})

test('a cost without turns or without what happens then is refused', () => {
  assertRefused(withCost('<cost on_exceeded="stop"/>'), 7, /needs `max_turns`/)
  assertRefused(withCost('<cost max_turns="1"/>'), 7, /needs `on_exceeded`/)
  assertRefused(withCost('<limits spend="1"/>'), 7, /needs `turns`/)
})

test('a directive without cost, permissions, model or version can be read, and its warnings show the lines to add', () => {
  const file = directiveFile('d', { metadata: '<description>x</description>' }).replace(' version="1.0.0"', '')
  const { definition, warnings } = parseText('directive', 'd.md', file)
  assert(definition?.kind === 'directive')
  assert.deepEqual(
    directiveGaps(definition).map(({ field }) => field),
    ['version', 'model', 'permissions', 'cost'],
  )
  assert.equal(warnings.length, 4)
  assert(warnings.every(({ line, fix }) => line === 4 && fix.includes('<')))
})

test('empty permissions are no gap and grant nothing', () => {
  const metadata = COMPLETE_METADATA.replace(/<permissions>.*<\/permissions>/, '<permissions/>')
  const directive = parseDirectiveText('d.md', directiveFile('d', { metadata }))
  assert.deepEqual(directive.permissions, [])
  assert.deepEqual(directiveGaps(directive), [])
})

test('unknown tags of the directive and of its metadata are refused with the nearest name', () => {
  const { problems } = parseText('directive', 'd.md', directiveFile('d', { metadata: '<descripton>x</descripton>' }))
  assert.deepEqual([problems[0]?.line, problems[0]?.fix], [6, 'Did you mean `description`?'])
  assertRefused(parseText('directive', 'd.md', directiveFile('d', { body: '<proces/>' })), 11, /`<proces>` does not belong/)
})

test('a name that is not the stem of the file is refused', () => {
  assertRefused(parseText('directive', 'other.md', directiveFile('d')), 4, /named `d` but the file `other`/)
})

test('inputs with wrong types, defaults, flags or names are refused', () => {
  const input = (xml: string) =>
    parseText('directive', 'd.md', directiveFile('d', { body: `<inputs>\n${xml}\n</inputs>\n<process/>` }))
  assertRefused(input('<input name="a" type="text"/>'), 12, /`text` is not a type/)
  assertRefused(input('<input name="a" type="integer" default="1.5"/>'), 12, /not of type integer/)
  assertRefused(input('<input name="a" type="object" default=\'{"__proto__": 1}\'/>'), 12, /not of type object/)
  assertRefused(input('<input name="a" required="yes"/>'), 12, /must be "true" or "false"/)
  assertRefused(input('<input name="__auth"/>'), 12, /`__auth` is not a name/)
  assertRefused(input('<input name="a"/><input name="a"/>'), 12, /two inputs are named/)
  assertRefused(input('<inptu name="a"/>'), 12, /`<inptu>` does not belong/)
})

test('steps without a name and text outside of steps are refused', () => {
  const body = (xml: string) => parseText('directive', 'd.md', directiveFile('d', { body: xml }))
  assertRefused(body('<process><step>x</step></process>'), 11, /without a name/)
  assertRefused(body('<process>Just do it.</process>'), 11, /text directly in `<process>`/)
  assertRefused(body('Lost words.'), 4, /text directly in `<directive>`/)
})

test('files with CRLF line ends, a byte-order mark and a signature line are read with the lines of the file', () => {
  const file = `\ufeff<!-- kiwi:signed:x -->\r\n${directiveFile('d').replaceAll('\n', '\r\n')}`
  assert.equal(parseDirectiveText('d.md', file).steps[0]?.text, 'Look.')
  assertRefused(parseText('directive', 'd.md', file.replace('<model', '<modle')), 8, /`<modle>`/)
})
