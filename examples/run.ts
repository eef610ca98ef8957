/** `npm run examples [-- NAME…]`: plays the examples one after another; exits with 1 when one does not come out as it says. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openStage, type Stage } from './stage.ts'

const HERE = import.meta.dirname
const EXAMPLE_TIMEOUT_MS = 120_000

interface Example {
  readonly title: string
  readonly play: (stage: Stage) => Promise<void>
}

const known = readdirSync(HERE).filter((name) => existsSync(join(HERE, name, 'example.ts')))
const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !known.includes(name))
if (unknown.length > 0 || known.length === 0) {
  console.error(`There is no example ${unknown.join(', ')}. There are: ${known.join(', ')}.`)
  process.exit(1)
}

let failed = 0
for (const name of asked.length === 0 ? known : asked) {
  // Every folder with an `example.ts` keeps this contract.
  const example = (await import(new URL(`./${name}/example.ts`, import.meta.url).href)) as Example
  console.log(`\n${name}: ${example.title}`)
  const error = await outcomeOf(join(HERE, name), example)
  if (error === null) console.log('  as it should be')
  else {
    failed += 1
    console.error('  FAILED', error)
  }
}
console.log(`\n${failed === 0 ? 'All examples came out as they say.' : `${failed} failed.`}`)
process.exit(failed === 0 ? 0 : 1)

async function outcomeOf(folder: string, example: Example): Promise<unknown> {
  let stage: Stage | undefined
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It took longer than ${EXAMPLE_TIMEOUT_MS / 1000} s.`)), EXAMPLE_TIMEOUT_MS)
  })
  try {
    stage = await openStage(folder)
    await Promise.race([example.play(stage), late])
    return null
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
    await stage?.close()
  }
}
