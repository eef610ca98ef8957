import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutParameters } from '../../../src/connectors/generate/literal-text.ts'
import { parseText, TemplateError } from '../../../src/kernel/template/placeholder.ts'
import { compileTemplate } from '../../../src/kernel/template/template.ts'
import { createRandom } from '../../capabilities/scopes/random.ts'

test('variables stay variables, and placeholders become their own text', () => {
  assert.equal(withoutParameters('${HOST:-localhost}/{id}?k=${KEY}', []), '${HOST:-localhost}/{{id}}?k=${KEY}')
})

test('what was escaped stays escaped, and braces of JSON stay', () => {
  for (const text of ['{{name}}', '$${HOME}', '{"a": [1]}', '{ }', '$5', '{{{a}}', '$$${x'])
    assert.equal(withoutParameters(text, []), text)
})

test('lists and maps are read to their leaves, and everything else stays', () => {
  assert.deepEqual(withoutParameters({ a: ['{x}', 1, null], b: { c: '${D}', e: true } }, []), {
    a: ['{{x}}', 1, null],
    b: { c: '${D}', e: true },
  })
})

test('a text that is no template is refused with its place', () => {
  assert.throws(
    () => withoutParameters(['ok', '{user.name}'], ['config', 'args']),
    (error) => error instanceof TemplateError && error.path.join('.') === 'config.args.1',
  )
  assert.throws(() => withoutParameters('${not a name}', ['config', 'cwd']), TemplateError)
})

test('whatever the text, the result names no parameter and means the same with its placeholders as text', () => {
  const random = createRandom(8)
  const pieces = ['{', '}', '$', '{a}', '{{a}}', '${A}', '${A:-x{y}', '$${', 'a', '.', '[', '"', '{a-b}', '}}', '{{']
  for (let round = 0; round < 20_000; round += 1) {
    const text = random.some(() => random.pick(pieces), 7).join('')
    const meant = meaningOf(text)
    if (meant === null) continue
    const literal = withoutParameters(text, [])
    assert.equal(meaningOf(literal), meant, text)
    assert.equal(compileTemplate({ a: literal }).parameterPaths.size, 0, text)
  }
})

/** Null for a text that is no template. */
function meaningOf(text: string): string | null {
  try {
    return parseText(text, [])
      .map((part) => {
        if (part.kind === 'text') return part.text
        return part.kind === 'parameter' ? `{${part.name}}` : `<${part.name} ${part.fallback}>`
      })
      .join('')
  } catch (error) {
    if (error instanceof TemplateError) return null
    throw error
  }
}
