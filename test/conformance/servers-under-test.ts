import { serveMcpHttp } from '../../src/serve/http-server.ts'
import { createScriptedProject } from '../cli/scripted-project.ts'
import { startServe } from '../cli/served-kiwi.ts'
import { createEverythingServing } from './everything-server.ts'
import { startHeaderRelay } from './header-relay.ts'

/** A server that the suite can talk to. */
export interface ServerUnderTest {
  readonly url: string
  close(): Promise<void>
}

/**
 * `kiwi serve` as a user runs it, in a project that has a directive and a thread, so that its lists are not empty. The suite cannot send a token; so it talks to
 * a relay that adds it and changes nothing else.
 */
export async function startKiwiServe(): Promise<ServerUnderTest> {
  const project = await createScriptedProject()
  try {
    const ran = await project.run('run', 'hello_kiwi', 'text=hello')
    if (ran.code !== 0) throw new Error(`The thread that the suite would read did not run: ${ran.stderr}`)
    const served = await startServe(project.options)
    const relay = await startHeaderRelay(served.port, ['Authorization', `Bearer ${served.token}`])
    return {
      url: `${relay.origin}/mcp`,
      async close() {
        await relay.close()
        await served.stop()
        await project.close()
      },
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
