import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outputFileOf, toolNames } from '../../../src/connectors/generate/tool-name.ts'
import { ITEM_ID } from '../../../src/kernel/items/names.ts'
import { hiddenCharacters } from '../../../src/mcp-client/definitions/neutral-text.ts'
import { createRandom } from '../../capabilities/scopes/random.ts'
import { hostileText } from '../../mcp-client/definitions/hostile-texts.ts'

const OPTIONS = { prefix: 'shop_' }

test('an id is the prefix and the name in lower case, with _ for what no id has', () => {
  const names = toolNames(['list-orders', 'getUser', 'v1/items.get', '_x'], OPTIONS)
  assert.deepEqual(
    names.map(({ toolId }) => toolId),
    ['shop_list-orders', 'shop_getuser', 'shop_v1_items.get', 'shop__x'],
  )
})

// Guard: `prefix +` in readName.
test('threat row 32: a tool that takes the name of another one gets the prefix of its server', () => {
  const names = toolNames(['bash', 'execute', 'read_file', 'http_client', '../bash', 'shop_bash', '.', '..'], OPTIONS)
  assert.deepEqual(
    names.map(({ toolId }) => toolId),
    ['shop_bash', 'shop_execute', 'shop_read_file', 'shop_http_client', 'shop_.._bash', 'shop_shop_bash', 'shop_.', 'shop_..'],
  )
})

// Guard: UPSTREAM_NAME in tool-name.ts.
test('threat row 32: names that look like others are skipped, with the reason in visible characters', () => {
  const lookalikes = [
    'b\u0430sh',
    'ba\u200Bsh',
    '\uFF42ash',
    'bash ',
    'ba\tsh',
    'hsab\u202E',
    'ba\u0301sh',
    '',
    'x'.repeat(129),
    'a{b}',
    'a\nb',
  ]
  for (const name of toolNames(lookalikes, OPTIONS)) {
    assert.equal(name.kind, 'skipped')
    assert(name.kind === 'skipped' && name.toolId === null)
    assert.deepEqual(hiddenCharacters(name.reason), [])
    assert.match(name.reason, /^The server calls it ".*"; a name has 1 to 128 of the characters A-Z a-z 0-9 _ \. - \/\.$/)
  }
})

// Guard: the comparison by id in toolNames.
test('threat row 32: names that give one id are skipped all of them, and each reason names the others', () => {
  const names = toolNames(['Drop', 'a/b', 'drop', 'a_b', 'fine', 'DROP'], OPTIONS)
  assert.deepEqual(
    names.map((name) => (name.kind === 'skipped' ? name.reason : name.toolId)),
    [
      'Its id would be shop_drop, and so would that of the server\'s "drop", "DROP"; none of them is made.',
      'Its id would be shop_a_b, and so would that of the server\'s "a_b"; none of them is made.',
      'Its id would be shop_drop, and so would that of the server\'s "Drop", "DROP"; none of them is made.',
      'Its id would be shop_a_b, and so would that of the server\'s "a/b"; none of them is made.',
      'shop_fine',
      'Its id would be shop_drop, and so would that of the server\'s "Drop", "drop"; none of them is made.',
    ],
  )
})

test('a name that the server gives to two tools is skipped', () => {
  const names = toolNames(['pay', 'pay'], OPTIONS)
  assert.deepEqual(
    names.map(({ kind }) => kind),
    ['skipped', 'skipped'],
  )
})

// Guard: `takenBy` in readName.
test('threat row 32: an id that somebody else has is not taken', () => {
  const takenBy = (id: string) => (id === 'anthropic_messages' ? 'the shipped tool anthropic_messages' : null)
  const [messages, other] = toolNames(['messages', 'other'], { prefix: 'anthropic_', takenBy })
  assert(messages?.kind === 'skipped')
  assert.equal(
    messages.reason,
    'Its id would be anthropic_messages, which belongs to the shipped tool anthropic_messages. Set another tool_prefix.',
  )
  assert.equal(other?.kind, 'named')
})

test('an id of more than 128 characters is skipped', () => {
  const [fits, tooLong] = toolNames(['x'.repeat(123), 'y'.repeat(124)], OPTIONS)
  assert.equal(fits?.toolId?.length, 128)
  assert.equal(tooLong?.kind, 'skipped')
})

test('whatever a server calls its tools, each id is one, begins with the prefix and is no other tool of the server', () => {
  const random = createRandom(32)
  const letters = Array.from('abAB019_.-/')
  const nameOf = (): string =>
    random.below(3) === 0 ? hostileText(random, 6) : random.some(() => random.pick(letters), random.pick([3, 6, 130])).join('')
  for (let round = 0; round < 2000; round += 1) {
    const upstream = Array.from({ length: 8 }, nameOf)
    const names = toolNames(upstream, OPTIONS)
    const named = names.filter((name) => name.kind === 'named')
    assert.deepEqual(
      names.map((name) => name.upstream),
      upstream,
    )
    assert.equal(new Set(named.map(({ toolId }) => toolId)).size, named.length)
    for (const { toolId } of named) assert(ITEM_ID.test(toolId) && /^shop_[a-z0-9_.-]+$/.test(toolId), toolId)
  }
})

test('the file of a tool lies in the folder of the connector', () => {
  assert.equal(outputFileOf({ outputDir: '.ai/tools/mcp/shop' }, 'shop_pay'), '.ai/tools/mcp/shop/shop_pay.yaml')
})
