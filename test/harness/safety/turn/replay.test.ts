import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { directive, executes, openWorkshop, runtimeTool, says } from '../workshop.ts'

test('a tool that is removed while its thread is interrupted still has its one recorded result', async (t) => {
  const shop = await openWorkshop(t, {
    directives: { work: directive('work') },
    tools: {
      quick: runtimeTool("return 'quick result'"),
      slow: runtimeTool(
        "await new Promise((_, reject) => context.signal.addEventListener('abort', () => reject(new Error('stopped'))))",
      ),
    },
    scenario: ({ turn }) => (turn === 1 ? executes(['quick', {}], ['slow', {}]) : says('Done.')),
  })
  const id = await shop.spawn('work')
  const deadline = performance.now() + 5_000
  while (shop.events(id, 'tool_result').length === 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5))
  for (const tool of ['quick', 'slow']) rmSync(join(shop.projectPath, `.ai/tools/${tool}.ts`))
  await shop.restart()
  const row = await shop.until(id, 'completed', 'error')
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const results = shop.results(id)
  assert.deepEqual([results.length, results[0]], [2, 'quick result'], JSON.stringify(results))
})
