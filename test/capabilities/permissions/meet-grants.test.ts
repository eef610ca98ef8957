import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Capabilities, CategoryRule, Grants } from '../../../src/capabilities/contract.ts'
import {
  NO_GRANTS,
  capabilityContains,
  capabilityCovers,
  coversGrants,
  meetGrants,
} from '../../../src/capabilities/permissions/meet-grants.ts'
import { SHIPPED, granted } from './shipped-vocabulary.ts'

const EXECUTE = '<execute resource="kiwi-mcp" action="execute"/>'

function holding(capabilities: Capabilities): Grants {
  return { ...NO_GRANTS, capabilities }
}

function meet(parent: Grants, declared: Grants): Grants {
  const child = meetGrants(parent, declared, SHIPPED)
  assert(coversGrants(parent, child, SHIPPED))
  return child
}

test('a child that declares more than its parent has gets what both have', () => {
  const parent = granted(`${EXECUTE}<write resource="filesystem" path="src/**"/><execute resource="tool" id="write_*"/>`)
  const declared = granted(`${EXECUTE}<write resource="filesystem" path="**"/><read resource="filesystem" path="docs/**"/>
<execute resource="tool" id="*"/><execute resource="shell"/><execute resource="net" host="a.example"/>`)
  const child = meet(parent, declared)
  assert.deepEqual(child.capabilities, {
    'fs.read': ['src/**'],
    'fs.write': ['src/**'],
    'kiwi-mcp.execute': true,
    'kiwi-mcp.help': true,
    'kiwi-mcp.load': true,
    'kiwi-mcp.search': true,
    'tool.execute': ['write_*'],
  })
  assert(!coversGrants(parent, declared, SHIPPED))
})

test('no declaration grants nothing, and nothing comes of a parent without grants', () => {
  const parent = granted('<read resource="filesystem" path="**"/>')
  assert.deepEqual(meet(parent, NO_GRANTS).capabilities, {})
  assert.deepEqual(meet(NO_GRANTS, parent).capabilities, {})
  assert(!coversGrants(NO_GRANTS, parent, SHIPPED))
})

// Guard: `if (scopes.length > 0)` in src/capabilities/permissions/meet-grants.ts keeps an empty list out of the grant, and `some` over it fails either way.
test('threat row 44: a capability that lost its last scope is not held at all', () => {
  const child = meet(holding({ 'fs.read': ['src/**'] }), holding({ 'fs.read': ['docs/**'] }))
  assert.deepEqual(child.capabilities, {})
  assert(!capabilityCovers({ 'fs.read': [] }, { id: 'fs.read', scope: 'docs/a' }, SHIPPED))
  assert(!capabilityContains({ 'fs.read': [] }, { id: 'fs.read', value: 'docs/a' }, SHIPPED))
})

// Guard: the comparison of the two forms in meetCapabilities and capabilityCovers: `true` is no scope, and a list is no `true`.
test('threat row 44: a grant of the wrong form grants nothing', () => {
  assert.deepEqual(meet(holding({ 'fs.read': true }), holding({ 'fs.read': ['**'] })).capabilities, {})
  assert.deepEqual(meet(holding({ 'process.exec': ['**'] }), holding({ 'process.exec': true })).capabilities, {})
  assert(!capabilityCovers({ 'fs.read': true }, { id: 'fs.read', scope: 'a' }, SHIPPED))
  assert(!capabilityCovers({ 'fs.read': ['**'] }, { id: 'fs.read', scope: null }, SHIPPED))
  assert(!capabilityCovers({ 'process.exec': [] }, { id: 'process.exec', scope: null }, SHIPPED))
  assert(!coversGrants(holding({ 'fs.read': ['**'] }), holding({ 'fs.read': true }), SHIPPED))
})

test('a capability that no module declares is not passed on, and no name of a prototype is held', () => {
  assert.deepEqual(meet(holding({ 'no.such': true }), holding({ 'no.such': true })).capabilities, {})
  assert(!capabilityCovers(holding({}).capabilities, { id: 'constructor', scope: null }, SHIPPED))
  assert(!capabilityCovers(holding({}).capabilities, { id: 'toString', scope: null }, SHIPPED))
})

test('an actual value is never read as a pattern', () => {
  const held: Capabilities = { 'fs.read': ['src/*'] }
  assert(capabilityContains(held, { id: 'fs.read', value: 'src/[id].ts' }, SHIPPED))
  assert(!capabilityContains(held, { id: 'fs.read', value: 'src/../a' }, SHIPPED))
  assert(!capabilityCovers(held, { id: 'fs.read', scope: 'src/**' }, SHIPPED))
  assert(capabilityCovers(held, { id: 'fs.read', scope: 'src/*.ts' }, SHIPPED))
})

const QUALITY: CategoryRule = { allowCategories: ['quality'], denyCategories: [], allowIds: null, denyIds: [] }
const NO_DOCS: CategoryRule = { allowCategories: null, denyCategories: ['docs'], allowIds: null, denyIds: [] }

test("a child's rules are its parent's, then its own, each once", () => {
  const parent: Grants = { ...NO_GRANTS, orchestration: [QUALITY], knowledge: [QUALITY] }
  const child = meet(parent, { ...NO_GRANTS, orchestration: [QUALITY, NO_DOCS], knowledge: [], directives: [NO_DOCS] })
  assert.deepEqual(child, { capabilities: {}, orchestration: [QUALITY, NO_DOCS], knowledge: [QUALITY], directives: [NO_DOCS] })
})

test('a child may spawn only where its parent may', () => {
  const spawning: Grants = { ...NO_GRANTS, orchestration: [] }
  assert.equal(meet(NO_GRANTS, spawning).orchestration, null)
  assert.equal(meet(spawning, NO_GRANTS).orchestration, null)
  assert.deepEqual(meet(spawning, spawning).orchestration, [])
  assert(!coversGrants(NO_GRANTS, spawning, SHIPPED))
})

test('a child without a rule of its parent is not within its parent', () => {
  const parent: Grants = { ...NO_GRANTS, orchestration: [QUALITY], knowledge: [QUALITY], directives: [QUALITY] }
  assert(coversGrants(parent, { ...parent, orchestration: null }, SHIPPED))
  assert(!coversGrants(parent, { ...parent, orchestration: [] }, SHIPPED))
  assert(!coversGrants(parent, { ...parent, knowledge: [NO_DOCS] }, SHIPPED))
  assert(!coversGrants(parent, { ...parent, directives: [NO_DOCS, QUALITY] }, SHIPPED))
})
