import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertRefused, parseKnowledgeText, parseText } from './parse.ts'

const NOTE = `---
title: How we deploy
tags: [deploy, ops]
version: "1.0.0"
description: The way to production
---
# Deploy

See [[rollback]], [[on-call|the rota]] and [[rollback]] again.

\`\`\`text
[[not_a_link]]
\`\`\`
`

test('a knowledge file gives title, tags, links and its text without the front matter', () => {
  const note = parseKnowledgeText('deploy.md', NOTE)
  assert.equal(note.title, 'How we deploy')
  assert.deepEqual(note.tags, ['deploy', 'ops'])
  assert.deepEqual(note.links, ['rollback', 'on-call'])
  assert(note.content.startsWith('# Deploy'))
  const { description, version } = parseText('knowledge', 'deploy.md', NOTE)
  assert.deepEqual([description, version], ['The way to production', '1.0.0'])
})

test('a file without front matter takes its title from the first heading, else from its name', () => {
  assert.equal(parseKnowledgeText('a.md', 'text\n\n# The heading\n').title, 'The heading')
  assert.equal(parseKnowledgeText('a_note.md', 'only text\n').title, 'a_note')
})

test('a signature line, a byte-order mark and CRLF line ends before the front matter are read over', () => {
  const note = parseKnowledgeText('a.md', `\ufeff<!-- kiwi:signed:x -->\r\n${NOTE.replaceAll('\n', '\r\n')}`)
  assert.equal(note.title, 'How we deploy')
  assert(note.content.startsWith('# Deploy'))
})

test('wrong front matter is refused at its line', () => {
  assertRefused(parseText('knowledge', 'a.md', '---\ntitle: 1\n---\n'), 2, /`title` must be text/)
  assertRefused(parseText('knowledge', 'a.md', '---\ntitle: x\ntags: x\n---\n'), 3, /`tags` must be a list/)
  assertRefused(parseText('knowledge', 'a.md', '---\ntags: [a, 1]\n---\n'), 2, /a tag must be text/)
  assertRefused(parseText('knowledge', 'a.md', '---\ntitle: x\n'), 1, /never closed/)
  assertRefused(parseText('knowledge', 'a.md', '---\n- a\n---\n'), 2, /must be a map/)
  assertRefused(parseText('knowledge', 'a.md', '---\nid: b\n---\n'), 2, /`id` is `b` but the file is named `a`/)
  assertRefused(parseText('knowledge', 'a.md', '---\ntitle: x\n__proto__: {}\n---\n'), 3, /`__proto__`/)
})

test('an unknown field of the front matter is a warning', () => {
  const { warnings } = parseText('knowledge', 'a.md', '---\ntitel: x\n---\n')
  assert.deepEqual(warnings, [{ line: 2, column: 1, reason: 'nothing reads `titel`', fix: 'Did you mean `title`?' }])
})

test('text full of fence marks and brackets is read in linear time', () => {
  const note = parseKnowledgeText('a.md', `${'`'.repeat(200_000)}\n${'['.repeat(400_000)}${'~'.repeat(200_000)}`)
  assert.deepEqual(note.links, [])
})
