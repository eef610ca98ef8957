// `npm run test:pack`: what a user gets. Packs the package, installs it into an empty folder, and runs the whole demo from there on the
// pinned Node and on the oldest supported line; then Kiwi in both directions of MCP, both public entries, their types, and `kiwi doctor`.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkImports } from './pack-imports.mjs'

/** The newest release of the oldest line that `engines` allows. */
const OLDEST_NODE = '24.21.0'
const MCP_SERVER = '@modelcontextprotocol/server-filesystem'
const MCP_SERVER_VERSION = '2026.8.31'
const ENTRIES = ['kiwi-mcp', 'kiwi-mcp/base-harness']
const STEP_TIMEOUT_MS = 5 * 60_000

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'kiwi-pack-'))

function run(command, args, { cwd, env = process.env, allowFailure = false }) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    timeout: STEP_TIMEOUT_MS,
    maxBuffer: 2 ** 26,
  })
  if (error !== undefined || (status !== 0 && !allowFailure)) {
    throw new Error(`${command} ${args.join(' ')} failed (${error?.message ?? `exit code ${status}`}):\n${stdout}\n${stderr}`)
  }
  return { status, stdout, stderr }
}

function expect(condition, message) {
  if (!condition) throw new Error(message)
}

function step(text) {
  console.log(`· ${text}`)
}

function folder(name) {
  const path = join(scratch, name)
  mkdirSync(path, { recursive: true })
  return path
}

/** Packs (which builds) and checks what is inside. Returns the tarball's path. */
function pack() {
  const { stdout } = run('npm', ['pack', '--json', '--pack-destination', scratch], { cwd: ROOT })
  // npm 11 prints an array, npm 12 an object keyed by package name; what `prepack` prints comes first.
  const [packed] = Object.values(JSON.parse(stdout.slice(stdout.search(/^[[{]/m))))
  const paths = packed.files.map(({ path }) => path)
  for (const needed of [
    'bin/kiwi.js',
    'dist/src/cli/main.js',
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/system/AGENTS.md',
    'README.md',
    'LICENSE',
  ]) {
    expect(paths.includes(needed), `The tarball lacks ${needed}.`)
  }
  const stray = paths.filter((path) =>
    /(^|\/)(test|bench|scripts|examples|node_modules)\/|\.test\.|^system\/(?!scenarios\/)|^dist\/system\/.*\.(ts|map)$/.test(
      path,
    ),
  )
  expect(stray.length === 0, `The tarball holds what no user needs: ${stray.join(', ')}`)
  const tools = paths.filter((path) => /^dist\/system\/tools\/.*\.(js|yaml)$/.test(path))
  expect(tools.length > 10, `Expected the tarball to hold the shipped tools, found ${tools.length}.`)
  step(
    `packed ${packed.filename}: ${packed.entryCount} files, ${Math.round(packed.unpackedSize / 1024)} KB, ${tools.length} shipped tools`,
  )
  return join(scratch, packed.filename)
}

function install(name, packages) {
  const cwd = folder(name)
  writeFileSync(join(cwd, 'package.json'), JSON.stringify({ name, private: true, type: 'module', allowScripts: { node: true } }))
  run('npm', ['install', '--no-audit', '--no-fund', '--save-exact', ...packages], { cwd })
  return cwd
}

function refuseMachinePaths(consumer) {
  const { stdout } = run('grep', ['-rlF', '-e', resolve(ROOT), '-e', `${homedir()}/`, join(consumer, 'node_modules/kiwi-mcp')], {
    cwd: consumer,
    allowFailure: true,
  })
  expect(stdout === '', `Installed files name a folder of this machine:\n${stdout}`)
}

/** A small repository for the demo to look at, away from any other project's settings. */
function demoRepository(name) {
  const cwd = folder(name)
  mkdirSync(join(cwd, 'src'))
  writeFileSync(join(cwd, 'README.md'), '# A small project\n\nIt greets.\n')
  writeFileSync(join(cwd, 'src/greet.js'), 'export const greet = (name) => `Hello, ${name}`\n')
  writeFileSync(join(cwd, 'src/main.js'), "import { greet } from './greet.js'\nconsole.log(greet('world'))\n")
  run('git', ['init', '--quiet'], { cwd })
  run('git', ['add', '.'], { cwd })
  run('git', ['-c', 'user.name=kiwi', '-c', 'user.email=kiwi@example.org', 'commit', '--quiet', '-m', 'Greet'], { cwd })
  return cwd
}

/** What npm sets for its scripts is not what a user's shell has. */
function userEnv(home, node) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_') && name !== 'NODE_OPTIONS')
  return { ...Object.fromEntries(kept), HOME: home, PATH: `${resolve(node, '..')}:${process.env.PATH}` }
}

function tryPackage(consumer, { node, servers }) {
  const { stdout: version } = run(node, ['--version'], { cwd: consumer })
  const label = `Node ${version.trim().slice(1)}`
  const slug = version.trim().replaceAll('.', '-')
  const kiwi = join(consumer, 'node_modules/kiwi-mcp/bin/kiwi.js')
  const env = userEnv(folder(`home-${slug}`), node)
  const cwd = demoRepository(`repository-${slug}`)
  try {
    for (const wire of ['anthropic', 'openai']) {
      const { stdout, stderr } = run(node, [kiwi, 'demo', '--wire', wire], { cwd, env })
      expect(/\bcompleted\b/.test(stdout), `The demo's last lines name no completed thread:\n${stdout}\n${stderr}`)
      expect(!/Warning:/.test(stderr), `The demo prints a warning:\n${stderr}`)
      step(`${label}: demo over the ${wire} wire completed`)
    }
    tryRelay(label, { consumer, node, env })
    const project = folder(`project-${slug}`)
    const inProject = (args) => run(node, [kiwi, ...args], { cwd: project, env })
    trySandbox(label, inProject)
    tryHarness(label, { project, kiwi: inProject })
    tryServers(label, { project, servers, kiwi: inProject })
    tryServe(label, { consumer, node, kiwi, project, env })
    for (const entry of ENTRIES) {
      const { stdout } = run(node, ['--input-type=module', '-e', `console.log(Object.keys(await import('${entry}')).length)`], {
        cwd: consumer,
        env,
      })
      expect(Number(stdout) > 0, `${entry} exports nothing.`)
      step(`${label}: ${entry} exports ${stdout.trim()} names`)
    }
    const { stdout: doctor } = run(node, [kiwi, 'doctor'], { cwd, env, allowFailure: true })
    if (version.startsWith('v24'))
      expect(/24/.test(doctor) && /network/i.test(doctor), `doctor on Node 24 does not say what is weaker:\n${doctor}`)
    step(`${label}: doctor answers`)
  } finally {
    run(node, [kiwi, 'host', 'stop'], { cwd, env, allowFailure: true })
  }
}

function executing(kiwi) {
  return (id, ...parameters) =>
    JSON.parse(kiwi(['execute', 'tool', id, '--output', 'json', ...parameters.flatMap((one) => ['--param', one])]).stdout)
}

/** The worker of a project's tool, and a command, both of which run files of the built package inside of the sandbox. */
function trySandbox(label, kiwi) {
  kiwi(['init', '--project', '.'])
  const execute = executing(kiwi)
  const counted = execute('count_words', 'text=one two three')
  expect(counted.result?.words === 3, `count_words did not count in its worker: ${JSON.stringify(counted)}`)
  const shell = execute('bash', 'command=ls -d /project')
  expect(shell.result?.stdout === '/project\n', `bash did not run in the sandbox: ${JSON.stringify(shell)}`)
  step(`${label}: a project tool and bash ran in the sandbox`)
}

const HARNESS = `import { createBaseHarness } from 'kiwi-mcp/base-harness'
import { receiveMessages, type Runner } from 'kiwi-mcp'
export const __tool_type__ = 'harness'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'Says what it could import'
const result = [typeof createBaseHarness, typeof receiveMessages]
export default (): Runner => ({
  name: 'imports',
  version: __version__,
  init: () => ({ v: 1, turn: 0, paused: false, data: {} }),
  receive: receiveMessages,
  runTurn: async (_ctx, state) => [state, { do: 'done', status: 'completed', endReason: 'done', result }],
})
`

/** A harness file of a project that has no node_modules of its own runs on a thread of the built package. */
function tryHarness(label, { project, kiwi }) {
  writeFileSync(join(project, '.ai/tools/imports.ts'), HARNESS)
  kiwi(['sign', 'tool', 'imports'])
  const cost = { max_turns: 1, on_exceeded: 'stop' }
  kiwi(['execute', 'tool', 'spawn_thread', '--params', JSON.stringify({ thread_id: 'imports', harness: 'imports', cost })])
  const [row] = JSON.parse(kiwi(['wait', 'imports', '--output', 'json']).stdout)
  expect(String(row.result) === 'function,function', `A harness of a project could not import Kiwi: ${JSON.stringify(row)}`)
  step(`${label}: a harness of a project imported both public entries`)
}

/**
 * A server from npm becomes tools, and a program answers over JSON-RPC; both run in the sandbox. They bring their Node as a package of the project, because
 * the sandbox shows no Node that lies in a home folder.
 */
function tryServers(label, { project, servers, kiwi }) {
  run('cp', ['-al', join(servers, 'node_modules'), project], { cwd: project })
  writeFileSync(join(project, 'note.txt'), 'Ship it on Friday.\n')
  const answer =
    'process.stdin.once("data", (line) => console.log(JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(line).id, result: "pong" })))'
  const node = 'node_modules/node/bin/node'
  const server = `node_modules/${MCP_SERVER}/dist/index.js`
  kiwi(['connect', 'add', 'files', '--program', 'node_modules', '--', node, server, '/project'])
  const execute = executing(kiwi)
  const read = execute('files_read_text_file', 'path=/project/note.txt')
  expect(
    /Ship it on Friday/.test(JSON.stringify(read.result)),
    `The connected server did not read the file: ${JSON.stringify(read)}`,
  )
  const { tools } = execute(
    'mcp_discover',
    'server=files',
    `command=${node}`,
    `args=${JSON.stringify([server, '/project'])}`,
  ).result
  expect(tools?.length > 5, `mcp_discover listed no tools: ${JSON.stringify(tools)}`)
  kiwi(['connect', 'remove', 'files'])
  step(`${label}: a server from npm was connected, one of its ${tools.length} tools ran, and it was removed`)
  const ponged = execute('jsonrpc_stdio', `command=${node}`, `args=${JSON.stringify(['-e', answer])}`, 'method=ping')
  expect(ponged.result?.result === 'pong', `jsonrpc_stdio was not answered: ${JSON.stringify(ponged)}`)
  step(`${label}: jsonrpc_stdio was answered`)
}

/** `kiwi serve` and a client that is installed with Kiwi, not with this repository. */
function tryServe(label, { consumer, node, kiwi, project, env }) {
  const client = join(consumer, 'pack-client.mjs')
  copyFileSync(join(ROOT, 'scripts/pack-client.mjs'), client)
  const { stdout } = run(node, [client, kiwi, project], { cwd: consumer, env })
  const { withoutToken, eras } = JSON.parse(stdout)
  expect(withoutToken === 401, `kiwi serve answered ${withoutToken} without a token, expected 401.`)
  const versions = eras.map(({ version }) => version)
  expect(versions.join() === '2025-11-25,2026-07-28', `Expected both eras of MCP, got ${versions.join(' and ')}.`)
  for (const { tools, overHttp } of eras) {
    expect(tools.length === 5, `kiwi serve listed ${tools.join(', ')}, expected five tools.`)
    expect(overHttp?.result?.result?.method === 'add', `jsonrpc_http was not answered: ${JSON.stringify(overHttp)}`)
  }
  step(`${label}: kiwi serve refused a client without its token, answered one of each era, and jsonrpc_http was answered`)
}

/** A command of a thread whose network is scoped: the relay of the built package is shown inside and opens the way to the proxy. */
function tryRelay(label, { consumer, node, env }) {
  const program = `
    const part = (path) => import('./node_modules/kiwi-mcp/dist/src/primitives/' + path + '.js')
    const { createSandbox } = await part('sandbox/sandbox')
    const { createSubprocessPrimitive } = await part('subprocess/subprocess')
    const { startProxy } = await part('network/proxy')
    const network = { kind: 'scoped', policy: { allows: () => false, allowsPrivate: () => false } }
    const grant = { id: 'pack', threadId: 'pack', read: [], write: [], network, isLive: () => true }
    const sandbox = createSandbox({ mode: 'bubblewrap', startProxy })
    const config = { command: '/bin/bash', args: ['-c', 'exec 3<>/dev/tcp/127.0.0.1/3128 && echo "$HTTPS_PROXY"'] }
    const context = { projectPath: process.cwd(), __grant: grant }
    console.log(JSON.stringify(await createSubprocessPrimitive({ sandbox, env: () => undefined }).execute({ config, context })))`
  const { stdout } = run(node, ['--input-type=module', '-e', program], { cwd: consumer, env })
  expect(JSON.parse(stdout).value?.stdout === 'http://127.0.0.1:3128\n', `The relay opened no way to the proxy: ${stdout}`)
  step(`${label}: a command in the sandbox reaches the proxy`)
}

/** The published types, as a strict consumer without Node's own types sees them. */
function checkTypes(consumer) {
  writeFileSync(
    join(consumer, 'consumer.ts'),
    ENTRIES.map(
      (entry, index) =>
        `import * as entry${index} from '${entry}'\nexport const names${index}: string[] = Object.keys(entry${index})\n`,
    ).join(''),
  )
  const compilerOptions = {
    target: 'esnext',
    lib: ['esnext', 'dom'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    types: [],
    skipLibCheck: false,
  }
  writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', consumer], { cwd: consumer })
  step('types resolve for a strict consumer')
}

try {
  const tarball = pack()
  const consumer = install('consumer', [tarball])
  refuseMachinePaths(consumer)
  const { modules, lazy, packages } = checkImports(join(consumer, 'node_modules/kiwi-mcp'))
  step(`${modules} built files and their ${lazy} lazy imports resolve, with the ${packages} packages that Kiwi names`)
  checkTypes(consumer)
  const servers = install('servers', [`node@${OLDEST_NODE}`, `${MCP_SERVER}@${MCP_SERVER_VERSION}`])
  tryPackage(consumer, { node: process.execPath, servers })
  tryPackage(consumer, { node: join(servers, 'node_modules/node/bin/node'), servers })
  console.log('The package works as installed.')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
}
