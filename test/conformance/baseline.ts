/** What the suite may find wrong, and what it found. */
import { parse } from 'yaml'

export interface Check {
  readonly id: string
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'
  readonly errorMessage?: string
}

export interface ScenarioResult {
  readonly scenario: string
  readonly checks: readonly Check[]
}

export interface Verdict {
  /** `scenario:check`, with the first reason that the suite gave. */
  readonly unexpected: readonly string[]
  /** Entries whose check no longer fails. */
  readonly stale: readonly string[]
  readonly expected: readonly string[]
  /** Checks, by how they ended. */
  readonly passed: number
  readonly skipped: number
}

/**
 * The entries of a baseline file, as the suite reads it. Only single checks are taken: a whole scenario would excuse what nobody looked at; and never the check
 * that compares every message with the schema of the protocol.
 *
 * @throws {TypeError} for any other entry, and for one without a comment that says why it is there.
 */
export function parseBaseline(text: string): readonly string[] {
  // Checked below, entry by entry.
  const { server } = parse(text) as { readonly server?: readonly unknown[] }
  const entries = (server ?? []).map((entry) => {
    if (typeof entry !== 'string' || !/^[\w-]+:[\w$-]+$/u.test(entry) || entry.endsWith(`:${WIRE_CHECK}`))
      throw new TypeError(`A baseline names single checks as scenario:check, found ${JSON.stringify(entry)}.`)
    if (!text.includes(`- ${entry} # `))
      throw new TypeError(`The baseline entry ${entry} has no comment that says why it is there.`)
    return entry
  })
  if (new Set(entries).size < entries.length) throw new TypeError('The baseline names a check twice.')
  return entries
}

/** Warnings count as failures, as they do for the suite itself; but here scenarios that it does not score count as well. */
export function judge(results: readonly ScenarioResult[], baseline: readonly string[]): Verdict {
  const checks = results.flatMap(({ scenario, checks: all }) =>
    all.map((check) => ({ ...check, key: `${scenario}:${check.id}` })),
  )
  const failing = new Map<string, string>()
  for (const check of checks) if (isBad(check) && !failing.has(check.key)) failing.set(check.key, check.errorMessage ?? '')
  const listed = new Set(baseline)
  const count = (wanted: Check['status']): number => checks.filter(({ status }) => status === wanted).length
  return {
    unexpected: [...failing].filter(([key]) => !listed.has(key)).map(([key, reason]) => `${key}: ${reason}`),
    stale: baseline.filter((entry) => !failing.has(entry)),
    expected: baseline.filter((entry) => failing.has(entry)),
    passed: count('SUCCESS'),
    skipped: count('SKIPPED'),
  }
}

/**
 * Entries for which the lack of a fixture is no excuse: where the fixtures are, the same check fails, or its scenario proves nothing. Some checks exist only to
 * say that a scenario could not begin; they are explained by any other check of their scenario that passes.
 */
export function notOfFixtures(
  baseline: readonly string[],
  withFixtures: { readonly results: readonly ScenarioResult[]; readonly baseline: readonly string[] },
): readonly string[] {
  const limits = new Set(withFixtures.baseline)
  const isExplained = (entry: string): boolean => {
    const [name, id] = entry.split(':')
    const checks = withFixtures.results.find(({ scenario }) => scenario === name)?.checks ?? []
    if (checks.some((check) => check.id === id && isBad(check))) return false
    return checks.some((check) => check.status === 'SUCCESS' && check.id !== WIRE_CHECK)
  }
  return baseline.filter((entry) => !limits.has(entry) && !isExplained(entry))
}

/** Compares every message with the schema of the protocol, in every scenario. */
const WIRE_CHECK = 'wire-schema-valid'

function isBad({ status }: Check): boolean {
  return status === 'FAILURE' || status === 'WARNING'
}
