import type { Contender } from '../contender.ts'
import { runRawLoop } from './raw-loop.ts'

export async function create(): Promise<Contender> {
  return { run: (task) => runRawLoop(task, null) }
}
