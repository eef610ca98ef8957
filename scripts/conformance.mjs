// `npm run conformance`: the official suite against `kiwi serve`, and against the suite's own fixtures behind the same door, in both eras of the protocol.
//
// What may fail is in test/conformance/baselines/, one check a line with its reason. Anything else that fails ends this with code 1; so does an entry that
// fails no longer, a scenario without a result, and an entry of Kiwi's that the fixtures do not explain because it fails with them too.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { judge, notOfFixtures, parseBaseline } from '../test/conformance/baseline.ts'
import { startEverything, startKiwiServe } from '../test/conformance/servers-under-test.ts'
import { runSuite } from '../test/conformance/suite-run.ts'

const REVISIONS = ['2026-07-28', '2025-11-25']
const SERVERS = [
  { name: 'kiwi', start: startKiwiServe },
  { name: 'everything', start: startEverything },
]
const TOTAL_TIMEOUT_MS = 5 * 60_000

function baselineOf(name, revision) {
  const path = fileURLToPath(new URL(`../test/conformance/baselines/${name}.${revision}.yaml`, import.meta.url))
  return { path, entries: parseBaseline(readFileSync(path, 'utf8')) }
}

/** One server, one revision after the other. The suite writes below `folder`. */
async function tryServer({ name, start }, folder) {
  const server = await start()
  try {
    const tried = []
    for (const revision of REVISIONS) {
      const begun = performance.now()
      const baseline = baselineOf(name, revision)
      const options = { url: server.url, revision, baselinePath: baseline.path, folder: join(folder, name, revision) }
      const run = await runSuite(options)
      const seconds = (performance.now() - begun) / 1000
      tried.push({ name, revision, seconds, baseline: baseline.entries, run, verdict: judge(run.results, baseline.entries) })
    }
    return tried
  } finally {
    await server.close()
  }
}

function problemsOf({ name, revision, baseline, run, verdict }, tried) {
  const problems = [
    ...verdict.unexpected.map((line) => `failed: ${line}`),
    ...verdict.stale.map((entry) => `fails no longer, so take it out of the baseline: ${entry}`),
    ...run.missing.map((scenario) => `did not run: ${scenario}`),
  ]
  if (name === 'kiwi') {
    const other = tried.find((one) => one.name === 'everything' && one.revision === revision)
    const unexplained = notOfFixtures(baseline, { results: other.run.results, baseline: other.baseline })
    problems.push(...unexplained.map((entry) => `is no matter of fixtures, for it does not pass with them either: ${entry}`))
  }
  // The suite judges by the same files; when it alone complains, its own words say why.
  if (run.exitCode !== 0 && problems.length === 0) problems.push(`the suite ended with code ${run.exitCode}:\n${run.output}`)
  return problems
}

function report({ name, revision, seconds, run, verdict }, problems) {
  const counts = [
    `${run.results.length} scenarios`,
    `${verdict.passed} checks passed`,
    `${verdict.expected.length} failed as listed`,
    `${verdict.skipped} skipped`,
    `${problems.length} problems`,
  ]
  console.log(`${problems.length === 0 ? '✓' : '✖'} ${name} ${revision}: ${counts.join(', ')} (${seconds.toFixed(1)} s)`)
  for (const problem of problems) console.log(`    ${problem}`)
}

const folder = mkdtempSync(join(tmpdir(), 'kiwi-conformance-'))
const deadline = setTimeout(() => {
  console.error(`The conformance run took longer than ${TOTAL_TIMEOUT_MS / 60_000} minutes and was stopped.`)
  process.exit(1)
}, TOTAL_TIMEOUT_MS)
try {
  const tried = (await Promise.all(SERVERS.map((server) => tryServer(server, folder)))).flat()
  let found = 0
  for (const one of tried) {
    const problems = problemsOf(one, tried)
    report(one, problems)
    found += problems.length
  }
  if (found > 0) process.exitCode = 1
} finally {
  clearTimeout(deadline)
  rmSync(folder, { recursive: true, force: true })
}
