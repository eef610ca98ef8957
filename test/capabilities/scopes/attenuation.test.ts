import assert from 'node:assert/strict'
import { test } from 'node:test'
import { containsValue, coversAll, meetSets } from '../../../src/capabilities/scopes/scope-sets.ts'
import type { ScopeLanguage } from '../../../src/capabilities/scopes/scope-sets.ts'
import { createRandom } from './random.ts'
import type { Random } from './random.ts'

interface Family {
  readonly language: ScopeLanguage
  readonly seed: number
  readonly pairs: number
  scope(random: Random): string
  /** Every concrete value that can tell two scopes of this family apart. */
  readonly values: readonly string[]
}

const NAMES = ['a', 'b', 'A', '.c', 'x.ts', 'x.test.ts', '.ts', 'x.js'] as const
const SHALLOW = NAMES.flatMap((first) => [first, ...NAMES.map((second) => `${first}/${second}`)])
const PATHS: Family = {
  language: 'path',
  seed: 44,
  pairs: 100_000,
  scope(random) {
    const base = random.some(() => random.pick(NAMES), 2)
    return [...base, random.pick(['**', '*', '*.ts', '*.test.ts', '*.js', '**/*', ...NAMES])].join('/')
  },
  values: [
    '.',
    ...SHALLOW,
    ...SHALLOW.filter((path) => path.includes('/')).flatMap((path) => [`${path}/a`, `${path}/x.test.ts`, `${path}/b/b`]),
  ],
}

const HOSTS: Family = {
  language: 'host',
  seed: 45,
  pairs: 20_000,
  scope(random) {
    const name = random.pick(['a.example', 'b.a.example', 'example', 'xa.example', 'c.b.a.example', '127.0.0.1', '[::1]'])
    const pattern = /[:\d]/.test(name) || random.below(2) === 0 ? name : `*.${name}`
    const ports = /[:\d]/.test(name) ? [':80', ':443', ':8080'] : ['', ':80', ':443', ':8080']
    return pattern + random.pick(ports)
  },
  values: [
    'example',
    'a.example',
    'xa.example',
    'b.a.example',
    'ba.example',
    'c.b.a.example',
    'd.c.b.a.example',
    'n.xa.example',
    '127.0.0.1',
    '[::1]',
    'localhost',
  ].flatMap((host) => ['80', '443', '8080', '81'].map((port) => `${host}:${port}`)),
}

const LETTERS = ['a', 'b', 'B', '_', '.', '-'] as const
const IDS: Family = {
  language: 'id',
  seed: 46,
  pairs: 20_000,
  scope: (random) => random.pick(['a', 'b', 'B']) + random.some(() => random.pick(LETTERS), 2).join('') + random.pick(['', '*']),
  values: ['a', 'b', 'B'].flatMap((first) => [
    first,
    ...LETTERS.flatMap((second) => [first + second, ...LETTERS.map((third) => first + second + third)]),
  ]),
}

for (const family of [PATHS, HOSTS, IDS]) {
  const { language, pairs, values } = family
  // Guard: the comparisons in src/capabilities/scopes/ that `covers`, `meet` and membership are made of. It fails with `below === 1` of a path rule widened
  // to `below >= 1`, without the dot before a host's suffix, or without `inner.kind === 'exact'` for ids.
  test(`threat row 44: whatever ${language} scopes a child gets of ${pairs} random parents and requests, its parent contains too`, () => {
    const random = createRandom(family.seed)
    const inside = createMembership(family)
    let nonEmpty = 0
    for (let pair = 0; pair < pairs; pair += 1) {
      const parent = random.some(() => family.scope(random), 3)
      const request = random.some(() => family.scope(random), 3)
      const child = meetSets(parent, request, language)
      const [inParent, inRequest, inChild] = [inside(parent), inside(request), inside(child)]
      const difference = values.filter((_, at) => (inChild >> BigInt(at)) % 2n !== ((inParent & inRequest) >> BigInt(at)) % 2n)
      if (inChild !== (inParent & inRequest))
        assert.deepEqual(difference, [], `${parent.join(' ')} ∩ ${request.join(' ')} = ${child.join(' ')}`)
      if (!coversAll(parent, child, language) || !coversAll(request, child, language))
        assert.fail(`${parent.join(' ')} does not cover ${child.join(' ')}`)
      if (coversAll(parent, request, language) && (inRequest & ~inParent) !== 0n)
        assert.fail(`${parent.join(' ')} does not cover ${request.join(' ')}`)
      if (child.length > 0) nonEmpty += 1
    }
    assert(nonEmpty > pairs / 10, `only ${nonEmpty} pairs have anything in common`)
  })
}

/** The values that a list of scopes contains, as the bits of a number; each scope is asked once for every value. */
function createMembership({ language, values }: Family): (scopes: readonly string[]) => bigint {
  const known = new Map<string, bigint>()
  const ofScope = (scope: string): bigint => {
    const before = known.get(scope)
    if (before !== undefined) return before
    let bits = 0n
    for (const [at, value] of values.entries()) if (containsValue([scope], value, language)) bits |= 1n << BigInt(at)
    known.set(scope, bits)
    return bits
  }
  return (scopes) => scopes.reduce((bits, scope) => bits | ofScope(scope), 0n)
}

// Guard: `some` over the scopes in src/capabilities/scopes/scope-sets.ts, which an empty list fails. With a `scopes.length === 0 ||` before it this fails.
test('threat row 44: an empty list of scopes contains nothing, and nothing comes of meeting it', () => {
  for (const language of ['path', 'host', 'id'] as const) {
    const all = { path: '**', host: '*.example', id: '*' }[language]
    assert(!containsValue([], { path: '.', host: 'a.example:80', id: 'a' }[language], language))
    assert(!coversAll([], [all], language))
    assert.deepEqual(meetSets([], [all], language), [])
    assert.deepEqual(meetSets([all], [], language), [])
  }
})

// Guard: exact comparison of segments in src/capabilities/scopes/path-scope.ts, and parseRelativePath for every value and segment.
for (const { parent, request } of [
  { parent: 'src/*', request: 'src/**' },
  { parent: 'src/**', request: '**' },
  { parent: 'src/**', request: 'SRC/**' },
  { parent: 'src/**', request: 'src/../**' },
  { parent: 'src/**', request: 'src/../secret' },
  { parent: 'caf\u00e9/**', request: 'cafe\u0301/**' },
  { parent: 'src/a', request: 'src/a/**' },
  { parent: 'src/*.ts', request: 'src/*' },
]) {
  test(`threat row 44: ${JSON.stringify(request)} within ${JSON.stringify(parent)} does not widen it`, () => {
    assert(!coversAll([parent], [request], 'path'))
    const met = meetSets([parent], [request], 'path')
    assert(coversAll([parent], met, 'path'))
    assert(!met.includes(request))
  })
}
