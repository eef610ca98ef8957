import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluate } from '../../../src/kernel/expressions/evaluate.ts'
import { COST_NAMES } from '../../../src/kernel/items/directive-cost.ts'
import type { ParsedFile } from '../../../src/kernel/items/parsed-file.ts'
import { COMPLETE_METADATA, directiveFile } from './item-spaces.ts'
import { assertRefused, parseDirectiveText, parseText } from './parse.ts'

/** The line on which what is given stands, in the file. */
const LINE = 10

const fileWith = (hooks: string): string => directiveFile('d', { metadata: `${COMPLETE_METADATA}\n${hooks}` })
const withHooks = (hooks: string): ParsedFile => parseText('directive', 'd.md', fileWith(hooks))
const withHook = (hook: string): ParsedFile => withHooks(`<hooks><hook>${hook}</hook></hooks>`)
const withWhen = (when: string): ParsedFile => withHook(`\n<when>${when}</when><directive>fix</directive>`)

function warningsOf(parsed: ParsedFile): readonly string[] {
  assert.deepEqual(parsed.problems, [])
  return parsed.warnings.map(({ line, column, reason, fix }) => `${line}:${column}: ${reason}. ${fix}`)
}

function placeOf(parsed: ParsedFile): string {
  return `${parsed.problems[0]?.line}:${parsed.problems[0]?.column}`
}

test('a hook has a condition, a directive and inputs, in the order of the file', () => {
  const { hooks } = parseDirectiveText(
    'd.md',
    fileWith(`<hooks>
  <hook>
    <when> event.name == "on_limit" and cost.spent_usd <= 1 </when>
    <directive>ask_for_more</directive>
    <inputs>
      <input name="spent">\${cost.spent_usd}</input>
      <input name="note">
        It stopped: \${event.code}
          in \${directive.name}
      </input>
    </inputs>
  </hook>
  <hook><when><![CDATA[event.name == "on_error" and cost.turns<5]]></when><directive>repair</directive></hook>
</hooks>`),
  )
  assert.deepEqual(
    hooks.map(({ source, directive, inputs, line }) => ({ source, directive, inputs, line })),
    [
      {
        source: 'event.name == "on_limit" and cost.spent_usd <= 1',
        directive: 'ask_for_more',
        inputs: { spent: '${cost.spent_usd}', note: 'It stopped: ${event.code}\n  in ${directive.name}' },
        line: LINE + 1,
      },
      { source: 'event.name == "on_error" and cost.turns<5', directive: 'repair', inputs: {}, line: LINE + 12 },
    ],
  )
  const [limit] = hooks
  assert(limit)
  assert.equal(evaluate(limit.when, { event: { name: 'on_limit' }, cost: { spent_usd: 1 } }), true)
})

test('a directive without hooks has none', () => {
  assert.deepEqual(parseDirectiveText('d.md', directiveFile('d')).hooks, [])
  assert.deepEqual(parseDirectiveText('d.md', fileWith('<hooks/>')).hooks, [])
})

test('a broken condition is refused with its line and column in the file', () => {
  assertRefused(withWhen('event.name = "on_error"'), LINE + 1, /`<when>`: the character "=" means nothing here/)
  assert.equal(placeOf(withWhen('event.name = "on_error"')), `${LINE + 1}:18`)
  assert.equal(placeOf(withWhen('\n  event.name and\n  or event.code')), `${LINE + 3}:3`)
  assert.equal(placeOf(withWhen('event.name ==')), `${LINE + 1}:20`)
})

test('places count what the file holds: references, comments, sections and line breaks of two characters', () => {
  assert.equal(placeOf(withWhen('cost.a &lt; 1 ; 2')), `${LINE + 1}:21`)
  assert.equal(placeOf(withWhen('cost.a <!-- > --> ; 2')), `${LINE + 1}:25`)
  assert.equal(placeOf(withWhen('<![CDATA[cost.a < ]]>; 2')), `${LINE + 1}:28`)
  assert.equal(placeOf(withWhen('"&#x1F916;" == ; 2')), `${LINE + 1}:22`)
  assert.equal(placeOf(withWhen('cost.a < 1 and cost.b < 2 ; 2')), `${LINE + 1}:33`)
  const crlf = fileWith('<hooks><hook>\n<when>cost.a <\n  1 ;</when><directive>fix</directive></hook></hooks>').replaceAll(
    '\n',
    '\r\n',
  )
  assert.equal(placeOf(parseText('directive', 'd.md', crlf)), `${LINE + 2}:5`)
})

test('an empty or missing condition or directive is refused', () => {
  assertRefused(withWhen(''), LINE + 1, /an empty expression/)
  assertRefused(withHook('<when/><directive>fix</directive>'), LINE, /an empty expression/)
  assertRefused(withHook('<directive>fix</directive>'), LINE, /without `<when>`/)
  assertRefused(withHook('<when>true</when>'), LINE, /without `<directive>`/)
  assertRefused(withHook('<when>true</when><directive/>'), LINE, /an empty `<directive>`/)
  assertRefused(withHook('<when>true</when><directive>../x</directive>'), LINE, /not the id of a directive/)
})

test('unknown and repeated tags, attributes and loose text are refused', () => {
  assertRefused(withHooks('<hooks><hok/></hooks>'), LINE, /`<hok>` does not belong/)
  assertRefused(withHooks('<hooks>on_error: fix</hooks>'), LINE, /text directly in `<hooks>`/)
  assertRefused(withHooks('<hooks><hook event="on_error"/></hooks>'), LINE, /no attribute `event`/)
  assertRefused(withHook('true'), LINE, /text directly in `<hook>`/)
  assertRefused(withHook('<wen>true</wen>'), LINE, /`<wen>` does not belong/)
  assertRefused(withHook('<when>true<b/></when><directive>fix</directive>'), LINE, /`<b>` does not belong/)
  assertRefused(withHook('<when>true</when><when>true</when><directive>fix</directive>'), LINE, /a second `<when>`/)
})

test('a path that leads to nothing that a hook can read is refused with the nearest name', () => {
  const parsed = withWhen('true and evnt.name == "on_error"')
  assertRefused(parsed, LINE + 1, /`evnt\.name` is nothing that a hook can read/)
  assert.deepEqual([parsed.problems[0]?.column, parsed.problems[0]?.fix], [16, 'Did you mean `event`?'])
  assertRefused(withWhen('name == "on_error"'), LINE + 1, /`name` is nothing/)
})

test('a name of an event that never comes, and an entry that is never there, are warned of', () => {
  assert.deepEqual(warningsOf(withWhen('cost.turns > 1 and ("befor_step" == event.name or event.name != "on_error")')), [
    `${LINE + 1}:43: \`event.name\` is never "befor_step". Did you mean \`before_step\`?`,
  ])
  assert.deepEqual(warningsOf(withWhen('event.nme == "on_error"')), [
    `${LINE + 1}:7: \`event\` has no \`nme\`, so this is always null. Did you mean \`name\`?`,
  ])
  assert.deepEqual(warningsOf(withWhen('event.detail.anything and limits.max_handoffs > 1 and "x" in permissions.granted')), [])
  assert.deepEqual(warningsOf(withWhen('cost.spend_usd > limits.max_cost')), [
    `${LINE + 1}:7: \`cost\` has no \`spend_usd\`, so this is always null. Did you mean \`spent_usd\`?`,
    `${LINE + 1}:24: \`limits\` has no \`max_cost\`, so this is always null. Known names: ${[...COST_NAMES].join(', ')}.`,
  ])
})

test('inputs of a hook have names and placeholders that can be filled', () => {
  const withInput = (input: string): ParsedFile =>
    withHook(`<when>true</when><directive>fix</directive><inputs>\n${input}</inputs>`)
  assertRefused(withInput('<input>x</input>'), LINE + 1, /without a name/)
  assertRefused(withInput('<input name="__auth">x</input>'), LINE + 1, /`__auth` is not a name/)
  assertRefused(withInput('<input name="a">x</input><input name="a">y</input>'), LINE + 1, /two inputs are named/)
  assertRefused(withInput('<input name="a" type="string">x</input>'), LINE + 1, /no attribute `type`/)
  assertRefused(withInput('<inptu name="a">x</inptu>'), LINE + 1, /`<inptu>` does not belong/)
  assertRefused(withInput('<input name="a">${event.code</input>'), LINE + 1, /without a path/)
  assertRefused(withInput('<input name="a">x ${evnt.code}</input>'), LINE + 1, /`evnt\.code` is nothing/)
  assert.equal(placeOf(withInput('<input name="a">x ${evnt.code}</input>')), `${LINE + 1}:21`)
})

// MAX_HOOKS in readHooks and the limits of the parser are what stops these.
test('threat row 48: more than 32 hooks and conditions without end are refused', () => {
  const hook = '<hook><when>true</when><directive>fix</directive></hook>'
  assert.equal(parseDirectiveText('d.md', fileWith(`<hooks>${hook.repeat(32)}</hooks>`)).hooks.length, 32)
  assertRefused(withHooks(`<hooks>${hook.repeat(33)}</hooks>`), LINE, /more than 32 hooks/)
  assertRefused(withWhen('('.repeat(100_000)), LINE + 1, /the limit is 4096/)
  assertRefused(withWhen(`${'not '.repeat(1000)}true`), LINE + 1, /deeper than 32/)
})
