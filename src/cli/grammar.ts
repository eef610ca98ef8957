import { type Command, InvalidArgumentError } from 'commander'
import type { CliContext } from './context.ts'
import type { ExitCode } from './exit-codes.ts'

/** Adds an action whose code is imported only when its verb is called: a cold start pays for one verb. */
export type On = (command: Command, verb: (context: CliContext, ...args: never[]) => Promise<ExitCode>) => void

/** For an option that may be repeated. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value]
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/u.test(text)) throw new InvalidArgumentError('Expected a whole number of 0 or more.')
  return Number(text)
}

export function countingNumber(text: string): number {
  const value = Number(text)
  if (!/^\d{1,9}$/u.test(text) || value === 0) throw new InvalidArgumentError('Expected a whole number of 1 or more.')
  return value
}

export function positiveNumber(text: string): number {
  const value = Number(text)
  if (!/^\d*\.?\d+$/u.test(text) || value <= 0) throw new InvalidArgumentError('Expected a number above 0.')
  return value
}
