import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { CALLERS, createSandboxProject, tree } from '../sandbox/sandboxed.ts'
import { runTools, valueOf } from './tool-host.ts'

/** Tries each expression and tells how it ended: `allowed`, or the code (else the name) of its error. */
const attempts = (tries: Readonly<Record<string, string>>): string => `
import * as fs from 'node:fs'
import * as net from 'node:net'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
export default async (params: any) => {
  const seen: Record<string, string> = {}
  const attempt = async (name: string, run: () => unknown) => {
    try { await run(); seen[name] = 'allowed' } catch (error: any) { seen[name] = error.code ?? error.name }
  }
${Object.entries(tries)
  .map(([name, body]) => `  await attempt(${JSON.stringify(name)}, async () => { ${body} })`)
  .join('\n')}
  return seen
}
`

const SIGNAL_PARENT = `
import { connect } from 'node:net'
export default async () => {
  for (const pid of [process.ppid, 1]) try { if (pid > 0) process.kill(pid, 'SIGUSR1') } catch {}
  await new Promise((resolve) => setTimeout(resolve, 300))
  return await new Promise((resolve) => {
    try { connect(9229, '127.0.0.1').on('connect', () => resolve('connected')).on('error', (error: any) => resolve(error.code)) }
    catch (error: any) { resolve(error.code) }
  })
}`
const SIGNAL_OWN_PARENT = SIGNAL_PARENT.replace('[process.ppid, 1]', '[process.ppid]')

for (const caller of CALLERS) {
  test(`threat row 8: a tool of ${caller.name} reaches no inspector of its host`, async () => {
    await using project = await createSandboxProject(caller, {})
    // Fails without the process namespace of the sandbox: the last run shows what Node's permission model alone lets through.
    const inside = await runTools(caller, { project: project.root, runs: [{ code: SIGNAL_PARENT }] }, ['--inspect-port=0'])
    const bare = { project: project.root, permissionModel: false, runs: [{ code: SIGNAL_PARENT }] }
    const sandboxAlone = await runTools(caller, bare, ['--inspect-port=0'])
    assert.deepEqual([valueOf(inside.outcomes[0]), valueOf(sandboxAlone.outcomes[0])], ['ERR_ACCESS_DENIED', 'ECONNREFUSED'])
    assert.doesNotMatch(`${inside.stderr}${sandboxAlone.stderr}`, /Debugger/)
    const open = { project: project.root, mode: 'none', runs: [{ code: SIGNAL_OWN_PARENT }] } as const
    assert.match((await runTools(caller, open, ['--inspect-port=0'])).stderr, /Debugger listening/)
    // What the host itself is started with, for where there is no sandbox.
    assert.doesNotMatch((await runTools(caller, open, ['--disable-sigusr1'])).stderr, /Debugger/)
  })

  test(`threat row 9: a tool of ${caller.name} with the whole project cannot open, attach or copy the registry`, async () => {
    await using project = await createSandboxProject(caller, { 'a.txt': 'a', '.ai/threads/registry.db': '' })
    const registry = join(project.root, '.ai/threads/registry.db')
    using database = new DatabaseSync(registry)
    database.exec("CREATE TABLE tokens (token TEXT); INSERT INTO tokens VALUES ('canary')")
    const tries = (place: string): string =>
      attempts({
        open: `const { DatabaseSync } = await import('node:sqlite'); new DatabaseSync('${place}').prepare('SELECT * FROM tokens').all()`,
        attach: `const { DatabaseSync } = await import('node:sqlite'); const d = new DatabaseSync(':memory:'); d.exec("ATTACH '${place}' AS r"); d.prepare('SELECT * FROM r.tokens').all()`,
        vacuum: `const { DatabaseSync } = await import('node:sqlite'); const d = new DatabaseSync(':memory:'); d.exec("CREATE TABLE t (a)"); d.exec("VACUUM INTO '${place}.copy'")`,
      })
    const grant = { read: [tree()], write: [tree()] }
    const places = ['/project/.ai/threads/registry.db', registry]
    const denied = { open: 'ERR_SQLITE_ERROR', attach: 'ERR_SQLITE_ERROR', vacuum: 'ERR_SQLITE_ERROR' }
    for (const permissionModel of [true, false]) {
      // Fails when the registry's folder is mounted: SQLite does not ask Node's permission model, as the last run shows.
      const request = { project: project.root, permissionModel, runs: places.map((place) => ({ code: tries(place), grant })) }
      const { outcomes } = await runTools(caller, request)
      assert.deepEqual(outcomes.map(valueOf), [denied, denied])
    }
    assert.deepEqual(readdirSync(join(project.root, '.ai/threads')), ['registry.db'])
    const bare = await runTools(caller, { project: project.root, mode: 'none', runs: [{ code: tries(registry) }] })
    assert.equal(bare.outcomes[0]?.sandbox, 'none')
    assert.deepEqual(valueOf(bare.outcomes[0]), { open: 'allowed', attach: 'allowed', vacuum: 'allowed' })
  })

  test(`threat row 10: a tool of ${caller.name} gets no worker, child, addon, ffi, WASI, inspector or socket`, async () => {
    await using project = await createSandboxProject(caller, { 'a.txt': 'a' })
    const code = attempts({
      worker: `const { Worker } = await import('node:worker_threads'); new Worker('1', { eval: true })`,
      spawn: `const c = await import('node:child_process'); c.execFileSync('/usr/bin/true')`,
      fork: `const c = await import('node:child_process'); c.fork('/opt/kiwi/worker/worker.ts')`,
      execve: `process.execve?.('/usr/bin/true', [], {})`,
      cluster: `const c = await import('node:cluster'); c.default.fork()`,
      addon: `process.dlopen({ exports: {} } as any, '/opt/tool/x.node')`,
      ffi: `const f = await import('node:ffi'); (f as any).dlopen('libc.so.6', {})`,
      wasi: `const { WASI } = await import('node:wasi'); new WASI({ version: 'preview1' })`,
      inspector: `const i = await import('node:inspector'); new i.Session().connect(); i.open(0)`,
      binding: `(process as any).binding('fs')`,
      socket: `await new Promise((resolve, reject) => net.connect(80, '127.0.0.1').on('connect', resolve).on('error', reject))`,
      parent: `fs.readFileSync('/proc/1/environ')`,
    })
    // Each fails when its flag is given to the worker, or --permission is not.
    const { outcomes } = await runTools(caller, { project: project.root, runs: [{ code, grant: { write: [tree()] } }] })
    const seen = Object.entries(valueOf(outcomes[0]) as Record<string, string>)
    assert.equal(seen.length, 12)
    const others = seen.filter(([, how]) => how !== 'ERR_ACCESS_DENIED')
    assert.deepEqual(others, [['addon', 'ERR_DLOPEN_DISABLED']])
  })

  test(`threat row 10: where a tool of ${caller.name} could get them, they reach nothing outside of the sandbox`, async () => {
    await using project = await createSandboxProject(caller, { 'secret/a.txt': 'a', 'b.txt': 'b' })
    const secret = join(project.root, 'secret/a.txt')
    const server = createServer((socket) => socket.end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const cat = (path: string): string =>
      `const c = await import('node:child_process'); c.execFileSync('/usr/bin/cat', ['${path}'], { stdio: 'pipe' })`
    const code = attempts({
      child: `const c = await import('node:child_process'); c.execFileSync('/usr/bin/true')`,
      childOutside: cat(secret),
      childUngranted: cat('/project/secret/a.txt'),
      workerOutside: `const { Worker } = await import('node:worker_threads'); await new Promise((resolve, reject) => new Worker("require('fs').readFileSync('${secret}')", { eval: true }).on('error', reject).on('exit', resolve))`,
      network: `await new Promise((resolve, reject) => net.connect(${port}, '127.0.0.1').on('connect', resolve).on('error', reject))`,
    })
    // Fails without the mounts and the network namespace of the sandbox.
    const request = { project: project.root, permissionModel: false, runs: [{ code, grant: { read: [tree('none')] } }] }
    const { outcomes } = await runTools(caller, request)
    server.close()
    const seen = valueOf(outcomes[0]) as Record<string, string>
    assert.deepEqual(
      { ...seen, childOutside: seen['childOutside'] !== 'allowed', childUngranted: seen['childUngranted'] !== 'allowed' },
      { child: 'allowed', childOutside: true, childUngranted: true, workerOutside: 'ENOENT', network: 'ECONNREFUSED' },
    )
  })

  test(`threat row 59: what a tool of ${caller.name} depends on is loaded as it is: nothing is installed and no script of it runs`, async () => {
    const manifest = {
      name: 'dep',
      version: '1.0.0',
      main: 'index.js',
      scripts: { postinstall: 'touch /tmp/installed', install: 'touch installed' },
    }
    await using project = await createSandboxProject(caller, {
      '.ai/node_modules/dep/package.json': JSON.stringify(manifest),
      '.ai/node_modules/dep/index.js': "module.exports = { says: require('./part.js') }",
      '.ai/node_modules/dep/part.js': "module.exports = 'dep'",
    })
    const code = `import dep from 'dep'; import * as fs from 'node:fs'
      export default async () => [dep.says, await import('absent' + '').catch((error: any) => error.code), fs.existsSync('/opt/tool/node_modules/absent')]`
    // Fails when the folder of dependencies is not mounted, or is writable.
    const write = `import * as fs from 'node:fs'; export default () => fs.writeFileSync('/opt/tool/node_modules/dep/part.js', '')`
    const request = { project: project.root, runs: [{ code }, { code: write }] }
    for (const permissionModel of [true, false]) {
      const { outcomes } = await runTools(caller, { ...request, permissionModel })
      assert.deepEqual(valueOf(outcomes[0]), ['dep', 'ERR_MODULE_NOT_FOUND', false])
      assert.match(outcomes[1]?.error?.message ?? '', permissionModel ? /may not write/ : /EROFS/)
    }
    assert.deepEqual(readdirSync(join(project.root, '.ai/node_modules')), ['dep'])
    assert.deepEqual(readdirSync(join(project.root, '.ai/node_modules/dep')).toSorted(), ['index.js', 'package.json', 'part.js'])
  })
}
