import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Json } from '../../src/json.ts'
import type { ScenarioFunction } from '../../src/scripted-model/scenario.ts'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import { executes, openWorkshop, says, USAGE } from '../harness/safety/workshop.ts'
import type { Workshop } from '../harness/safety/workshop.ts'
import { fences } from './document.ts'
import { isAsShown } from './shell-examples.ts'

const DOCUMENT = 'docs/directives.md'
const FILES = { 'pages/home.md': 'Home.', 'drafts/new.md': 'New.', 'book/one.md': 'They met.' }

/** The directives that the document shows whole, by name. */
const SHOWN = new Map(
  fences(DOCUMENT, 'xml').flatMap((xml): [string, string][] => {
    const name = /^<directive name="([^"]+)"/u.exec(xml)?.[1]
    return name === undefined ? [] : [[name, xml]]
  }),
)

async function played(
  t: TestContext,
  names: readonly string[],
  scenario: ScenarioFunction,
): Promise<{ readonly shop: Workshop; readonly id: string; readonly row: ThreadRow }> {
  const directives = Object.fromEntries(names.map((name) => [name, `\`\`\`xml\n${SHOWN.get(name) ?? ''}\`\`\`\n`]))
  const shop = await openWorkshop(t, { directives, files: FILES, scenario })
  const id = await shop.spawn(names[0] ?? '')
  const [row] = await shop.threads.wait([id], { timeoutMs: 30_000 })
  assert(row !== undefined)
  return { shop, id, row }
}

/** The events of these types as the document writes them, in the order of the log. */
function eventLines(shop: Workshop, threadId: string, types: RegExp): string {
  return shop
    .events(threadId)
    .filter(({ event_type: type }) => types.test(type))
    .map(({ event_type: type, payload }) => `${type} ${JSON.stringify(payload)}\n`)
    .join('')
}

/** Fails unless a ```text block of the document that begins so is what was logged. */
function assertShown(begin: string, output: string): void {
  const shown = fences(DOCUMENT, 'text').find((text) => text.startsWith(begin))
  assert(shown !== undefined, `no block begins with ${begin}`)
  if (!isAsShown(output, shown)) assert.equal(output, shown)
}

/** The ```json blocks that show results of threads. */
function shownResults(): readonly Json[] {
  return fences(DOCUMENT, 'json')
    .slice(1)
    .map((text) => JSON.parse(text) as Json)
}

test('the hook that docs/directives.md shows is asked about the denial, and its answer is obeyed', async (t) => {
  const { shop, id, row } = await played(t, ['build_site', 'judge_denial'], ({ turn, firstUserText }) => {
    if (firstUserText.startsWith('<directive name="judge_denial"'))
      return says('{"action": "skip", "message": "The drafts are not needed."}')
    return turn === 1 ? executes(['read_file', { path: 'drafts/new.md' }]) : says('The site is about kiwis.')
  })
  assert.equal(row.end_reason, 'done')
  assertShown('permission_denied', eventLines(shop, id, /^(?:permission_denied|hook_)/u))
  const notes = shop.threads.messages(id).filter(({ role }) => role === 'system_note')
  assert.match(JSON.stringify(notes), /A hook has settled this \(permission_denied\): go on\. The drafts are not needed\./u)
})

test('the checks that docs/directives.md shows fail, are repaired, and make the result that is shown', async (t) => {
  const { shop, id, row } = await played(t, ['list_pages'], ({ turn }) =>
    turn === 2 ? executes(['write_file', { path: 'lists/pages.txt', content: 'home\nsearch\nnew\n' }]) : says('{"pages": 2}'),
  )
  assertShown('check_passed', eventLines(shop, id, /^check_/u))
  assert.deepEqual(row.result, shownResults()[0])
})

test('the checks that docs/directives.md shows end a thread that repairs nothing', async (t) => {
  const { row } = await played(t, ['list_pages'], () => says('{"pages": 2}'))
  assert.equal(row.end_reason, 'check_failed')
  assert.deepEqual(row.result, shownResults()[1])
})

test('the work of docs/directives.md whose context fills up goes on in another thread', async (t) => {
  const { shop, id, row } = await played(t, ['read_book'], ({ firstUserText, lastUserText }) => {
    if (lastUserText.includes('The context of this thread is nearly full')) return says('They met in chapter one.')
    if (firstUserText.includes('<handed_over>')) return says('They live happily.')
    return { reply: { ...executes(['read_file', { path: 'book/one.md' }]).reply, usage: { ...USAGE, input: 850 } } }
  })
  assert.deepEqual([row.thread_id, row.result], [`${id}_h1`, { text: 'They live happily.' }])
  assertShown('handoff', eventLines(shop, id, /^handoff$/u))
})
