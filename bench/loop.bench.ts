/** CPU of an agent loop: twenty streamed turns, one tool call a turn, a model that answers at once. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Measured } from './contender.ts'
import { type ContenderProcess, type ModelServer, startContender, startModelServer } from './processes.ts'
import { type Figures, measureRounds } from './rounds.ts'
import { round } from './statistics.ts'

const TURNS = 20
/** A host runs for hours, and most of a turn's code runs once a turn: 30 loops call it 600 times. */
const WARMUPS = 30
const ROUNDS = 30

const FLOOR = 'raw-journal'
const OURS = 'kiwi'

const CONTENDERS: Readonly<Record<string, string>> = {
  raw: 'contenders/loop-raw.ts',
  [FLOOR]: 'contenders/loop-raw-journal.ts',
  [OURS]: 'contenders/loop-kiwi.ts',
  ai: 'peers/loop-ai.ts',
  '@openai/agents': 'peers/loop-openai-agents.ts',
  '@langchain/langgraph': 'peers/loop-langgraph.ts',
}

export interface LoopReport {
  readonly turns: number
  readonly contenders: Readonly<Record<string, Figures & { readonly cpu_ms_per_turn: number }>>
  /** What one run of ours writes to its journal, and so what the floor writes. */
  readonly journal: Readonly<Record<string, number>>
  readonly ratio_to_raw_with_journal: number
  readonly goals: { readonly at_most_twice_raw_with_journal: boolean }
}

export async function bench(): Promise<LoopReport> {
  const server = await startModelServer()
  const folder = mkdtempSync(join(tmpdir(), 'kiwi-bench-'))
  const tracePath = join(folder, 'journal-trace')
  const started: ContenderProcess[] = []
  try {
    const journal = await recordJournal(server, tracePath)
    for (const [name, file] of Object.entries(CONTENDERS)) started.push(await startContender(name, file))
    const task = { url: `${server.origin}/loop/${TURNS}/note`, wire: 'anthropic' as const, turns: TURNS, tracePath }
    const figures = await measureRounds(started, task, { warmups: WARMUPS, rounds: ROUNDS, floor: FLOOR, check })
    const ratio = figures[OURS]?.cpu_ratio_to_floor.median ?? Number.NaN
    return {
      turns: TURNS,
      contenders: Object.fromEntries(
        Object.entries(figures).map(([name, figure]) => [
          name,
          { ...figure, cpu_ms_per_turn: round(figure.cpu_ms.median / TURNS) },
        ]),
      ),
      journal,
      ratio_to_raw_with_journal: round(ratio),
      goals: { at_most_twice_raw_with_journal: ratio <= 2 },
    }
  } finally {
    await Promise.all(started.map((contender) => contender.stop()))
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function recordJournal(server: ModelServer, tracePath: string): Promise<Readonly<Record<string, number>>> {
  const recorder = await startContender('recorder', CONTENDERS[OURS] ?? '')
  try {
    const url = `${server.origin}/loop/${TURNS}/note`
    // The first run makes tables and fills caches; the second writes what every run writes.
    await recorder.run({ url, wire: 'anthropic', turns: TURNS })
    const { seen } = await recorder.run({ url, wire: 'anthropic', turns: TURNS, recordTo: tracePath })
    return seen.notes ?? {}
  } finally {
    await recorder.stop()
  }
}

function check(name: string, { seen }: Measured): void {
  if (seen.toolCalls !== TURNS - 1) throw new Error(`${name} made ${seen.toolCalls} tool calls, expected ${TURNS - 1}.`)
}
