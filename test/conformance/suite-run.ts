import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import type { Check, ScenarioResult } from './baseline.ts'

export type Revision = '2026-07-28' | '2025-11-25'

export interface SuiteOptions {
  readonly url: string
  readonly revision: Revision
  /** Of a file. */
  readonly baselinePath: string
  /** An empty folder, for what the suite writes. */
  readonly folder: string
}

export interface SuiteRun {
  readonly results: readonly ScenarioResult[]
  /** The suite's own opinion, which leaves out what it does not score. */
  readonly exitCode: number
  /** Required scenarios of which there is no result. */
  readonly missing: readonly string[]
  readonly output: string
}

const PACKAGE = new URL('.', import.meta.resolve('@modelcontextprotocol/conformance/package.json'))
const SCENARIO_TIMEOUT_MS = 20_000
const TIMEOUT_MS = 100_000

/** Runs the suite's scenarios of one revision against a server. Rejects only when the suite itself could not run. */
export async function runSuite({ url, revision, baselinePath, folder }: SuiteOptions): Promise<SuiteRun> {
  const results = join(folder, 'results')
  mkdirSync(results, { recursive: true })
  const command = [
    fileURLToPath(new URL('dist/index.js', PACKAGE)),
    'server',
    `--url=${url}`,
    `--requirements=${revision}`,
    `--expected-failures=${baselinePath}`,
    `--timeout=${SCENARIO_TIMEOUT_MS}`,
    `--output-dir=${results}`,
  ]
  const { exitCode, output } = await run(command, folder)
  const found = readResults(results)
  const names = new Set(found.map(({ scenario }) => scenario))
  const missing = scenariosOf(revision).filter((scenario) => !names.has(scenario))
  return { results: found, exitCode, missing, output }
}

function run(command: readonly string[], cwd: string): Promise<{ readonly exitCode: number; readonly output: string }> {
  const env = { PATH: process.env['PATH'], HOME: cwd, NO_COLOR: '1' }
  const options = { cwd, env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 2 ** 26 } as const
  return new Promise((resolve, reject) => {
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code
      if (typeof exitCode === 'number') resolve({ exitCode, output: `${stdout}${stderr}` })
      else
        reject(new Error(`The suite did not end by itself within ${TIMEOUT_MS / 1000} s.\n${stdout}${stderr}`, { cause: error }))
    })
  })
}

/** One folder a scenario: `server-NAME-TIME/checks.json`. */
function readResults(folder: string): readonly ScenarioResult[] {
  return readdirSync(folder)
    .toSorted()
    .flatMap((name) => {
      const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/u.exec(name)?.[1]
      const path = join(folder, name, 'checks.json')
      if (scenario === undefined || !existsSync(path)) return []
      // Written by the suite in this form.
      return [{ scenario, checks: JSON.parse(readFileSync(path, 'utf8')) as readonly Check[] }]
    })
}

interface Requirements {
  readonly server: readonly string[]
  readonly not_scored: readonly { readonly scenario: string; readonly leg: string }[]
}

/** All that the suite runs against a server of this revision, scored or not. */
function scenariosOf(revision: Revision): readonly string[] {
  // A file of the suite in this form.
  const requirements = parse(readFileSync(new URL(`requirements/${revision}.yaml`, PACKAGE), 'utf8')) as Requirements
  return [
    ...requirements.server,
    ...requirements.not_scored.filter(({ leg }) => leg === 'server').map(({ scenario }) => scenario),
  ]
}
