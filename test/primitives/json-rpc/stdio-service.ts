/** The service of the specification's examples as a process: one JSON text a line. */
import { createInterface } from 'node:readline'
import { answerTo } from './service.ts'

for await (const line of createInterface({ input: process.stdin })) {
  const answer = answerTo(line)
  if (answer !== null) process.stdout.write(`${answer}\r\n`)
}
