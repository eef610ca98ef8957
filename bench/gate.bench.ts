/** What permissions cost, a section for each thing that they are made of. Prints JSON. */
import { type BashReport, measureBash } from './gate-bash.ts'
import { type GateCheckReport, measureGateCheck } from './gate-check.ts'
import { measureWorkerCalls, type WorkerCallReport } from './gate-worker-call.ts'

export interface GateReport {
  readonly check: GateCheckReport
  readonly worker_call: WorkerCallReport
  readonly bash: BashReport
}

export async function bench(): Promise<GateReport> {
  return { check: await measureGateCheck(), worker_call: await measureWorkerCalls(), bash: await measureBash() }
}

if (import.meta.main) console.log(JSON.stringify({ gate: await bench(), node: process.version }, null, 2))
