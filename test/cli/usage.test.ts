import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { kiwi, type Finished } from './kiwi-process.ts'

const cwd = mkdtempSync(join(tmpdir(), 'kiwi-usage-'))
after(() => rmSync(cwd, { recursive: true, force: true }))

const run = (...args: string[]): Promise<Finished> => kiwi(args, { cwd, env: { HOME: cwd, USER_SPACE: join(cwd, 'user') } })

test('help lists every verb and the exit codes on stdout', async () => {
  const { code, stdout, stderr } = await run('--help')
  assert.deepEqual([code, stderr], [0, ''])
  const verbs = [
    'init',
    'run',
    'ps',
    'show',
    'tail',
    'wait',
    'pause',
    'resume',
    'cancel',
    'inject',
    'approvals',
    'approve',
    'deny',
    'search',
    'load',
    'execute',
    'sign',
    'model',
  ]
  for (const verb of [...verbs, 'mcp', 'host', 'demo', 'doctor']) assert.match(stdout, new RegExp(`^ {2}${verb}\\b`, 'mu'))
  assert.match(stdout, /Exit codes: 0 ok, 1 failed, 2 usage, 3 denied, 4 budget, 5 waiting, 130 interrupted/u)
})

test('no verb is a usage error that shows the help on stderr', async () => {
  const { code, stdout, stderr } = await run()
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /Usage: kiwi/u)
})

test('a misspelt verb says what was meant', async () => {
  const { code, stdout, stderr } = await run('pss')
  assert.deepEqual([code, stdout], [2, ''])
  assert.equal(stderr, "error: unknown command 'pss' [INVALID_REQUEST]\n  → Did you mean ps?\n")
})

test('with -o json a usage error is the envelope on stdout, wherever the option stands', async () => {
  const before = await run('-o', 'json', 'tail', 'id', '-n', 'many')
  const behind = await run('tail', 'id', '-n', 'many', '--output=json')
  assert.deepEqual([before.code, before.stderr, behind.code], [2, '', 2])
  assert.equal(JSON.parse(before.stdout).error.code, 'INVALID_REQUEST')
  assert.match(JSON.parse(behind.stdout).error.message, /whole number/u)
})

test('words that are no JSON are answered with the form of the option that was used', async () => {
  const { code, stderr } = await run('execute', 'tool', 'read_file', '--params', '{bad')
  assert.equal(code, 2)
  assert.match(stderr, /→ Write it as --params '\{"name": "value"\}'\./u)
})

test('what a failed command printed is shown before the error', async () => {
  const { code, stdout, stderr } = await run('execute', 'tool', 'bash', '-p', 'command=echo half; exit 3')
  assert.equal(code, 1)
  assert.deepEqual([JSON.parse(stdout).stdout, JSON.parse(stdout).exit_code], ['half\n', 3])
  assert.match(stderr, /ended with exit code 3/u)
})

test('search without words lists what there is, and says when there is more', async () => {
  const [all, two, none] = await Promise.all([
    run('search', '--type', 'knowledge', '--source', 'system', '-o', 'json'),
    run('search', '--type', 'knowledge', '--limit', '2'),
    run('search', 'zzzzzz', '--type', 'directive'),
  ])
  assert.deepEqual([all.code, two.code, none.code], [0, 0, 0])
  assert.deepEqual([JSON.parse(all.stdout).more, JSON.parse(all.stdout).results.length > 5], [false, true])
  assert.match(two.stdout, /^TYPE[^]*… and more: use other words or a larger --limit\.\n$/u)
  assert.match(none.stdout, /^Nothing found\. Try fewer or other words, or without --type\.\n$/u)
})

test('load shows the text of an item as it stands in its file', async () => {
  const { code, stdout } = await run('load', 'knowledge', 'threads')
  assert.equal(code, 0)
  assert.match(stdout, /^\{\n {2}"item_type": "knowledge",[^]*\n\}\n\n---\ntitle: Threads\n/u)
})

test('a project folder that does not exist is a usage error', async () => {
  const { code, stderr } = await run('-C', 'missing', 'ps')
  assert.equal(code, 2)
  assert.match(stderr, /`missing` does not exist/u)
})

test('the version is the version of the package', async () => {
  const { code, stdout } = await run('--version')
  assert.equal(code, 0)
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/u)
})

test('a raise without amounts, and a fork without one point, are usage errors that name the options', async () => {
  for (const [args, said] of [
    [['raise', 'a'], /--add-usd/u],
    [['raise', 'a', '--add-turns', '0'], /1 or more/u],
    [['fork', 'a'], /--at SEQ or --checkpoint NAME/u],
    [['fork', 'a', '--at', '1', '--checkpoint', 'x'], /--at SEQ or --checkpoint NAME/u],
    [['fork', 'a', '--at', '0'], /1 or more/u],
  ] as const) {
    const { code, stderr } = await run(...args)
    assert.deepEqual([code, said.test(stderr)], [2, true], `${args.join(' ')}: ${stderr}`)
  }
})
