/** CPU and memory of one long streamed answer, from the socket to the folded text. */
import type { Measured } from './contender.ts'
import { type ContenderProcess, type ModelServer, startContender, startModelServer } from './processes.ts'
import { type Figures, measureRounds } from './rounds.ts'
import { round } from './statistics.ts'
import { type BenchWire, expectedOf } from './wire-bytes.ts'

const DELTAS = 20_000
const LONG_DELTAS = 200_000
const WARMUPS = 5
const ROUNDS = 15

const FLOOR = 'hand-written'
const OURS = 'kiwi'
const SDK: Readonly<Record<BenchWire, string>> = { anthropic: '@anthropic-ai/sdk', openai: 'openai' }

const CONTENDERS: Readonly<Record<BenchWire, Readonly<Record<string, string>>>> = {
  anthropic: {
    drain: 'contenders/stream-drain.ts',
    [FLOOR]: 'contenders/stream-hand-written.ts',
    [OURS]: 'contenders/stream-kiwi.ts',
    'eventsource-parser': 'peers/stream-eventsource-parser.ts',
    '@anthropic-ai/sdk': 'peers/stream-anthropic-sdk.ts',
    ai: 'peers/stream-ai.ts',
  },
  openai: {
    drain: 'contenders/stream-drain.ts',
    [FLOOR]: 'contenders/stream-hand-written.ts',
    [OURS]: 'contenders/stream-kiwi.ts',
    'eventsource-parser': 'peers/stream-eventsource-parser.ts',
    openai: 'peers/stream-openai-sdk.ts',
    ai: 'peers/stream-ai.ts',
  },
}

interface WireReport {
  readonly contenders: Readonly<Record<string, Figures>>
  readonly ratio_to_hand_written: number
  readonly ratio_to_official_sdk: number
  readonly goals: { readonly at_most_1_5_of_hand_written: boolean; readonly at_most_half_of_official_sdk: boolean }
}

interface MemoryReport {
  readonly ten_streams_max_rss_mb: number
  readonly one_long_stream_max_rss_mb: number
  readonly growth_mb: number
}

export interface StreamReport {
  readonly deltas: number
  readonly wires: Readonly<Record<BenchWire, WireReport>>
  readonly memory: Readonly<Record<string, MemoryReport>>
}

export async function bench(): Promise<StreamReport> {
  const server = await startModelServer()
  try {
    return {
      deltas: DELTAS,
      wires: { anthropic: await benchWire(server, 'anthropic'), openai: await benchWire(server, 'openai') },
      memory: { [FLOOR]: await benchMemory(server, FLOOR), [OURS]: await benchMemory(server, OURS) },
    }
  } finally {
    await server.stop()
  }
}

async function benchWire(server: ModelServer, wire: BenchWire): Promise<WireReport> {
  const started: ContenderProcess[] = []
  try {
    for (const [name, file] of Object.entries(CONTENDERS[wire])) started.push(await startContender(name, file))
    const url = `${server.origin}/stream/${DELTAS}`
    const contenders = await measureRounds(
      started,
      { url, wire, turns: 1 },
      { warmups: WARMUPS, rounds: ROUNDS, floor: FLOOR, check },
    )
    return { contenders, ...judge(contenders, wire) }
  } finally {
    await Promise.all(started.map((contender) => contender.stop()))
  }
}

function judge(contenders: Readonly<Record<string, Figures>>, wire: BenchWire): Omit<WireReport, 'contenders'> {
  const toFloor = contenders[OURS]?.cpu_ratio_to_floor.median ?? Number.NaN
  const toSdk = toFloor / (contenders[SDK[wire]]?.cpu_ratio_to_floor.median ?? Number.NaN)
  return {
    ratio_to_hand_written: round(toFloor),
    ratio_to_official_sdk: round(toSdk),
    goals: { at_most_1_5_of_hand_written: toFloor <= 1.5, at_most_half_of_official_sdk: toSdk <= 0.5 },
  }
}

function check(name: string, { seen }: Measured): void {
  if (seen.text !== null && seen.text !== expectedOf(DELTAS).textLength)
    throw new Error(`${name} folded ${seen.text} characters of text.`)
}

/**
 * The same number of events, once as ten streams and once as one, each in a fresh process (the highest resident size never falls): what the
 * second needs more is what the length of a stream costs. The warm-up is the same.
 */
async function benchMemory(server: ModelServer, name: string): Promise<MemoryReport> {
  const warmup = [DELTAS, DELTAS, DELTAS]
  const tenStreams = await maxRssMb(server, name, [...warmup, ...Array<number>(LONG_DELTAS / DELTAS).fill(DELTAS)])
  const oneStream = await maxRssMb(server, name, [...warmup, LONG_DELTAS])
  return { ten_streams_max_rss_mb: tenStreams, one_long_stream_max_rss_mb: oneStream, growth_mb: round(oneStream - tenStreams) }
}

async function maxRssMb(server: ModelServer, name: string, lengths: readonly number[]): Promise<number> {
  const contender = await startContender(name, CONTENDERS.anthropic[name] ?? '')
  try {
    let max = 0
    for (const length of lengths) {
      const { maxRssMb: rss } = await contender.run({ url: `${server.origin}/stream/${length}`, wire: 'anthropic', turns: 1 })
      max = rss
    }
    return round(max)
  } finally {
    await contender.stop()
  }
}
