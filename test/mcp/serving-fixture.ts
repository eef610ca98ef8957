import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client, InMemoryTransport, type ClientOptions } from '@modelcontextprotocol/client'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { createKiwi, type Kiwi } from '../../src/compose.ts'
import type { McpServing, McpServingOptions } from '../../src/mcp/contract.ts'
import { createMcpServing } from '../../src/mcp/server.ts'
import { createThreadsClient } from '../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../src/threads/clock.ts'
import { openStore } from '../../src/threads/store/open-store.ts'
import type { ThreadsClient } from '../../src/threads/threads-client.ts'
import { createScriptedProject, type ScriptedProject } from '../cli/scripted-project.ts'

export type Era = 'legacy' | 'modern'

const NEGOTIATION = { legacy: { mode: 'legacy' }, modern: { mode: { pin: '2026-07-28' } } } as const

/** The real client on a connection of its own to the service, in this process. */
export async function connect(serving: McpServing, era: Era, options: ClientOptions = {}): Promise<Client> {
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  serveStdio(serving.factory, { transport: serverSide })
  const client = new Client({ name: 'kiwi-test', version: '1.0.0' }, { ...options, versionNegotiation: NEGOTIATION[era] })
  await client.connect(clientSide)
  return client
}

export interface ServedProject {
  readonly project: ScriptedProject
  readonly kiwi: Kiwi
  readonly serving: McpServing
  close(): Promise<void>
}

/** An initialised project with a scripted model, and the service on it. */
export async function serveProject(
  scenario?: Parameters<typeof createScriptedProject>[0],
  options: Partial<McpServingOptions> = {},
): Promise<ServedProject> {
  const project = await createScriptedProject(scenario)
  const kiwi = createKiwi({ projectPath: project.path, env: { ...project.options.env } })
  const serving = createMcpServing({
    open: async (path) => ({ kernel: kiwi.kernel(path), threads: kiwi.threads(path), redact: (value) => kiwi.redact(value) }),
    projectPath: project.path,
    version: '0.0.0',
    ...options,
  })
  return {
    project,
    kiwi,
    serving,
    async close() {
      await serving.close()
      await kiwi.close()
      await project.close()
    },
  }
}

/** A directive file, signed unless `signed` is false. */
export async function writeDirective(
  project: ScriptedProject,
  name: string,
  parts: { readonly cost?: string; readonly inputs?: string; readonly signed?: boolean } = {},
): Promise<void> {
  const { cost = '<max_turns>5000</max_turns><on_exceeded>stop</on_exceeded>', inputs = '', signed = true } = parts
  const xml = `<directive name="${name}" version="1.0.0">
  <metadata>
    <description>Walk</description>
    <category>test</category>
    <model tier="fast"/>
    <cost>${cost}</cost>
    <permissions><execute resource="kiwi-mcp" action="execute"/><execute resource="tool" id="count_words"/></permissions>
  </metadata>
  ${inputs}
  <process><step name="walk">Walk.</step></process>
</directive>`
  const folder = join(project.path, '.ai', 'directives', 'test')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.md`), `# ${name}\n\n\`\`\`xml\n${xml}\n\`\`\`\n`)
  if (!signed) return
  const { code, stderr } = await project.run('sign', 'directive', name)
  if (code !== 0) throw new Error(`kiwi sign failed: ${stderr}`)
}

/** Threads that nobody runs. */
export function threadsAlone(): ThreadsClient {
  return createThreadsClient({
    projectPath: '/nowhere',
    store: openStore({ path: ':memory:' }),
    ownsStore: true,
    clock: systemClock,
    wake: async () => undefined,
    watchLive: async () => undefined,
  })
}

/** Asks again until it holds; the deadline is far beyond what anything here takes. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`What was waited for did not come: ${what}`)
    await delay(50)
  }
}
