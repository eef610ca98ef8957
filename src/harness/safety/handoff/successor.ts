import type { JsonObject } from '../../../json.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { Successor, ThreadStart, ThreadState } from '../../../threads/engine.ts'
import type { HarnessServices } from '../services.ts'
import type { Scene } from '../turn/scene.ts'
import { freshState, withData } from '../turn/state.ts'
import type { SafetyData } from '../turn/state.ts'

/** What counts for the whole chain, and not for one thread of it: a limit is not a new one because the work has moved. */
type Carried = Pick<
  SafetyData,
  | 'spent'
  | 'added'
  | 'clock'
  | 'warned'
  | 'sinks'
  | 'hookRetries'
  | 'repairs'
  | 'repairBy'
  | 'failedChecks'
  | 'handoffs'
  | 'callsBefore'
>

/** As it stands in the options of a thread that has taken over. */
interface HandedOver {
  readonly from: string
  readonly summary: string
  readonly carried: Carried
}

/** The thread that takes over. Its money is for the engine to hand on, and what was approved for the old thread was approved for that one. */
export function successorOf({ services, ctx, data }: Scene, summary: string): Successor {
  const { spent, added, clock, warned, sinks, hookRetries, repairs, repairBy, failedChecks } = data
  const handoffs = data.handoffs + 1
  const callsBefore = spent.toolCalls
  const carried: Carried = {
    spent,
    added,
    clock,
    warned,
    sinks,
    hookRetries,
    repairs,
    repairBy,
    failedChecks,
    handoffs,
    callsBefore,
  }
  const handedOver: HandedOver = { from: ctx.threadId, summary, carried }
  return {
    threadId: freeId(services, ctx.threadId, handoffs),
    initialMessage: ctx.start.initialMessage,
    // HandedOver holds only JSON values.
    options: { ...ctx.start.options, [OPTION]: handedOver as unknown as JsonObject },
  }
}

const OPTION = 'handoff'
/** Room for the number and a suffix within the longest thread id. */
const BASE_LENGTH = 110

/** `ID_h1`, `ID_h2`, … along the line. */
function freeId(services: HarnessServices, threadId: string, handoffs: number): string {
  const base = (handoffs > 1 ? threadId.replace(/_h\d+(?:_\d+)?$/, '') : threadId).slice(0, BASE_LENGTH)
  const wanted = `${base}_h${handoffs}`
  let free = wanted
  for (let suffix = 2; isTaken(services, free); suffix += 1) free = `${wanted}_${suffix}`
  return free
}

function isTaken({ threads }: HarnessServices, threadId: string): boolean {
  try {
    threads.get(threadId)
    return true
  } catch (error) {
    if (error instanceof KiwiError && error.code === 'THREAD_NOT_FOUND') return false
    throw error
  }
}

/** The first state of a thread, with what the one before it in its line has used already. */
export function firstState(start: ThreadStart): ThreadState {
  const handedOver = handedOverTo(start)
  return handedOver === null ? freshState() : withData(freshState(), handedOver.carried)
}

/** What the first message of a thread tells of the work before it; empty for a thread that has taken over none. */
export function handedOverText(start: ThreadStart): string {
  const handedOver = handedOverTo(start)
  if (handedOver === null) return ''
  return `The thread ${handedOver.from} worked on this before you until its context was full. This is what it wrote for you; you see nothing else of its work. Go on where it stopped, and check what you rely on.\n\n${handedOver.summary}`
}

function handedOverTo({ continues, options }: ThreadStart): HandedOver | null {
  if (continues?.how !== 'handoff') return null
  const handedOver = options[OPTION]
  // `successorOf` is the only one that names a successor, and it writes this type.
  return handedOver === undefined ? null : (handedOver as unknown as HandedOver)
}
