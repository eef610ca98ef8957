import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { serveMcpHttp } from '../../src/serve/http-server.ts'
import { startKiwi } from '../cli/kiwi-process.ts'
import { createScriptedProject } from '../cli/scripted-project.ts'
import { createEverythingServing } from './everything-server.ts'
import { startHeaderRelay } from './header-relay.ts'

/** A server that the suite can talk to. */
export interface ServerUnderTest {
  readonly url: string
  close(): Promise<void>
}

const START_TIMEOUT_MS = 30_000

/**
 * `kiwi serve` as a user runs it, in a project that has a directive and a thread, so that its lists are not empty. The suite cannot send a token; so it talks to
 * a relay that adds it and changes nothing else.
 */
export async function startKiwiServe(): Promise<ServerUnderTest> {
  const project = await createScriptedProject()
  try {
    const ran = await project.run('run', 'hello_kiwi', 'text=hello')
    if (ran.code !== 0) throw new Error(`The thread that the suite would read did not run: ${ran.stderr}`)
    const child = startKiwi(['serve', '--port', '0', '--output', 'json'], project.options)
    const log: string[] = []
    child.stderr.on('data', (chunk: Buffer) => log.push(chunk.toString()))
    const ended = once(child, 'exit')
    const stop = async (): Promise<void> => {
      child.kill('SIGTERM')
      await ended
    }
    try {
      const lines = createInterface({ input: child.stdout })
      const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(START_TIMEOUT_MS) })
      // The one line that the verb prints as JSON.
      const { port, token_file: file } = JSON.parse(String(line)) as { readonly port: number; readonly token_file: string }
      const token = readFileSync(file, 'utf8').trim()
      const relay = await startHeaderRelay(port, ['Authorization', `Bearer ${token}`])
      return {
        url: `${relay.origin}/mcp`,
        async close() {
          await relay.close()
          await stop()
          await project.close()
        },
      }
    } catch (error) {
      await stop()
      throw new Error(`kiwi serve did not start: ${log.join('')}`, { cause: error })
    }
  } catch (error) {
    await project.close()
    throw error
  }
}

/** The fixtures of the suite, behind the same door. They hold nothing, so nobody needs a token. */
export async function startEverything(): Promise<ServerUnderTest> {
  const serving = createEverythingServing()
  const server = await serveMcpHttp({ serving, port: 0, token: null })
  return {
    url: server.url,
    async close() {
      await server.close()
      await serving.close()
    },
  }
}
