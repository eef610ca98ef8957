import assert from 'node:assert/strict'
import { readFile, rename, symlink, stat, link } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import type { SubprocessOutcome } from '../../../src/primitives/subprocess/subprocess.ts'
import { CALLERS, type CommandRequest, createSandboxProject, exact, outputOf, runAs, tree } from './sandboxed.ts'

const FILES = {
  'src/a.ts': 'a',
  'src/b.txt': 'b',
  'src/deep/c.ts': 'c',
  'docs/d.md': 'd',
  '.env': 'SECRET=canary',
  'src/.env.local': 'SECRET=canary',
  '.git/config': '[core]',
  'src/vendor/.git/config': 'canary',
  '.ssh/id': 'canary',
  '.ai/tools/t.yaml': 'tool',
  '.ai/threads/x.jsonl': 'canary',
  '.ai/keys/k': 'canary',
  out: '-> /etc',
}

for (const caller of CALLERS) {
  const run = async (
    root: string,
    script: string,
    grant?: CommandRequest['grant'],
    hidden: readonly string[] = [],
  ): Promise<SubprocessOutcome> =>
    await runAs(caller, {
      project: root,
      hidden,
      config: { command: 'bash', args: ['-c', script] },
      ...(grant === undefined ? {} : { grant }),
    })
  const files = 'find . -type f | sort'

  test(`without a grant ${caller.name} shows a command an empty project that it cannot fill`, async () => {
    await using project = await createSandboxProject(caller, FILES)
    assert.equal(outputOf(await run(project.root, 'pwd; ls -A; touch x 2>/dev/null || echo refused')), '/project\nrefused\n')
  })

  test(`a tree shows a command of ${caller.name} what is below it and nothing beside it`, async () => {
    await using project = await createSandboxProject(caller, FILES)
    const found = outputOf(await run(project.root, `${files}; touch src/x 2>/dev/null || echo refused`, { read: [tree('src')] }))
    assert.equal(found, './src/.env.local\n./src/a.ts\n./src/b.txt\n./src/deep/c.ts\nrefused\n')
  })

  test(`single scopes show a command of ${caller.name} single files, and of a folder only that it is there`, async () => {
    await using project = await createSandboxProject(caller, FILES)
    const read = [
      { kind: 'extension', base: ['src'], suffix: '.ts' },
      { kind: 'children', base: ['docs'] },
      exact('src', 'deep'),
    ] as const
    assert.equal(
      outputOf(await run(project.root, 'find . -mindepth 1 | sort', { read })),
      './docs\n./docs/d.md\n./src\n./src/a.ts\n./src/deep\n',
    )
  })

  test(`a command of ${caller.name} reads the .ai folder of a project further down, and neither changes it nor makes one`, async () => {
    await using project = await createSandboxProject(caller, { 'sub/.ai/AGENTS.md': 'obey', 'sub/a': '', 'sub/.ai/keys/k': 'x' })
    const script = `cat sub/.ai/AGENTS.md; ls sub/.ai/keys; for f in sub/.ai/AGENTS.md sub/.ai/new; do echo evil > $f || echo refused; done
      mv sub/.ai sub/x || echo refused; mkdir -p other/.ai && echo evil > other/.ai/AGENTS.md; mv sub moved`
    assert.equal(outputOf(await run(project.root, script, { write: [tree()] })), 'obeyrefused\nrefused\nrefused\n')
    assert.equal(await project.read('moved/.ai/AGENTS.md'), 'obey')
    const [aside = '', ...others] = await project.names('other')
    assert.deepEqual([/^refused-\w+\.ai$/.test(aside), others], [true, []])
  })

  test(`a write scope inside a read scope of ${caller.name} can be written and its surroundings cannot`, async () => {
    await using project = await createSandboxProject(caller, FILES)
    const script = 'echo new > src/deep/new.ts; rm src/deep/c.ts; echo x > src/a.ts || echo refused'
    assert.equal(outputOf(await run(project.root, script, { read: [tree()], write: [tree('src', 'deep')] })), 'refused\n')
    assert.deepEqual([await project.names('src/deep'), await project.read('src/a.ts')], [['new.ts'], 'a'])
  })

  test(`a write tree of ${caller.name} whose folder is missing is made first`, async () => {
    await using project = await createSandboxProject(caller, {})
    await run(project.root, 'echo made > build/out/file', { write: [tree('build', 'out')] })
    assert.equal(await project.read('build/out/file'), 'made\n')
  })

  test(`a single file of ${caller.name} that is not there yet can be written, and is not left when it was not`, async () => {
    await using project = await createSandboxProject(caller, { 'docs/d.md': 'd' })
    const write = [exact('docs', 'new.md'), exact('docs', 'unused.md')]
    await run(project.root, 'echo new > docs/new.md; touch docs/other.md', { write })
    assert.deepEqual([await project.names('docs'), await project.read('docs/new.md')], [['d.md', 'new.md'], 'new\n'])
  })

  test(`threat row 55: closed names of ${caller.name} inside a granted tree cannot be read or replaced`, async () => {
    // Fails without `closing` of project-mounts.ts.
    await using project = await createSandboxProject(caller, FILES)
    const script = `cat $(find . -type f) .env src/.env.local 2>/dev/null; ls -A .git .ssh src/vendor/.git .ai/threads .ai/keys
      rm -rf .env .git .ssh src/.env.local; mv .git x; echo evil > .env; echo evil > .git/config; true`
    const { value } = await run(project.root, script, { write: [tree()] })
    assert.doesNotMatch(value?.stdout ?? '', /canary|\[core\]|config|x\.jsonl/)
    assert.match(value?.stdout ?? '', /tool/)
    assert.deepEqual(
      [await project.read('.env'), await project.read('.git/config'), await project.read('.ssh/id')],
      ['SECRET=canary', '[core]', 'canary'],
    )
  })

  test(`threat row 55: items of ${caller.name} cannot be written by a command, also where there were none`, async () => {
    // Fails without `freezeItems`.
    await using project = await createSandboxProject(caller, FILES)
    await using bare = await createSandboxProject(caller, {})
    const script = 'echo evil > .ai/tools/t.yaml; mkdir -p .ai/tools; echo evil > .ai/config.yaml; mv .ai x; rm -rf .ai; true'
    await run(project.root, script, { write: [tree(), tree('.ai', 'tools')] })
    await run(bare.root, script, { write: [tree()] })
    assert.deepEqual(
      [await project.read('.ai/tools/t.yaml'), await project.names('.ai'), await bare.names()],
      ['tool', ['keys', 'threads', 'tools'], []],
    )
  })

  test(`threat row 55: a closed name that a command of ${caller.name} makes is moved aside, and the result says so`, async () => {
    // Fails without `moveAsideNewlyClosed`.
    await using project = await createSandboxProject(caller, { 'sub/x': 'x' })
    const script = 'mkdir -p .git/hooks sub/new; echo evil > .git/hooks/pre-commit; echo evil > sub/new/.env; echo fine > sub/env'
    const { value } = await run(project.root, script, { write: [tree()] })
    const from = value?.moved_aside?.map((moved) => moved.from).toSorted()
    assert.deepEqual(from, ['.git', 'sub/new/.env'])
    assert.match((await project.names()).join(), /^refused-[0-9a-f]{8}\.git,sub$/)
    assert.deepEqual(await project.names('sub'), ['env', 'new', 'x'])
  })

  test(`threat row 55: a command of ${caller.name} cannot put a closed link in the place of one`, async () => {
    // Fails when links are compared by name alone.
    await using project = await createSandboxProject(caller, { 'conf/env': 'good', '.env': '-> conf/env' })
    const { value } = await run(project.root, 'echo evil > evil; rm .env; ln -s evil .env', { write: [tree()] })
    assert.deepEqual(
      value?.moved_aside?.map(({ from }) => from),
      ['.env'],
    )
    assert.deepEqual((await project.names()).includes('.env'), false)
  })

  test(`a folder that a command of ${caller.name} renames keeps the closed files in it`, async () => {
    await using project = await createSandboxProject(caller, { 'sub/.env': 'mine' })
    const { value } = await run(project.root, 'mv sub renamed; cat renamed/.env 2>/dev/null; true', { write: [tree()] })
    assert.deepEqual([value?.stdout, value?.moved_aside, await project.read('renamed/.env')], ['', undefined, 'mine'])
  })

  test(`a link on the way to a scope of ${caller.name} is not followed`, async () => {
    // Fails without O_NOFOLLOW in project-entry.ts.
    await using elsewhere = await createSandboxProject(caller, { 'inner/secret': 'canary' })
    await using project = await createSandboxProject(caller, {})
    await symlink(elsewhere.root, join(project.root, 'away'))
    const write = [
      tree('away'),
      tree('away', 'inner'),
      exact('away', 'inner', 'secret'),
      { kind: 'children', base: ['away', 'inner'] },
    ] as const
    assert.equal(outputOf(await run(project.root, 'cat away/inner/secret 2>/dev/null; find . -type f', { write })), '')
  })

  test(`a link in a tree of ${caller.name} leads nowhere outside`, async () => {
    await using project = await createSandboxProject(caller, { out: '-> /etc/shadow', up: '-> ../../../../root' })
    const { value } = await run(project.root, 'cat out; ls up/', { read: [tree()] })
    assert.deepEqual([value?.stdout, value?.exit_code === 0], ['', false])
  })

  test(`a single file of ${caller.name} with another name elsewhere is shown read-only`, async () => {
    await using project = await createSandboxProject(caller, { 'a/one': 'same' })
    await link(join(project.root, 'a/one'), join(project.root, 'two'))
    await run(project.root, 'echo evil > two', { write: [exact('two')] })
    assert.equal(await project.read('a/one'), 'same')
  })

  test(`a hidden folder of ${caller.name} is empty wherever it lies, and nothing in it can be granted`, async () => {
    // Fails without `hidden`.
    await using project = await createSandboxProject(caller, { 'home/keys/k': 'canary', 'home/x': 'x' })
    const grant = { write: [tree(), tree('home', 'keys'), exact('home', 'keys', 'k')] }
    const found = await run(project.root, 'cat home/keys/k; find home -type f', grant, [join(project.root, 'home/keys')])
    assert.equal(found.value?.stdout, 'home/x\n')
  })

  test(`a socket in a tree of ${caller.name} cannot be reached`, async () => {
    // Fails when sockets are not closed.
    await using project = await createSandboxProject(caller, {})
    const server = createServer().listen(join(project.root, 'server.sock'))
    await new Promise((resolve) => server.once('listening', resolve))
    const found = await run(project.root, 'test -S server.sock && echo socket; true', { write: [tree()] })
    server.close()
    assert.equal(outputOf(found), '')
  })

  test(`what a command of ${caller.name} writes belongs to its caller`, async () => {
    await using project = await createSandboxProject(caller, {})
    await run(project.root, 'echo x > mine', { write: [tree()] })
    assert.equal((await stat(join(project.root, 'mine'))).uid, caller.uid ?? process.getuid?.())
  })

  test(`a folder that the owner moves while a command of ${caller.name} is planned cannot become another one`, async () => {
    await using project = await createSandboxProject(caller, { 'a/one': '1' })
    await rename(join(project.root, 'a'), join(project.root, 'b'))
    await symlink('/etc', join(project.root, 'a'))
    assert.equal(outputOf(await run(project.root, 'find . -type f', { write: [tree('a')] })), '')
    assert.equal(await readFile(join(project.root, 'b/one'), 'utf8'), '1')
  })
}
