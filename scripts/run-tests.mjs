// Runs the test files and refuses a green result that proves nothing: no tests, a skipped test, a file without tests, a process
// warning. Plain JavaScript, so that an old Node can say what is wrong.
//
//   npm test                        every test/**/*.test.ts
//   npm test -- test/kernel         every test file below a folder, or one file, or a glob
//   npm test -- --name 'a paused'   only tests whose title matches the pattern
// The default import: an old Node lacks globSync, and a named import would end it before it can explain itself.
import fs from 'node:fs'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

/** Two files at once: the default of one per core minus one is a single file on a small machine. */
const CONCURRENCY = 2
const TEST_TIMEOUT_MS = 120_000
const TOTAL_TIMEOUT_MS = 20 * 60_000

/** Warnings that may appear, each with the reason. */
const ALLOWED_WARNINGS = []

const WARNING = /^\(node:\d+\) (.*Warning: .*)$/gm

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 15)) return
  console.error(
    `The tests need Node 24.15 or newer, and this is Node ${process.versions.node} (${process.execPath}).\n` +
      'Run `npm ci` once, then `npm test`: npm brings the Node that the package pins.',
  )
  process.exit(1)
}

function parseArguments(argv) {
  const filters = []
  let name
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index]
    if (argument === '--name') name = argv[(index += 1)]
    else if (argument.startsWith('-')) fail(`Unknown option ${argument}. Known: --name PATTERN, and files, folders or globs.`)
    else filters.push(argument)
  }
  return { filters, name }
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

function testFiles(filters) {
  const patterns = filters.length === 0 ? ['test'] : filters
  const files = patterns.flatMap((pattern) => {
    const stat = fs.statSync(pattern, { throwIfNoEntry: false })
    const glob = stat?.isDirectory() ? `${pattern}/**/*.test.ts` : pattern
    const found = fs.globSync(glob)
    if (found.length === 0) fail(`No test file matches ${pattern}.`)
    return found
  })
  return [...new Set(files)].toSorted()
}

function watch(stream, { named }) {
  const seen = { counts: undefined, problems: [] }
  stream.on('test:stderr', ({ file, message }) => {
    for (const [, warning] of message.matchAll(WARNING)) {
      if (!ALLOWED_WARNINGS.some((allowed) => allowed.test(warning)))
        seen.problems.push(`${shown(file)}: process warning: ${warning}`)
    }
  })
  const refuseHollow = (data) => {
    for (const what of ['skip', 'todo']) {
      if (data[what] !== undefined && data[what] !== false)
        seen.problems.push(`${shown(data.file)}:${data.line}: ${what} test: ${data.name}`)
    }
    // A file without a single test is reported as one passing test that bears the file's name.
    if (data.nesting === 0 && resolve(data.name) === data.file && !named) seen.problems.push(`${data.name}: holds no test`)
  }
  stream.on('test:pass', refuseHollow)
  stream.on('test:fail', refuseHollow)
  stream.on('test:summary', ({ file, counts }) => {
    if (file === undefined) seen.counts = counts
  })
  return seen
}

function shown(file) {
  return file === undefined ? '(unknown file)' : relative(process.cwd(), file)
}

requireNode()
const { filters, name } = parseArguments(process.argv.slice(2))
const files = testFiles(filters)
const deadline = AbortSignal.timeout(TOTAL_TIMEOUT_MS)
const stream = run({
  files,
  concurrency: CONCURRENCY,
  execArgv: [`--test-timeout=${TEST_TIMEOUT_MS}`],
  signal: deadline,
  ...(name === undefined ? {} : { testNamePatterns: [name] }),
})
const seen = watch(stream, { named: name !== undefined })
const report = stream.compose(spec)
report.pipe(process.stdout)
await new Promise((ended) => report.once('end', ended))

const { counts, problems } = seen
if (deadline.aborted) problems.push(`the run took longer than ${TOTAL_TIMEOUT_MS / 60_000} minutes and was stopped`)
if (counts === undefined) problems.push('the run ended without a summary')
else if (counts.tests === 0) problems.push('no test ran')
for (const problem of problems) console.log(`✖ ${problem}`)

const failed = (counts?.failed ?? 0) + (counts?.cancelled ?? 0)
console.log(`\n${files.length} test files, ${problems.length} other problems`)
console.log(`${counts?.passed ?? 0} passed, ${failed} failed`)
process.exitCode = failed === 0 && problems.length === 0 && (counts?.passed ?? 0) > 0 ? 0 : 1
