/** Entry of a contender's process: `node contender-process.ts <module> <folder>`; tasks and measurements go over IPC. */
import { memoryUsage } from 'node:process'
import { pathToFileURL } from 'node:url'

import type { Contender, CreateContender, Measured, Task } from './contender.ts'

const [modulePath, folder] = process.argv.slice(2)
if (modulePath === undefined || folder === undefined) throw new TypeError('Expected a contender module and a folder.')

async function createContender(path: string, within: string): Promise<Contender> {
  // every module below contenders/ and peers/ exports `create` of this type
  const module = (await import(pathToFileURL(path).href)) as { create: CreateContender }
  return module.create(within)
}

async function measure(contender: Contender, task: Task): Promise<Measured> {
  const cpu = process.cpuUsage()
  const begun = performance.now()
  const seen = await contender.run(task)
  const wallMs = performance.now() - begun
  const { user, system } = process.cpuUsage(cpu)
  const maxRssMb = process.resourceUsage().maxRSS / 1024
  return { cpuMs: (user + system) / 1000, wallMs, seen, maxRssMb, heapUsedMb: memoryUsage().heapUsed / 2 ** 20 }
}

const contender = await createContender(modulePath, folder)

process.on('message', (task: Task | 'close') => {
  if (task === 'close') {
    void Promise.resolve(contender.close?.()).finally(() => process.exit(0))
    return
  }
  measure(contender, task).then(
    (measured) => process.send?.({ measured }),
    (error: unknown) => process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
})
process.once('disconnect', () => process.exit(0))
process.send?.({ ready: true })
