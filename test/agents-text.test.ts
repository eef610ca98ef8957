import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createAgentsTextReader } from '../src/agents-text.ts'

for (const [target, text] of [
  ['../AGENTS.md', 'guidance'],
  ['../../outside.txt', null],
  ['../.env', null],
  ['threads/one/transcript.jsonl', null],
] as const) {
  test(`AGENTS.md that is a link to ${target} is ${text === null ? 'refused' : 'read'}`, (t) => {
    // Guard: `ownFile`. Without it whoever brings the folder has any file of its user sent to a model.
    const base = mkdtempSync(join(tmpdir(), 'kiwi-agents-'))
    t.after(() => rmSync(base, { recursive: true, force: true }))
    mkdirSync(join(base, 'project/.ai/threads/one'), { recursive: true })
    const files = { 'outside.txt': 'canary', 'project/.env': 'canary', 'project/.ai/threads/one/transcript.jsonl': 'canary' }
    for (const [path, content] of Object.entries({ ...files, 'project/AGENTS.md': 'guidance' }))
      writeFileSync(join(base, path), content)
    symlinkSync(target, join(base, 'project/.ai/AGENTS.md'))
    const read = createAgentsTextReader([join(base, 'project/.ai')])
    if (text === null) assert.throws(read, /is a link/)
    else assert.equal(read().text, text)
  })
}
