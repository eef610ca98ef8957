import type { Json, JsonObject } from '../json.ts'
import { isObject } from './conversation.ts'

/** What is wrong at one place of a scenario file, and what to write instead. */
export interface FieldProblem {
  readonly path: readonly (string | number)[]
  readonly reason: string
  readonly fix: string
}

export type Path = FieldProblem['path']

/** Readers that check one field each and note what is wrong. */
export interface Fields {
  problem(path: Path, reason: string, fix: string): void
  onlyKeys(value: JsonObject, path: Path, known: readonly string[]): void
  text(value: JsonObject, path: Path): string | undefined
  flag(value: JsonObject, path: Path): boolean | undefined
  /** A whole number of at least `minimum`. */
  count(value: JsonObject, path: Path, minimum: number): number | undefined
  map(value: JsonObject, path: Path): JsonObject | undefined
}

/** Field readers that add to `problems`. The last part of each path is the field's name. */
export function createFields(problems: FieldProblem[]): Fields {
  const problem = (path: Path, reason: string, fix: string): void => {
    problems.push({ path, reason, fix })
  }
  const read = <T>(
    value: JsonObject,
    path: Path,
    { is, expected }: { is: (field: Json) => field is T & Json; expected: string },
  ): T | undefined => {
    const field = value[String(path.at(-1))]
    if (field === undefined) return undefined
    if (is(field)) return field
    problem(path, `must be ${expected}, got ${JSON.stringify(field).slice(0, 80)}`, `Write ${expected}, or remove the field.`)
    return undefined
  }
  return {
    problem,
    onlyKeys: (value, path, known) => {
      for (const key of Object.keys(value)) {
        if (!known.includes(key)) problem([...path, key], 'is not a field here', `Use one of ${known.join(', ')}.`)
      }
    },
    text: (value, path) => read(value, path, { is: (field): field is string => typeof field === 'string', expected: 'a text' }),
    flag: (value, path) =>
      read(value, path, { is: (field): field is boolean => typeof field === 'boolean', expected: 'true or false' }),
    count: (value, path, minimum) =>
      read(value, path, {
        is: (field): field is number => typeof field === 'number' && Number.isInteger(field) && field >= minimum,
        expected: `a whole number of at least ${minimum}`,
      }),
    map: (value, path) => read(value, path, { is: (field): field is JsonObject => isObject(field), expected: 'a map' }),
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the fields that are undefined. */
export function defined<T extends object>(value: T): Defined<T> {
  // Only keys with values are left, which is what the type says.
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Defined<T>
}
