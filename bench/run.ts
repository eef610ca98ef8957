/**
 * `npm run bench [-- stream loop search gate mcp cold-start]`: runs the named benchmarks (all without a name), one after another, and prints one JSON
 * document. The first run installs the peers below bench/, which the package itself does not depend on.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

import { pinned } from './processes.ts'

const BENCHES = ['stream', 'loop', 'search', 'gate', 'mcp', 'cold-start']

function installPeers(): void {
  if (existsSync(new URL('node_modules/.package-lock.json', import.meta.url))) return
  process.stderr.write('Installing the peers below bench/ …\n')
  const prefix = fileURLToPath(new URL('.', import.meta.url))
  // Install scripts stay off: the one native module is not used (see bench/README.md).
  const { status } = spawnSync('npm', ['ci', '--prefix', prefix, '--ignore-scripts', '--no-audit', '--no-fund'], {
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) throw new Error('`npm ci --prefix bench` failed; its output is above.')
}

async function runBench(name: string): Promise<unknown> {
  process.stderr.write(`bench/${name} …\n`)
  // every *.bench.ts exports `bench`
  const module = (await import(new URL(`${name}.bench.ts`, import.meta.url).href)) as { bench: () => Promise<unknown> }
  return module.bench()
}

const names = process.argv.slice(2)
const unknown = names.filter((name) => !BENCHES.includes(name))
if (unknown.length > 0) throw new TypeError(`Unknown benchmark ${unknown.join(', ')}. Known: ${BENCHES.join(', ')}.`)

installPeers()
const results: Record<string, unknown> = {}
for (const name of names.length === 0 ? BENCHES : names) results[name] = await runBench(name)
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memory_gb: Math.round(totalmem() / 2 ** 30),
  os: `${process.platform} ${release()}`,
  client_and_server_pinned: pinned,
}
process.stdout.write(`${JSON.stringify({ date: new Date().toISOString(), machine, results }, null, 2)}\n`)
