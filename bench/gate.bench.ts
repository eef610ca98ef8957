/** What permissions cost, a section for each thing that they are made of. Prints JSON. */
import { type GateCheckReport, measureGateCheck } from './gate-check.ts'

export interface GateReport {
  readonly check: GateCheckReport
}

export async function bench(): Promise<GateReport> {
  return { check: await measureGateCheck() }
}

if (import.meta.main) console.log(JSON.stringify({ gate: await bench(), node: process.version }, null, 2))
