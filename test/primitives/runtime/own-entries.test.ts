import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createBaseHarness } from '../../../src/harness/base/base-harness.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { ownEntries } from '../../../src/primitives/runtime/own-entries.ts'
import { importVerified, type VerifiedSource } from '../../../src/primitives/runtime/verified-module.ts'

function moduleOf(code: string): VerifiedSource {
  return { path: '/nowhere/mine.ts', bytes: Buffer.from(code), space: 'project', imports: new Map() }
}

test('every entry of package.json leads to a source of this checkout', () => {
  const entries = ownEntries()
  assert.deepEqual([...entries.keys()].toSorted(), ['kiwi-mcp', 'kiwi-mcp/base-harness'])
  for (const url of entries.values()) assert.ok(readFileSync(fileURLToPath(url)).length > 0)
})

test('a verified module imports kiwi-mcp from anywhere and gets the modules of its host, also long after it was loaded', async () => {
  const module = await importVerified(
    moduleOf(`import { createBaseHarness } from 'kiwi-mcp/base-harness'
import type { Runner } from 'kiwi-mcp'
export const made = createBaseHarness
export const later = async (): Promise<unknown> => (await import('kiwi-mcp')).KiwiError`),
  )
  assert.equal(module['made'], createBaseHarness)
  assert.equal(await (module['later'] as () => Promise<unknown>)(), KiwiError)
})

test('another package is still looked for where the importing file is', async () => {
  await assert.rejects(importVerified(moduleOf(`import 'kiwi-mcp-plugins'`)), { code: 'ERR_MODULE_NOT_FOUND' })
})
