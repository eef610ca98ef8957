import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { kiwi } from './kiwi-process.ts'

test('kiwi sign tells what a signed directive can hardly mean', async (t) => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-sign-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const project = join(root, 'project')
  mkdirSync(join(project, '.ai/directives'), { recursive: true })
  writeFileSync(
    join(project, '.ai/directives/odd.md'),
    `\`\`\`xml
<directive name="odd" version="1.0.0">
  <metadata><description>d</description><model tier="fast"/><cost max_turns="3" on_exceeded="stop"/>
    <permissions><execute resource="tool" action="read_file"/></permissions></metadata>
  <process><step name="go">Go.</step></process>
</directive>
\`\`\`
`,
  )
  const { code, stdout, stderr } = await kiwi(['sign', 'directive', 'odd'], {
    cwd: project,
    env: { HOME: join(root, 'home'), USER_SPACE: join(root, 'user') },
  })
  assert.deepEqual([code, stdout], [0, 'Signed .ai/directives/odd.md.\n'])
  assert.match(stderr, /warning: .*odd\.md:4:\d+: `action` is read as `id`/)
})
