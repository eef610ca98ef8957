import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COMPLETE_METADATA, directiveFile } from './item-spaces.ts'
import { assertRefused, parseDirectiveText, parseText } from './parse.ts'

const withBody = (body: string) => parseText('directive', 'd.md', directiveFile('d', { body }))
const withStep = (text: string) => withBody(`<process><step name="a">${text}</step></process>`)

test('threat row 22: document types, entities, processing instructions and declarations are refused with their line', () => {
  const laughs = '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>'
  const external = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
  for (const type of [laughs, external]) {
    const file = directiveFile('d').replace('<directive', `${type}\n<directive`)
    assertRefused(parseText('directive', 'd.md', file), 4, /a document type/)
  }
  assertRefused(withStep('\n&lol;'), 12, /an entity that is not one of/)
  assertRefused(withBody('<process><step name="&x;"/></process>'), 11, /unknown entity/)
  assertRefused(
    parseText('directive', 'd.md', directiveFile('d').replace('<directive', '<?xml version="1.0"?>\n<directive')),
    4,
    /processing instruction/,
  )
  assertRefused(withStep('<?run this?>'), 11, /processing instruction/)
  assertRefused(withStep('<!ELEMENT a ANY>'), 11, /a document type or another declaration/)
})

test('threat row 22: the five entities and numeric ones are text, never tags', () => {
  const file = directiveFile('d', {
    body: '<process><step name="a">&lt;step&gt; &amp; &#60;b&#x3E; &quot;x&apos;</step></process>',
  })
  assert.equal(parseDirectiveText('d.md', file).steps[0]?.text, '<step> & <b> "x\'')
})

test('threat row 22: a CDATA section is text; one that is never closed, or ends early, is refused', () => {
  const file = directiveFile('d', { body: '<process><step name="a"><![CDATA[if (a < b && c) {}]]></step></process>' })
  assert.equal(parseDirectiveText('d.md', file).steps[0]?.text, 'if (a < b && c) {}')
  assertRefused(withStep('<![CDATA[ x'), 11, /CDATA section that is never closed/)
})

test('threat row 23: 10,000 and 100,000 levels of tags, a huge attribute and 100,000 attributes end in a limit error', () => {
  assertRefused(withStep('<a>'.repeat(10_000)), 11, /nested deeper than 64/)
  assertRefused(withStep(`${'<a>'.repeat(100_000)}${'</a>'.repeat(100_000)}`), 11, /nested deeper than 64/)
  assertRefused(withStep(`<a b="${'x'.repeat(1_000_000)}"/>`), 11, /more than 16384 characters/)
  assertRefused(
    withStep(`<a ${Array.from({ length: 100_000 }, (_, index) => `b${index}=""`).join(' ')}/>`),
    11,
    /more than 32 attributes/,
  )
  assertRefused(withStep('<a/>'.repeat(20_000)), 11, /more than 10000 tags/)
})

test('threat row 23: a directive of 5 MB is refused before it is parsed', () => {
  assertRefused(parseText('directive', 'd.md', directiveFile('d') + 'x'.repeat(5 * 1024 * 1024)), 1, /the limit is 1048576/)
})

test('threat row 24: a block that ends before the directive does is refused where it ends', () => {
  assertRefused(withStep('\nRun:\n```\nrm -rf build\n'), 13, /ends before `<\/directive>`/)
})

test('threat row 24: a fence with a language inside the block is refused, and accepted inside a longer fence', () => {
  const body = '<process><step name="a">\n```bash\nls\n```\n</step></process>'
  assertRefused(withBody(body), 12, /would end it early/)
  const longer = directiveFile('d', { body })
    .replace('```xml', '````xml')
    .replace(/```\n$/, '````\n')
  assert.match(parseDirectiveText('d.md', longer).steps[0]?.text ?? '', /```bash\nls\n```/)
})

test('threat row 24: directive tags after the block are refused with their line, other text and shown code are not', () => {
  for (const stray of ['</process>', '<step name="b">do more</step>', 'and then </directive>', '```xml\n<step name="x"/>\n```']) {
    const { definition, problems } = parseText('directive', 'd.md', `${directiveFile('d')}\n${stray}\n`)
    assert.equal(definition, null, stray)
    assert.match(problems[0]?.reason ?? '', /stands after the directive's block/)
  }
  parseDirectiveText('d.md', `${directiveFile('d')}\nA \`<step>\` is one thing to do; 1 < 2.\n\n\`\`\`html\n<step>\n\`\`\`\n`)
})

test('threat row 24: `]]>` in text is refused instead of ending a section early', () => {
  assertRefused(withStep('a[b[0]]> 1'), 11, /outside of a CDATA section/)
  assertRefused(withStep('<![CDATA[ a <![CDATA[ b ]]> c ]]>'), 11, /outside of a CDATA section/)
})

test('threat row 24: no block, two directives, an unclosed block and a second root are refused', () => {
  assertRefused(parseText('directive', 'd.md', '# nothing\n'), 1, /no ```xml block/)
  assertRefused(parseText('directive', 'd.md', directiveFile('d') + directiveFile('d')), 18, /a second ```xml block/)
  assertRefused(parseText('directive', 'd.md', directiveFile('d').replace(/```\n$/, '')), 3, /never closed/)
  const twice = directiveFile('d').replace('</directive>', '</directive>\n<directive name="e"></directive>')
  assert.equal(parseText('directive', 'd.md', twice).definition, null)
})

test('broken XML is refused at its line in the file, also after text with less-than signs', () => {
  assertRefused(withBody('<process><step name="a">1 < 2 < 3\n4 < 5</stop></process>'), 12, /end tag/i)
  assertRefused(withStep('a && b'), 11, /an entity/)
  assertRefused(withStep('a <- b'), 11, /starts no tag/)
  assertRefused(withStep('<b c="<d>"/>'), 11, /Unescaped|inside a tag|attribute/)
  assertRefused(withBody('<process><step name="a" name="b"/></process>'), 11, /Duplicate attribute/)
  assertRefused(withStep('<!-- never closed'), 11, /comment that is never closed/)
})

test('names that reach a prototype are refused as tags and attributes', () => {
  const metadata = COMPLETE_METADATA.replace('<read resource', '<read __proto__="x" resource')
  assertRefused(parseText('directive', 'd.md', directiveFile('d', { metadata })), 9, /`__proto__` is not allowed/)
  assertRefused(withStep('<constructor/>'), 11, /`constructor` is not allowed/)
})
