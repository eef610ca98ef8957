/** The raw loop, and around its turns exactly the journal writes that our own run makes. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

import type { CreateContender } from '../contender.ts'
import { loadTrace, openReplayStore, type ReplayStore } from '../journal-trace.ts'
import { runRawLoop } from './raw-loop.ts'

export const create: CreateContender = async (folder) => {
  let store: ReplayStore | null = null
  let threadIdLength = 0
  return {
    async run(task) {
      if (store === null) {
        const trace = loadTrace(task.tracePath ?? '')
        threadIdLength = trace.threadId.length
        store = openReplayStore(join(folder, 'journal.db'), trace)
      }
      const replay = store.begin(randomBytes(threadIdLength).toString('hex').slice(0, threadIdLength))
      const at = (turn: number, part: number): void => replay.advance((turn - 1 + part) / task.turns)
      return runRawLoop(task, {
        beforeModelCall: (turn) => at(turn, 0.1),
        afterModelCall: (turn) => at(turn, 0.4),
        beforeToolCall: (turn) => at(turn, 0.6),
        afterToolCall: (turn) => at(turn, 0.9),
        end: () => replay.advance(1),
      })
    },
    close: async () => store?.close(),
  }
}
