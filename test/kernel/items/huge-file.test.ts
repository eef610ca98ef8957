import assert from 'node:assert/strict'
import { truncateSync } from 'node:fs'
import { test } from 'node:test'
import { createItemSpaces } from './item-spaces.ts'

test('threat row 20: a file of gigabytes is refused by its size, without being read', async (t) => {
  const { write, store } = createItemSpaces(t)
  const path = write('project', 'tools/huge.yaml', 'tool_id: huge\n')
  // Sparse: it takes no room, but reading it would take memory for all of it.
  truncateSync(path, 1_500_000_000)
  const before = process.resourceUsage().maxRSS
  const item = await store().find('tool', 'huge')
  assert.match(item?.state.kind === 'unavailable' ? (item.state.problems[0]?.reason ?? '') : '', /1500000000 bytes/)
  assert.ok((process.resourceUsage().maxRSS - before) / 1024 < 500, 'less than 500 MB more were ever resident')
})
