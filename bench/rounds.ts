import type { Measured, Task } from './contender.ts'
import type { ContenderProcess } from './processes.ts'
import { round, type Spread, spreadOf } from './statistics.ts'

export interface Figures {
  readonly cpu_ms: Spread
  readonly wall_ms: Spread
  /** CPU of this contender over that of the floor in the same round, so that the machine's mood cancels out. */
  readonly cpu_ratio_to_floor: Spread
  readonly max_rss_mb: number
  readonly notes?: Readonly<Record<string, number>>
}

export interface RoundOptions {
  readonly warmups: number
  readonly rounds: number
  /** Name of the contender that the others are divided by. */
  readonly floor: string
  readonly check: (name: string, measured: Measured) => void
}

/** Every round asks each contender for one run, in turn: a machine that slows down slows all of them. */
export async function measureRounds(
  contenders: readonly ContenderProcess[],
  task: Omit<Task, 'folder'>,
  options: RoundOptions,
): Promise<Readonly<Record<string, Figures>>> {
  const runs = new Map<string, Measured[]>(contenders.map(({ name }) => [name, []]))
  for (let index = -options.warmups; index < options.rounds; index += 1) {
    for (const contender of contenders) {
      const measured = await contender.run(task)
      options.check(contender.name, measured)
      if (index >= 0) runs.get(contender.name)?.push(measured)
    }
  }
  const floor = runs.get(options.floor) ?? []
  return Object.fromEntries([...runs].map(([name, measured]) => [name, figuresOf(measured, floor)]))
}

function figuresOf(measured: readonly Measured[], floor: readonly Measured[]): Figures {
  const notes = measured.at(-1)?.seen.notes
  return {
    cpu_ms: spreadOf(measured.map(({ cpuMs }) => cpuMs)),
    wall_ms: spreadOf(measured.map(({ wallMs }) => wallMs)),
    cpu_ratio_to_floor: spreadOf(measured.map(({ cpuMs }, index) => cpuMs / (floor[index]?.cpuMs ?? Number.NaN))),
    max_rss_mb: round(Math.max(...measured.map(({ maxRssMb }) => maxRssMb))),
    ...(notes === undefined ? {} : { notes }),
  }
}
