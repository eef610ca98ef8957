import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ORCHESTRATION_TOOLS } from '../../../src/capabilities/permissions/declared-grants.ts'
import { SHIPPED, declare, granted } from './shipped-vocabulary.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const DOCUMENT = readFileSync(join(ROOT, 'docs', 'permissions.md'), 'utf8')
const HELP = readFileSync(join(ROOT, 'system', 'knowledge', 'help', 'permissions.md'), 'utf8')

interface Row {
  readonly id: string
  readonly scope: string
  readonly tag: string
  readonly allows: string
}

const ROWS: readonly Row[] = Array.from(
  DOCUMENT.matchAll(/^\| `([\w-]+\.[\w-]+)` \| ([^|]+) \| (?:`(<[^|`]+>)`|never declared) \| ([^|]+) \|$/gm),
  ([, id = '', scope = '', tag = '', allows = '']) => ({ id, scope, tag, allows }),
)

test('docs/permissions.md has a row for each shipped capability, and no other', () => {
  const described = SHIPPED.list().map(({ id, scope, defaultParameter, systemOnly, description }) => {
    const written = scope === null ? 'none' : `${scope}, from \`${defaultParameter}\``
    return { id, scope: systemOnly ? `${written}; system-only` : written, allows: description }
  })
  const rows = ROWS.map(({ id, scope, allows }) => ({ id, scope, allows })).toSorted((left, right) =>
    left.id < right.id ? -1 : 1,
  )
  assert.deepEqual(rows, described)
})

test('the permission in each row of docs/permissions.md grants its capability', () => {
  assert(ROWS.length > 20)
  for (const { id, scope, tag } of ROWS.filter((row) => row.tag !== '')) {
    assert(Object.hasOwn(granted(tag, 'system').capabilities, id), tag)
    assert.equal(declare(tag).problems.length, scope.endsWith('system-only') ? 1 : 0, tag)
  }
})

test('only tool.approved is said never to be declared', () => {
  assert.deepEqual(
    ROWS.flatMap(({ id, tag }) => (tag === '' ? [id] : [])),
    ['tool.approved'],
  )
})

test('the examples of docs/permissions.md have neither problems nor warnings', () => {
  const examples = Array.from(DOCUMENT.matchAll(/```xml\n<permissions>\n([^]*?)<\/permissions>\n```/g), ([, tags = '']) => tags)
  assert.equal(examples.length, 2)
  for (const tags of examples) {
    const { problems, warnings } = declare(tags)
    assert.deepEqual({ problems, warnings }, { problems: [], warnings: [] })
  }
})

test('docs/permissions.md names the tools that come with orchestration', () => {
  assert.deepEqual(
    ORCHESTRATION_TOOLS.filter((tool) => !DOCUMENT.includes(`\`${tool}\``)),
    [],
  )
})

test('every permission that the help shows can be declared by a project', () => {
  const tags = Array.from(HELP.matchAll(/`(<[a-z]+ [^`]*\/>)`/g), ([, tag = '']) => tag)
  assert(tags.length > 7)
  for (const tag of tags) assert.deepEqual(declare(tag).problems, [], tag)
})
