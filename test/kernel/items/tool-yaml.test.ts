import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ParsedFile } from '../../../src/kernel/items/parsed-file.ts'
import { toolYaml } from './item-spaces.ts'
import { assertRefused, parseText, parseTool } from './parse.ts'

test('a tool file gives every field of its definition', () => {
  const tool = parseTool(
    'fetch_page.yaml',
    `tool_id: fetch_page
tool_type: http
version: "1.2.0"
executor_id: http_client
description: Gets a page
config: {method: GET, url: "https://example.com/{path}", retry: {max_attempts: 1}}
parameters:
  - {name: path, type: string, required: true, description: what to get}
  - {name: depth, type: integer, default: 1, enum: [1, 2]}
requires: [net.http, {cap: fs.write, scope: {path: "{path}"}}]
retry: {max_attempts: 3}
effect: pure
loop: {poll: true}
approval: required
`,
  )
  assert.equal(tool.toolId, 'fetch_page')
  assert.equal(tool.version, '1.2.0')
  assert.equal(tool.executorId, 'http_client')
  assert.deepEqual(tool.requires, ['net.http', { cap: 'fs.write', scope: { path: '{path}' } }])
  assert.deepEqual(tool.retry, { max_attempts: 3 })
  assert.equal(tool.effect, 'pure')
  assert.deepEqual(tool.loop, { poll: true })
  assert.equal(tool.approval, 'required')
  assert.deepEqual(tool.inputSchema, {
    type: 'object',
    properties: {
      path: { type: 'string', description: 'what to get' },
      depth: { type: 'integer', enum: [1, 2], default: 1 },
    },
    required: ['path'],
    additionalProperties: false,
  })
})

test('a tool without the optional fields has their defaults', () => {
  const tool = parseTool('small.yaml', toolYaml('small'))
  assert.deepEqual([tool.effect, tool.inputSchema, tool.retry, tool.loop, tool.approval], ['once', null, null, null, null])
  assert.deepEqual([tool.requires, tool.config, tool.module], [[], {}, false])
})

test('approval is required, or none, which is the same as saying nothing', () => {
  const approvalOf = (written: string): ParsedFile => parseText('tool', 'small.yaml', toolYaml('small', `approval: ${written}\n`))
  for (const written of ['none', 'null', '']) {
    const { definition } = approvalOf(written)
    assert(definition?.kind === 'tool')
    assert.equal(definition.approval, null)
  }
  for (const written of ['always', 'true', 'false', '{ask: always}', 'Required', '[required]']) {
    const parsed = approvalOf(written)
    assertRefused(parsed, 6, /`approval` must be `required` or `none`, got/)
    assert.equal(parsed.problems[0]?.fix, 'Write `required` or `none`.')
  }
})

test('retry is taken from the configuration when the top level has none', () => {
  assert.deepEqual(parseTool('small.yaml', toolYaml('small', 'config: {retry: {max_attempts: 2}}\n')).retry, { max_attempts: 2 })
})

test('a primitive has no executor and may have a configuration schema', () => {
  const tool = parseTool(
    'http_client.yaml',
    'tool_id: http_client\ntool_type: primitive\nversion: "1.0.0"\nconfig_schema: {type: object}\n',
  )
  assert.equal(tool.executorId, null)
  assert.deepEqual(tool.configSchema, { type: 'object' })
})

test('a missing field, an executor of a primitive and a schema of no primitive are refused', () => {
  assertRefused(parseText('tool', 'x.yaml', 'tool_id: x\ntool_type: http\nversion: "1"\n'), 1, /`executor_id` is missing/)
  assertRefused(parseText('tool', 'x.yaml', 'tool_id: x\nversion: "1"\nexecutor_id: y\n'), 1, /`tool_type` is missing/)
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x').replace('http\n', 'primitive\n')), 4, /has no executor/)
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', 'config_schema: {type: object}\n')), 6, /primitives only/)
})

test('an id that is not the stem of the file is refused at its line', () => {
  assertRefused(parseText('tool', 'y.yaml', toolYaml('x')), 1, /`tool_id` is `x` but the file is named `y`/)
})

test('values of a wrong type are refused with their path, line and value', () => {
  assertRefused(
    parseText('tool', 'x.yaml', toolYaml('x').replace('"1.0.0"', '1.0')),
    3,
    /`version` must be text, got the number 1/,
  )
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', 'config: [1]\n')), 6, /`config` must be a map, got a list/)
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', 'effect: sometimes\n')), 6, /`effect` must be `pure` or/)
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', 'requires: [1]\n')), 6, /not a capability requirement/)
  const flag = toolYaml('x', 'parameters:\n  - name: a\n    required: yes\n')
  assertRefused(parseText('tool', 'x.yaml', flag), 8, /`parameters.0.required` must be `true` or `false`, got the text "yes"/)
})

test('parameters are refused without a name, with a taken or reserved name, and with an unknown type', () => {
  const withParameters = (text: string) => parseText('tool', 'x.yaml', toolYaml('x', `parameters:\n${text}`))
  assertRefused(withParameters('  - type: string\n'), 7, /without a name/)
  assertRefused(withParameters('  - name: a\n  - name: a\n'), 8, /two parameters are named/)
  assertRefused(withParameters('  - name: __auth\n'), 7, /not a parameter name/)
  assertRefused(withParameters('  - name: a\n    type: strng\n'), 8, /not a parameter type/)
  assertRefused(withParameters('  - name: a\n    type: integer\n    default: x\n'), 9, /not of type integer/)
})

test('an unknown field is a warning that names the nearest known one', () => {
  const { definition, warnings } = parseText('tool', 'x.yaml', toolYaml('x', 'efect: pure\n'))
  assert.notEqual(definition, null)
  assert.deepEqual(warnings, [{ line: 6, column: 1, reason: 'nothing reads `efect`', fix: 'Did you mean `effect`?' }])
})

test('two ways to describe the parameters at once are refused', () => {
  assertRefused(
    parseText('tool', 'x.yaml', toolYaml('x', 'parameters: []\ninput_schema: {type: object}\n')),
    7,
    /both `parameters` and `input_schema`/,
  )
})

test('files with a byte-order mark, CRLF line ends or a signature line are read with the right lines', () => {
  const windows = `\ufeff# kiwi:signed:x\r\n${toolYaml('x', 'effect: never\n').replaceAll('\n', '\r\n')}`
  assertRefused(parseText('tool', 'x.yaml', windows), 7, /`effect`/)
  assert.equal(parseTool('x.yml', `\ufeff${toolYaml('x').replaceAll('\n', '\r\n')}`).toolId, 'x')
})

test('an empty file, a list and several documents are refused', () => {
  assertRefused(parseText('tool', 'x.yaml', ''), 1, /must be a map of fields, got nothing/)
  assertRefused(parseText('tool', 'x.yaml', '- a\n'), 1, /must be a map of fields, got a list/)
  assertRefused(parseText('tool', 'x.yaml', `${toolYaml('x')}---\na: 1\n`), 6, /more than one YAML document/)
})

test('threat row 17: keys that reach a prototype are refused wherever they stand in a tool file', () => {
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', '__proto__: {polluted: 1}\n')), 6, /`__proto__` is not allowed/)
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', 'config:\n  "__proto__": {a: 1}\n')), 7, /`__proto__` is not allowed/)
  assertRefused(
    parseText('tool', 'x.yaml', toolYaml('x', 'config: {a: [{constructor: {prototype: {a: 1}}}]}\n')),
    6,
    /`constructor` is not allowed/,
  )
  assert.equal(Reflect.get({}, 'polluted'), undefined)
})

test('threat row 19: an alias bomb is refused, a few aliases are not', () => {
  const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const lines = letters.map(
    (name, index) =>
      `  ${name}: &${name} [${Array.from({ length: 9 }, () => (index === 0 ? '1' : `*${letters[index - 1]}`)).join(', ')}]`,
  )
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', `config:\n${lines.join('\n')}\n`)), 8, /more than 32 aliases/)
  const tool = parseTool('x.yaml', toolYaml('x', 'config: {a: &a [1, 2], b: *a}\n'))
  assert.deepEqual(tool.config, { a: [1, 2], b: [1, 2] })
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', 'config: {a: &a [*a]}\n')), 6, /no value yet/)
})

test('threat row 20: nesting of any kind is refused before anything recurses, and a file over the size limit before it is parsed', () => {
  const nested = [
    '['.repeat(20_000),
    '{a: '.repeat(20_000),
    '- '.repeat(20_000),
    '? '.repeat(20_000),
    Array.from({ length: 900 }, (_, depth) => `${' '.repeat(depth + 1)}a:`).join('\n'),
  ]
  for (const text of nested) {
    const { problems } = parseText('tool', 'x.yaml', toolYaml('x', `config:\n  ${text}\n`))
    assert.match(problems[0]?.reason ?? '', /nested deeper than 64 levels/)
  }
  assertRefused(parseText('tool', 'x.yaml', 'a'.repeat(5 * 1024 * 1024)), 1, /5242880 bytes, the limit is 1048576/)
})

test('threat row 21: values that YAML reads in surprising ways are refused with their line', () => {
  const config = (text: string) => parseText('tool', 'x.yaml', toolYaml('x', `config:\n  a: ${text}\n`))
  assertRefused(config('010'), 7, /leading zero/)
  assertRefused(config('1e999'), 7, /not a finite number/)
  assertRefused(config('.nan'), 7, /not a finite number/)
  assertRefused(config('12345678901234567890'), 7, /too large to be kept exactly/)
  assertRefused(config('!!js/function x'), 7, /tag/i)
  assertRefused(config('1\n  a: 2'), 8, /unique/)
  assertRefused(parseText('tool', 'x.yaml', `%YAML 1.1\n---\n${toolYaml('x')}`), 1, /YAML directive/)
  assertRefused(parseText('tool', 'x.yaml', toolYaml('x', 'config:\n  <<: {a: 1}\n')), 7, /merge keys/)
  assert.deepEqual(parseTool('x.yaml', toolYaml('x', 'config: {a: on, b: yes, c: 2026-01-01, d: 0x1F}\n')).config, {
    a: 'on',
    b: 'yes',
    c: '2026-01-01',
    d: 31,
  })
})

test('bytes that are not UTF-8 and NUL characters are refused', () => {
  assertRefused(parseText('tool', 'x.yaml', Buffer.from([0xff, 0xfe, 0x61, 0x00])), 1, /not UTF-8/)
  assertRefused(parseText('tool', 'x.yaml', 'a: 1\nb: \0\n'), 2, /NUL/)
})
