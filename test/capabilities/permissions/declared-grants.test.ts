import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ORCHESTRATION_TOOLS } from '../../../src/capabilities/permissions/declared-grants.ts'
import { vocabularyOf } from '../../../src/capabilities/permissions/vocabulary.ts'
import { FIRST_LINE, SHIPPED_MODULES, capabilityModule, declare, granted, problemOf } from './shipped-vocabulary.ts'

const NO_RULE = { allowCategories: null, denyCategories: [], allowIds: null, denyIds: [] }

for (const { tag, capabilities } of [
  { tag: '<read resource="filesystem" path="src/**"/>', capabilities: { 'fs.read': ['src/**'] } },
  { tag: '<write resource="filesystem" path="out/*"/>', capabilities: { 'fs.read': ['out/*'], 'fs.write': ['out/*'] } },
  { tag: '<delete resource="filesystem" path="tmp/*.log"/>', capabilities: { 'fs.delete': ['tmp/*.log'] } },
  { tag: '<execute resource="shell"/>', capabilities: { 'process.exec': true } },
  { tag: '<execute resource="net" host="API.example.com"/>', capabilities: { 'net.http': ['api.example.com'] } },
  {
    tag: '<execute resource="net" host="a.example:8080" action="websocket"/>',
    capabilities: { 'net.websocket': ['a.example:8080'] },
  },
  { tag: '<execute resource="mcp" server="supabase"/>', capabilities: { 'mcp.connect': ['supabase'] } },
  { tag: '<execute resource="kiwi-mcp" action="search"/>', capabilities: { 'kiwi-mcp.search': true } },
  {
    tag: '<execute resource="kiwi-mcp" action="execute"/>',
    capabilities: { 'kiwi-mcp.execute': true, 'kiwi-mcp.help': true, 'kiwi-mcp.load': true, 'kiwi-mcp.search': true },
  },
  {
    tag: '<execute resource="kiwi-mcp" action="*"/>',
    capabilities: {
      'kiwi-mcp.execute': true,
      'kiwi-mcp.help': true,
      'kiwi-mcp.load': true,
      'kiwi-mcp.search': true,
      'kiwi-mcp.sign': true,
    },
  },
  { tag: '<execute resource="db" action="query"/>', capabilities: { 'db.query': true } },
  { tag: '<execute resource="git" action="push"/>', capabilities: { 'git.push': true } },
  { tag: '<modify resource="tool"/>', capabilities: { 'tool.modify': true } },
  { tag: '<modify resource="directive"/>', capabilities: { 'directive.modify': true } },
  { tag: '', capabilities: {} },
]) {
  test(`${tag === '' ? 'an empty section' : tag} grants ${JSON.stringify(capabilities)}`, () => {
    assert.deepEqual(granted(tag), { capabilities, orchestration: null, knowledge: [], directives: [] })
  })
}

for (const { tag, capabilities } of [
  { tag: '<execute resource="registry" action="write"/>', capabilities: { 'registry.write': true } },
  { tag: '<spawn action="thread"/>', capabilities: { 'spawn.thread': true } },
  { tag: '<execute resource="spawn" action="thread"/>', capabilities: { 'spawn.thread': true } },
  { tag: '<modify resource="extractor"/>', capabilities: { 'extractor.modify': true } },
  { tag: '<execute resource="fs" action="absolute" path="**"/>', capabilities: { 'fs.absolute': ['**'] } },
]) {
  test(`${tag} is for shipped directives only`, () => {
    assert.deepEqual(granted(tag, 'system').capabilities, capabilities)
    for (const space of ['project', 'user'] as const) {
      const problem = problemOf(tag, { space })
      assert.match(problem.reason, /for shipped directives only/)
      assert.deepEqual(declare(tag, { space }).grants.capabilities, {})
    }
  })
}

test('several entries of one capability are one list in canonical form', () => {
  const { capabilities } = granted(`<read resource="filesystem" path="src/**/*"/>
<read resource="filesystem" path="src/a"/>
<write resource="filesystem" path="./docs/**"/>
<execute resource="tool" id="write_file"/>
<execute resource="tool" id="read_*"/>
<execute resource="kiwi-mcp" action="execute"/>`)
  assert.deepEqual(capabilities['fs.read'], ['docs/**', 'src/**'])
  assert.deepEqual(capabilities['fs.write'], ['docs/**'])
  assert.deepEqual(capabilities['tool.execute'], ['read_*', 'write_file'])
})

for (const alias of ['action', 'tool_id']) {
  test(`\`${alias}\` of a tool is read as \`id\` with a warning`, () => {
    const { grants, problems, warnings } = declare(`<execute resource="tool" ${alias}="read_file"/>
<execute resource="kiwi-mcp" action="execute"/>`)
    assert.deepEqual(problems, [])
    assert.deepEqual(grants.capabilities['tool.execute'], ['read_file'])
    assert.deepEqual(warnings, [
      {
        file: 'worker.md',
        line: FIRST_LINE,
        column: 1,
        reason: `\`${alias}\` is read as \`id\``,
        fix: 'Write `<execute resource="tool" id="read_file"/>`.',
      },
    ])
  })
}

for (const { tag, reason, fix } of [
  { tag: '<reed resource="filesystem" path="a"/>', reason: /no permission `<reed>`/, fix: /`read`/ },
  { tag: '<read path="a"/>', reason: /names no `resource`/, fix: /filesystem/ },
  { tag: '<read resource="tool" id="a"/>', reason: /knows no resource `tool`/, fix: /filesystem/ },
  { tag: '<read resource="filesystem"/>', reason: /`path` is missing/, fix: /path="src\/\*\*"/ },
  { tag: '<read resource="filesystem" path="/etc"/>', reason: /character 1: .*absolute/, fix: /fs\.absolute/ },
  { tag: '<read resource="filesystem" path="a/../b"/>', reason: /character 3: `\.\.`/, fix: /./ },
  { tag: '<read resource="filesystem" path="a" host="b"/>', reason: /no attribute `host`/, fix: /path/ },
  { tag: '<read resource="filesystem" path="a">b</read>', reason: /has content/, fix: /./ },
  { tag: '<execute id="a"/>', reason: /names no `resource`/, fix: /shell, tool/ },
  { tag: '<execute resource="tol" id="a"/>', reason: /no resource `tol`/, fix: /`tool`/ },
  { tag: '<execute resource="tool"/>', reason: /`id` is missing/, fix: /id="read_file"/ },
  { tag: '<execute resource="tool" id="a" tool_id="a"/>', reason: /all name the tool/, fix: /`id`/ },
  { tag: '<execute resource="tool" id="a*b"/>', reason: /character 2/, fix: /./ },
  { tag: '<execute resource="shell" id="ls"/>', reason: /no attribute `id`/, fix: /resource/ },
  { tag: '<execute resource="net"/>', reason: /`host` is missing/, fix: /api\.example\.com/ },
  { tag: '<execute resource="net" host="https://a"/>', reason: /not a URL/, fix: /host alone/ },
  { tag: '<execute resource="net" host="a.example" action="ftp"/>', reason: /no action `ftp`/, fix: /http, websocket/ },
  { tag: '<execute resource="mcp"/>', reason: /`server` is missing/, fix: /./ },
  { tag: '<execute resource="kiwi-mcp"/>', reason: /`action` is missing/, fix: /search/ },
  { tag: '<execute resource="kiwi-mcp" action="exekute"/>', reason: /no action `exekute`/, fix: /`execute`/ },
  { tag: '<execute resource="db" action="drop"/>', reason: /`db` has no action `drop`/, fix: /migrate, query/ },
  { tag: '<execute resource="thread" action="orchestrate"/>', reason: /not steered by `<execute>`/, fix: /<orchestration/ },
  { tag: '<modify resource="knowledge"/>', reason: /no resource `knowledge`/, fix: /directive/ },
  { tag: '<spawn action="process"/>', reason: /no action `process`/, fix: /thread/ },
  { tag: '<orchestration/>', reason: /does not say whether it is enabled/, fix: /enabled="true"/ },
  {
    tag: '<orchestration enabled="true"><allow_tools>a</allow_tools></orchestration>',
    reason: /no list `<allow_tools>`/,
    fix: /./,
  },
  { tag: '<knowledge deny_directives="a"/>', reason: /no attribute `deny_directives`/, fix: /./ },
  { tag: '<knowledge>quality</knowledge>', reason: /text outside of a list/, fix: /<allow_categories>/ },
  { tag: '<directives allow_categories="a/**"/>', reason: /`a\/\*\*` in `allow_categories` is not a category/, fix: /quality/ },
  { tag: '<directives allow_directives="a b*c"/>', reason: /`b\*c` in `allow_directives`/, fix: /./ },
  { tag: '<directives deny_categories="a"/><directives/>', reason: /a second `<directives>`/, fix: /one/ },
]) {
  test(`${tag} is an error that says what there is`, () => {
    const problem = problemOf(tag)
    assert.match(problem.reason, reason)
    assert.match(problem.fix, fix)
    assert.equal(problem.line, FIRST_LINE)
  })
}

test('a problem names the line of its entry', () => {
  assert.equal(problemOf('<execute resource="shell"/>\n\n<read resource="filesystem"/>').line, FIRST_LINE + 2)
})

test('orchestration grants the thread tools and keeps its lists', () => {
  const { capabilities, orchestration } = granted(`<orchestration enabled="true" deny_directives="release">
  <allow_categories>quality, docs/style</allow_categories>
  <allow_directives><name>fix_*</name><name>tidy</name></allow_directives>
</orchestration>
<execute resource="kiwi-mcp" action="execute"/>`)
  assert.equal(capabilities['thread.orchestrate'], true)
  assert.deepEqual(capabilities['tool.execute'], ORCHESTRATION_TOOLS.toSorted())
  assert.deepEqual(orchestration, [
    { allowCategories: ['docs/style', 'quality'], denyCategories: [], allowIds: ['fix_*', 'tidy'], denyIds: ['release'] },
  ])
})

test('orchestration without lists limits nothing, and orchestration that is not enabled grants nothing', () => {
  const execute = '<execute resource="kiwi-mcp" action="execute"/>'
  assert.deepEqual(granted(`<orchestration enabled="true"/>${execute}`).orchestration, [])
  const disabled = granted(`<orchestration enabled="false"><allow_categories>a</allow_categories></orchestration>`)
  assert.deepEqual([disabled.orchestration, disabled.capabilities], [null, {}])
})

test('an allow list without a name allows nothing, with a warning', () => {
  const { grants, warnings } = declare('<knowledge><allow_categories/></knowledge>')
  assert.deepEqual(grants.knowledge, [{ ...NO_RULE, allowCategories: [] }])
  assert.match(warnings[0]?.reason ?? '', /allows nothing/)
})

test('knowledge and directives are limited by their lists', () => {
  const grants = granted('<knowledge allow_categories="help"/><directives deny_categories="ops" deny_directives="a,b"/>')
  assert.deepEqual(grants.knowledge, [{ ...NO_RULE, allowCategories: ['help'] }])
  assert.deepEqual(grants.directives, [{ ...NO_RULE, denyCategories: ['ops'], denyIds: ['a', 'b'] }])
})

for (const tag of ['<execute resource="tool" id="read_file"/>', '<orchestration enabled="true"/>']) {
  test(`${tag} without the meta-tool is a warning with the line to add`, () => {
    const { warnings } = declare(tag)
    assert.deepEqual(
      warnings.map(({ line, fix }) => ({ line, fix })),
      [{ line: FIRST_LINE, fix: 'Add `<execute resource="kiwi-mcp" action="execute"/>`.' }],
    )
  })
}

test('a signed module of the project gives a resource and its actions, with a scope where it has one', () => {
  const module = capabilityModule(
    'mail.ts',
    `export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const DESCRIPTION = 'Mail'
export const CAPABILITIES = ['mail.send']
export const SCOPE = 'id'
export const DEFAULT_PARAMETER = 'account'`,
    'project',
  )
  const vocabulary = vocabularyOf([module, ...SHIPPED_MODULES])
  const { grants } = declare('<execute resource="mail" action="send" account="team"/>', { vocabulary })
  assert.deepEqual(grants.capabilities, { 'mail.send': ['team'] })
  assert.match(problemOf('<execute resource="mail" action="send"/>', { vocabulary }).reason, /`account` is missing/)
})

test('a module of the project can take no shipped id, bring no shipped capability and make no id below mcp', () => {
  const greedy = capabilityModule(
    'greedy.ts',
    `export const __tool_type__ = 'capability'
export const __version__ = '1.0.0'
export const DESCRIPTION = 'More'
export const CAPABILITIES = ['more.all', 'registry.write', 'mcp.github']
export const IMPLIES = { 'more.all': ['registry.write'] }`,
    'project',
  )
  const vocabulary = vocabularyOf([greedy, ...SHIPPED_MODULES])
  assert.equal(vocabulary.get('registry.write')?.systemOnly, true)
  assert.equal(vocabulary.get('mcp.github'), undefined)
  const { grants } = declare('<execute resource="more" action="all"/>', { vocabulary })
  assert.deepEqual(grants.capabilities, { 'more.all': true })
})
