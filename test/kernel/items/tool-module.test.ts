import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toolModule } from './item-spaces.ts'
import { assertRefused, parseText, parseTool } from './parse.ts'

test('the constants of a module give its definition without running it', () => {
  const tool = parseTool(
    'count_words.ts',
    `throw new Error('a module must never run while it is read')
export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0' as const
export const __executor_id__ = \`node\`
export const __description__ = 'Counts words'
export const __requires__ = ['fs.read', { cap: 'fs.write', scope: { path: '{path}' } }] satisfies unknown[]
export const __effect__ = 'pure'
export const __loop__ = { poll: true }
export const __approval__ = 'required'
export const PARAMETERS = { type: 'object', properties: { 'max-size': { type: 'integer', minimum: -1, default: 2.5 } } }
export const DEPENDENCIES = { ws: '8.23.0', '@scope/name': '1.0.0-beta.1' }
export default async (params: { path: string }) => params.path
`,
  )
  assert.equal(tool.module, true)
  assert.equal(tool.executorId, 'node')
  assert.equal(tool.effect, 'pure')
  assert.equal(tool.approval, 'required')
  assert.deepEqual(tool.requires, ['fs.read', { cap: 'fs.write', scope: { path: '{path}' } }])
  assert.deepEqual(tool.inputSchema, {
    type: 'object',
    properties: { 'max-size': { type: 'integer', minimum: -1, default: 2.5 } },
  })
  assert.deepEqual(tool.dependencies, { ws: '8.23.0', '@scope/name': '1.0.0-beta.1' })
})

test('a JavaScript module and one with a shebang, a byte-order mark and CRLF line ends are read too', () => {
  assert.equal(parseTool('a.js', toolModule()).toolId, 'a')
  assert.equal(parseTool('a.ts', `#!/usr/bin/env node\n${toolModule()}`).toolId, 'a')
  assert.equal(parseTool('a.ts', `\ufeff${toolModule().replaceAll('\n', '\r\n')}`).toolId, 'a')
})

test('a constant that is no literal is refused with its name, place and what was found', () => {
  const constant = (value: string) => parseText('tool', 'a.ts', toolModule(`export const __effect__ = ${value}`))
  assertRefused(constant('getEffect()'), 5, /`__effect__` must be a literal, found a function call/)
  assertRefused(constant('someName'), 5, /found the name `someName`/)
  assertRefused(constant('`pu${"re"}`'), 5, /a template with/)
  assertRefused(constant('"pu" + "re"'), 5, /must be run/)
  assertRefused(constant('[...list]'), 5, /a spread/)
  assertRefused(constant('{ [key]: 1 }'), 5, /computed key/)
  assertRefused(constant('{ get() { return 1 } }'), 5, /method/)
  assertRefused(constant('1e999'), 5, /not finite/)
  assertRefused(constant('12345678901234567890'), 5, /too large/)
})

test('the column of a value that is no literal is the place of the value', () => {
  const { problems } = parseText('tool', 'a.ts', toolModule('export const __effect__ = run()'))
  assert.equal(problems[0]?.column, 27)
})

test('approval is required, or none, which is the same as saying nothing', () => {
  for (const written of ["'none'", 'null'])
    assert.equal(parseTool('a.ts', toolModule(`export const __approval__ = ${written}`)).approval, null)
  for (const written of ["'always'", 'true', "{ ask: 'always' }"]) {
    const parsed = parseText('tool', 'a.ts', toolModule(`export const __approval__ = ${written}`))
    assertRefused(parsed, 5, /`__approval__` must be `required` or `none`, got/)
  }
})

test('a metadata constant must be declared with const', () => {
  assertRefused(parseText('tool', 'a.ts', toolModule("export let __effect__ = 'pure'")), 5, /declared with `let`/)
})

test('threat row 17: keys that reach a prototype are refused in the constants of a module', () => {
  assertRefused(parseText('tool', 'a.ts', toolModule("export const __loop__ = { '__proto__': { a: 1 } }")), 5, /`__proto__`/)
  assertRefused(parseText('tool', 'a.ts', toolModule('export const __loop__ = { a: 1, a: 2 }')), 5, /a second time/)
})

test('a constant with a mistyped name is a warning that names the right one', () => {
  const { warnings } = parseText('tool', 'a.ts', toolModule("export const __efect__ = 'pure'"))
  assert.match(warnings[0]?.fix ?? '', /`__effect__`/)
})

test('missing metadata is named as the constants that are missing', () => {
  assertRefused(parseText('tool', 'a.ts', 'export default 1\n'), 1, /no `__tool_type__`/)
  assertRefused(
    parseText('tool', 'a.ts', "export const __tool_type__ = 'runtime'\nexport default 1\n"),
    1,
    /`__version__` is missing/,
  )
})

test('runtime tools, sinks and harnesses need a default export, in any of its forms', () => {
  const withoutDefault = toolModule().replace('export default', 'export const run =')
  assertRefused(parseText('tool', 'a.ts', withoutDefault), 1, /has no default export/)
  assertRefused(parseText('tool', 'a.ts', withoutDefault.replace("'runtime'", "'sink'")), 1, /type `sink` has no default export/)
  assert.equal(parseTool('a.ts', `${withoutDefault}export { run as default }\n`).toolType, 'runtime')
})

test('a syntax error is refused with its line', () => {
  assertRefused(parseText('tool', 'a.ts', toolModule('const broken = (')), 6, /a syntax error/)
})

test('TypeScript that does not run when types are removed is refused', () => {
  assertRefused(parseText('tool', 'a.ts', toolModule('enum Colour { Red }')), 5, /`enum` does not run/)
  assertRefused(parseText('tool', 'a.ts', toolModule('namespace Space { export const a = 1 }')), 5, /`namespace` does not run/)
  assertRefused(
    parseText('tool', 'a.ts', toolModule('class Box { constructor(readonly size: number) {} }')),
    5,
    /parameter properties/,
  )
  assert.equal(parseText('tool', 'a.ts', toolModule('declare enum Colour { Red }')).problems.length, 0)
})

test('an import that is used as a type only is a warning, one that is used as a value is not', () => {
  const warned = parseText('tool', 'a.ts', toolModule("import { Sink } from './sink.ts'\nconst sink: Sink | null = null"))
  assert.match(warned.warnings[0]?.fix ?? '', /import type \{ Sink \}/)
  assert.equal(warned.warnings[0]?.line, 5)
  const used = parseText('tool', 'a.ts', toolModule("import { Sink } from './sink.ts'\nconst sink: Sink = new Sink()"))
  assert.deepEqual(used.warnings, [])
})

test('dependencies need exact versions and names that npm knows', () => {
  assertRefused(
    parseText('tool', 'a.ts', toolModule("export const DEPENDENCIES = { ws: '^8.0.0' }")),
    5,
    /`ws` needs an exact version/,
  )
  assertRefused(parseText('tool', 'a.ts', toolModule("export const DEPENDENCIES = { '../x': '1.0.0' }")), 5, /not a package name/)
})

test('PARAMETERS must describe an object', () => {
  assertRefused(
    parseText('tool', 'a.ts', toolModule("export const PARAMETERS = { type: 'array' }")),
    5,
    /JSON Schema of an object/,
  )
})

test('a capability module declares its capabilities and needs neither executor nor default export', () => {
  const tool = parseTool(
    'fs.ts',
    capabilityModule(`export const CAPABILITIES = ['fs.read', 'fs.write', 'fs.absolute']
export const SYSTEM_ONLY = ['fs.absolute']
export const SCOPE = 'path'
export const DEFAULT_PARAMETER = 'path'
export const IMPLIES = { 'fs.write': ['fs.read'] }`),
  )
  assert.equal(tool.executorId, null)
  assert.deepEqual(tool.capability, {
    capabilities: ['fs.read', 'fs.write', 'fs.absolute'],
    description: 'Files',
    systemOnly: ['fs.absolute'],
    defaultParameter: 'path',
    scope: 'path',
    implies: { 'fs.write': ['fs.read'] },
  })
})

test('a capability module without a scope says so by leaving it out', () => {
  const tool = parseTool('db.ts', capabilityModule("export const CAPABILITIES = { 'db.query': 'Ask.' }"))
  assert.equal(tool.capability?.scope, null)
  assert.deepEqual(tool.capability?.implies, {})
  assert.deepEqual(tool.capability?.descriptions, { 'db.query': 'Ask.' })
})

for (const { constants, reason } of [
  { constants: "export const CAPABILITIES = ['fs.*']", reason: /`fs\.\*` is not a capability id/ },
  { constants: "export const CAPABILITIES = { 'fs.read': 1 }", reason: /a value of `CAPABILITIES` is not text/ },
  {
    constants: "export const CAPABILITIES = ['fs.read']\nexport const SCOPE = 'glob'",
    reason: /`SCOPE` must be `path` or `host` or `id`/,
  },
  { constants: "export const CAPABILITIES = ['fs.read']\nexport const SCOPE = kind()", reason: /`SCOPE` must be a literal/ },
  {
    constants: "export const CAPABILITIES = ['a.b']\nexport const IMPLIES = { 'a.b': ['registry.write'] }",
    reason: /`IMPLIES` names `registry\.write`/,
  },
  {
    constants: "export const CAPABILITIES = ['a.b']\nexport const IMPLIES = { 'a.b': 'a.b' }",
    reason: /must map ids to lists of ids/,
  },
  { constants: "export const CAPABILITIES = ['a.b']\nexport const SYSTEM_ONLY = ['a.c']", reason: /`SYSTEM_ONLY` names `a\.c`/ },
]) {
  test(`a capability module with ${constants.replace('\n', ' and ')} is refused`, () => {
    assertRefused(parseText('tool', 'fs.ts', capabilityModule(constants)), constants.includes('\n') ? 5 : 4, reason)
  })
}

test('a tool may use the names of capability constants for itself', () => {
  assert.equal(parseTool('a.ts', toolModule('const DESCRIPTION = compute()')).capability, undefined)
})

test('threat row 20: code nested so deeply that the parser would end the process is refused', () => {
  const hostile = [
    '['.repeat(100_000),
    `const a = ${'('.repeat(50_000)}1${')'.repeat(50_000)}`,
    `const a = ${'!'.repeat(500_000)}1`,
    `const a = f${'()'.repeat(200_000)}`,
    `type A = ${'B<'.repeat(50_000)}C${'>'.repeat(50_000)}`,
    `const a = ${'x => '.repeat(100_000)}1`,
    // Each of these makes a careless scan take code for text: a quote in a regular expression, and slashes that could be either.
    `const a = /'/; ${'['.repeat(50_000)} // '`,
    `if (a) /"/.test(b)\nconst c = "${']'.repeat(50_000)}" + ${'['.repeat(50_000)}`,
    `a = b\n++/'/\n${'['.repeat(50_000)}//'`,
    `function f() { return\u00a0/'/ }\nconst a = ${'['.repeat(50_000)} //'`,
  ]
  for (const code of hostile) {
    const { problems } = parseText('tool', 'a.ts', code)
    assert.match(problems[0]?.reason ?? '', /nested too deeply/, code.slice(0, 30))
  }
})

test('ordinary code with divisions, regular expressions and templates is not taken for deep nesting', () => {
  const line = 'const a = (b + c) / 2 / (d / e); const r = /[/"\'(]+/g.test(`${x.map((y) => `<${y}>`)}`) ? (1) / (2) : a++ / b\n'
  const tool = parseTool('a.ts', toolModule(`function run() {\n${line.repeat(20).replaceAll('const ', 'var ')}}`))
  assert.equal(tool.toolId, 'a')
})

function capabilityModule(constants: string): string {
  return `export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const DESCRIPTION = 'Files'
${constants}
`
}
