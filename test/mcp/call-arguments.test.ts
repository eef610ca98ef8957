import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { KiwiError } from '../../src/kernel/errors.ts'
import { parseCallArguments, projectOfCall } from '../../src/mcp/call-arguments.ts'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-call-arguments-')))
after(() => rmSync(root, { recursive: true, force: true }))

const TOOL = {
  name: 'load',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['item_id'],
    properties: { item_id: { type: 'string' }, item_type: { enum: ['tool', 'directive'] }, parameters: { type: 'object' } },
  },
}

async function failureOf(given: unknown): Promise<KiwiError> {
  const error: unknown = await parseCallArguments(TOOL, given).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof KiwiError)
  return error
}

test('valid arguments pass unchanged', async () => {
  assert.deepEqual(await parseCallArguments(TOOL, { item_id: 'x', parameters: { a: [1] } }), {
    item_id: 'x',
    parameters: { a: [1] },
  })
})

test('every bad field is named with what was expected', async () => {
  const error = await failureOf({ item_type: 'toool', extra: 1 })
  assert.equal(error.code, 'INVALID_REQUEST')
  assert.deepEqual(error.context.failedAt?.validation_errors.map(({ field }) => field).toSorted(), [
    'extra',
    'item_id',
    'item_type',
  ])
  assert.match(
    error.context.failedAt?.validation_errors.find(({ field }) => field === 'item_type')?.error ?? '',
    /tool, directive/u,
  )
})

test('absent arguments are an empty object, and a list is not an object', async () => {
  assert.match((await failureOf(undefined)).message, /item_id/u)
  assert.match((await failureOf([1])).message, /must be object/u)
})

test('names that begin with two underscores are refused in parameters', async () => {
  const error = await failureOf({ item_id: 'x', parameters: { __auth: 'forged' } })
  assert.match(error.message, /__auth/u)
})

test('a project is an existing absolute folder, with its links resolved', () => {
  mkdirSync(join(root, 'real'))
  symlinkSync(join(root, 'real'), join(root, 'link'))
  assert.equal(projectOfCall(undefined, '/default'), '/default')
  assert.equal(projectOfCall(join(root, 'link'), '/default'), join(root, 'real'))
})

test('a relative path, a missing folder, a file, a NUL byte and a path that nobody can look at are refused as projects', () => {
  writeFileSync(join(root, 'file'), '')
  for (const given of ['relative', join(root, 'missing'), join(root, 'file'), `/${'x'.repeat(5_000)}`, `${root}\0`]) {
    assert.throws(
      () => projectOfCall(given, '/default'),
      (error: unknown) => error instanceof KiwiError && error.code === 'INVALID_REQUEST',
      given,
    )
  }
})
