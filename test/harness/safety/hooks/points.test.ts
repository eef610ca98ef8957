import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executes, runtimeTool, says } from '../workshop.ts'
import {
  asksForHelp,
  decides,
  finish,
  guard,
  guarded,
  hook,
  hookEvents,
  hookThreads,
  notes,
  openGuarded,
  runs,
} from './hooked.ts'

const FAILS = runtimeTool("throw new Error('the build is broken')")

test('a hook before a step is heard before the model is called for the first time', async (t) => {
  const shop = await openGuarded(t, hook('event.name == "before_step" and event.detail.turn == 1'), {
    scenario: guarded(
      () => says('Done.'),
      () => decides('continue', 'Mind the tests.'),
    ),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const roles = shop.threads.messages(row.thread_id).map(({ role }) => role)
  assert.deepEqual(roles, ['user', 'system_note', 'assistant'])
  assert.match(notes(shop, row.thread_id)[0] ?? '', /Mind the tests\./)
  assert.deepEqual(hookEvents(shop, row.thread_id), [
    {
      type: 'hook_started',
      event: 'before_step',
      code: 'turn',
      when: 'event.name == "before_step" and event.detail.turn == 1',
      directive: 'guard',
    },
    { type: 'hook_finished', event: 'before_step', code: 'turn', action: 'continue', message: 'Mind the tests.' },
  ])
})

test('a hook after a step is told which tools were called', async (t) => {
  const shop = await openGuarded(t, hook('event.name == "after_step" and "read_file" in event.detail.tools'), {
    files: { 'a.txt': 'a' },
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')),
      () => decides('continue'),
    ),
  })
  const row = await finish(shop)
  assert.deepEqual([row.end_reason, hookThreads(shop, row.thread_id).length], ['done', 1])
})

test('a hook on an error is told the tool and its message as inputs', async (t) => {
  const inputs = {
    tool: '${event.detail.tool}',
    what: 'It says: ${event.detail.message}',
    all: '${event.detail}',
    gone: '${cost.no}',
  }
  const declared = ['tool', 'what', 'all', 'gone'].map((name) => `<input name="${name}"/>`).join('')
  const shop = await openGuarded(t, hook('event.code == "tool_failed"', 'guard', inputs), {
    tools: { build: FAILS },
    directives: { guard: guard('guard', undefined, `<inputs>${declared}</inputs>`) },
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['build', {}]) : says('Done.')),
      () => decides('skip'),
    ),
  })
  const row = await finish(shop)
  const [child] = hookThreads(shop, row.thread_id)
  const start = shop.store.statement('SELECT start_json FROM thread_starts WHERE thread_id = ?').get(child?.thread_id ?? '')
  const given = (JSON.parse(String(start?.['start_json'])) as { inputs: Record<string, string> }).inputs
  assert.deepEqual(Object.keys(given), ['tool', 'what', 'all'])
  assert.equal(given['tool'], 'build')
  assert.match(given['what'] ?? '', /^It says: .*the build is broken/)
  assert.equal((JSON.parse(given['all'] ?? '') as { tool: string }).tool, 'build')
})

test('the first hook whose condition is true is run, and no other', async (t) => {
  const hooks = [
    hook('event.code == "stuck"', 'guard'),
    hook('event.name == "on_error" and cost.tool_calls == 1 and limits.max_turns == 20', 'second'),
    hook('event.name == "on_error"', 'guard'),
  ]
  const shop = await openGuarded(t, hooks.join(''), {
    tools: { build: FAILS },
    directives: { second: guard('second') },
    scenario: (conversation) => {
      if (runs(conversation, 'second')) return decides('skip')
      return conversation.turn === 1 ? executes(['build', {}]) : says('Done.')
    },
  })
  const row = await finish(shop)
  assert.deepEqual(
    hookThreads(shop, row.thread_id).map(({ directive_id: id }) => id),
    ['second'],
  )
})

test('a hook on a denied permission reads what is granted and what was required', async (t) => {
  const when =
    'event.code == "permission_denied" and "fs.write" in permissions.required and not ("fs.write" in permissions.granted) ' +
    'and "fs.read" in permissions.granted'
  const permissions =
    '<execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="*"/><read resource="filesystem" path="**"/>'
  const shop = await openGuarded(t, hook(when), {
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['write_file', { path: 'a.txt', content: 'x' }]) : says('Done.')),
      () => decides('fail', 'It must not write.'),
    ),
    permissions,
  })
  const row = await finish(shop)
  assert.deepEqual([row.status, row.end_reason], ['error', 'permission_denied'])
  assert.match(JSON.stringify(row.result), /fs\.write.*It must not write\./)
})

test('a hook answers a thread that says it is stuck, so that nobody has to be asked', async (t) => {
  const shop = await openGuarded(t, hook('event.code == "stuck"'), {
    scenario: guarded(
      ({ turn }) => (turn === 1 ? asksForHelp('stuck', 'No idea which file.') : says('Done.')),
      ({ firstUserText }) => decides('retry', firstUserText.includes('No idea which file.') ? 'Look into src.' : 'Unknown.'),
    ),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done')
  assert.match(notes(shop, row.thread_id)[0] ?? '', /try again after stuck \(1 of 3\)\. Look into src\./)
  assert.equal(shop.threads.approvals.list({ thread_id: row.thread_id }).length, 0)
})

test('a hook answers a loop, so that nobody has to be asked', async (t) => {
  const shop = await openGuarded(t, hook('event.code == "loop_detected"'), {
    files: { 'a.txt': 'a' },
    scenario: guarded(
      ({ turn }) => (turn <= 3 ? executes(['read_file', { path: 'a.txt' }]) : says('Done.')),
      () => decides('skip', 'It is a short file.'),
    ),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done')
  assert.match(notes(shop, row.thread_id).at(-1) ?? '', /settled this \(loop_detected\): go on\. It is a short file\./)
})

test('a hook answers a model that cannot be called, and the call is made again', async (t) => {
  const shop = await openGuarded(t, hook('event.code == "stream_failed"'), {
    scenario: guarded(
      (_conversation, { seq }) => (seq === 1 ? { fault: { kind: 'status', status: 400 } } : says('Done.')),
      () => decides('retry'),
    ),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
})

test('a hook on failed checks answers with structured outputs, and the thread gets another round', async (t) => {
  const outputs = '<outputs><schema>{"type": "object", "required": ["action"]}</schema></outputs>'
  const shop = await openGuarded(t, hook('event.code == "check_failed"'), {
    extra: '<success_criteria><check type="file" path="report.md"/></success_criteria>',
    directives: { guard: guard('guard', undefined, outputs) },
    scenario: guarded(
      ({ turn }) => (turn === 3 ? executes(['write_file', { path: 'report.md', content: 'All is well.' }]) : says('Done.')),
      () => decides('retry', 'The report is missing.'),
    ),
  })
  const row = await finish(shop)
  assert.equal(row.end_reason, 'done', JSON.stringify(row.result))
  const [child] = hookThreads(shop, row.thread_id)
  assert.deepEqual((child?.result as { outputs?: unknown } | undefined)?.outputs, {
    action: 'retry',
    message: 'The report is missing.',
  })
})

test('hooks are asked about each event of a turn, one after the other', async (t) => {
  const permissions = '<execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="*"/>'
  const codes: string[] = []
  const shop = await openGuarded(t, hook('event.name == "on_error" or event.name == "after_step"'), {
    permissions,
    tools: { build: FAILS },
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['build', {}], ['write_file', { path: 'a.txt', content: 'x' }]) : says('Done.')),
      ({ firstUserText }) => {
        codes.push(/What happened to it: (\w+, \w+)/.exec(firstUserText)?.[1] ?? '')
        return codes.length === 3 ? decides('abort') : decides('skip')
      },
    ),
  })
  const row = await finish(shop)
  assert.deepEqual([row.end_reason, row.turn], ['cancelled', 4])
  assert.deepEqual(codes, ['on_error, tool_failed', 'on_error, permission_denied', 'after_step, turn'])
})

test('what a hook is told holds no secret', async (t) => {
  const seen: string[] = []
  const shop = await openGuarded(t, hook('event.code == "tool_failed"', 'guard', { what: 'At ${event.detail.message}' }), {
    secrets: { API_KEY: 'correct-horse-battery' },
    tools: { build: runtimeTool("throw new Error('denied for ' + ['correct', 'horse', 'battery'].join('-'))") },
    directives: { guard: guard('guard', undefined, '<inputs><input name="what"/></inputs>') },
    scenario: guarded(
      ({ turn }) => (turn === 1 ? executes(['build', {}]) : says('Done.')),
      ({ firstUserText }) => {
        seen.push(firstUserText)
        return decides('skip', 'It was correct-horse-battery.')
      },
    ),
  })
  const row = await finish(shop)
  assert.match(seen[0] ?? '', /denied for /)
  const kept = JSON.stringify([seen, hookEvents(shop, row.thread_id), shop.threads.messages(row.thread_id)])
  assert.doesNotMatch(kept, /correct-horse-battery/)
})

test('a thread without hooks starts none', async (t) => {
  const shop = await openGuarded(t, '', { scenario: () => says('Done.') })
  const row = await finish(shop)
  assert.deepEqual([hookThreads(shop, row.thread_id), hookEvents(shop, row.thread_id)], [[], []])
})
