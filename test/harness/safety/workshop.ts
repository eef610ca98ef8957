import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { audienceOf } from '../../../src/capabilities/tokens/authority.ts'
import { createRunKey } from '../../../src/capabilities/tokens/run-key.ts'
import { type TokenChain, verifyTokenChain } from '../../../src/capabilities/tokens/token-chain.ts'
import { createSafetyHarness } from '../../../src/harness/safety/safety-harness.ts'
import type { HarnessServices, ModelTarget } from '../../../src/harness/safety/services.ts'
import type { JsonObject } from '../../../src/json.ts'
import { createKernel } from '../../../src/kernel/kernel.ts'
import type { Kernel, MetaToolResult } from '../../../src/kernel/contract.ts'
import type { ExecutionContext } from '../../../src/kernel/chain/primitive.ts'
import { createHttpPrimitive } from '../../../src/primitives/http-client/http-client.ts'
import { startProxy } from '../../../src/primitives/network/proxy.ts'
import { createRuntimePrimitive } from '../../../src/primitives/runtime/runtime.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from '../../../src/primitives/subprocess/subprocess.ts'
import { createSecretRegistry } from '../../../src/capabilities/secrets/secret-registry.ts'
import { createSafeguards } from '../../../src/safeguards.ts'
import { installKeyIds } from '../../../src/install-keys.ts'
import type { Reply, ScenarioFunction } from '../../../src/scripted-model/scenario.ts'
import { startScriptedModel } from '../../../src/scripted-model/server.ts'
import type { ScriptedModel } from '../../../src/scripted-model/server.ts'
import { createThreadsClient } from '../../../src/threads/client/create-threads-client.ts'
import { systemClock } from '../../../src/threads/clock.ts'
import type { Engine, Runner, Status } from '../../../src/threads/engine.ts'
import { createSqliteEngine } from '../../../src/threads/engines/sqlite-engine.ts'
import { createLiveBus } from '../../../src/threads/live-bus.ts'
import type { LiveBus } from '../../../src/threads/live-bus.ts'
import { openStore } from '../../../src/threads/store/open-store.ts'
import type { Store } from '../../../src/threads/store/open-store.ts'
import type { ThreadEventRow, ThreadRow, ThreadsClient } from '../../../src/threads/threads-client.ts'
import { createTranscripts } from '../../../src/threads/transcript/transcripts.ts'

/** $1 a million input tokens of any class, $10 a million output tokens: 1,000 and 10,000 nano-dollars a token. */
const PRICE = { input: 1, cache_read: 1, cache_write_5m: 1, cache_write_1h: 1, output: 10 }
/** Every answer of the tests uses these unless it says otherwise: 100 × 1,000 + 10 × 10,000 nano-dollars. */
export const USAGE = { input: 100, cache_read: 0, cache_write: 0, output: 10, reasoning: 0 }
export const CALL_NANO = 200_000

export const SYSTEM = join(import.meta.dirname, '../../../system')

export interface WorkshopOptions {
  readonly scenario: ScenarioFunction
  /** Directive sources by name, made by `directive`. */
  readonly directives?: Readonly<Record<string, string>>
  /** Runtime tools by id: TypeScript sources. */
  readonly tools?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, string>>
  readonly model?: Partial<ModelTarget>
  /** Variables whose values are secrets. */
  readonly secrets?: Readonly<Record<string, string>>
  /** Further variables of tool files. */
  readonly env?: Readonly<Record<string, string>>
  /** Keeps registry and transcripts below `.ai/threads` of the project, as a host does, and not in memory. */
  readonly onDisk?: boolean
  /** How long a question waits for its answer; default an hour. */
  readonly approvalTimeoutMs?: number
  readonly wrapRunner?: (runner: Runner) => Runner
}

export interface Workshop {
  readonly projectPath: string
  readonly kernel: Kernel
  readonly threads: ThreadsClient
  readonly services: HarnessServices
  readonly store: Store
  readonly bus: LiveBus
  readonly model: ScriptedModel
  readonly problems: unknown[]
  /** Ends the host without waiting for running steps, and starts another over the same registry. */
  restart(): Promise<void>
  /** What the running thread's own calls carry; waits until it has its token. */
  asThread(threadId: string): Promise<Partial<ExecutionContext>>
  /** Its token chain, proven offline. */
  proof(threadId: string): Promise<TokenChain>
  /** Calls a tool like a client outside of any thread, or with this context. */
  call(tool: string, parameters: JsonObject, context?: Partial<ExecutionContext>): Promise<MetaToolResult>
  /** Spawns by `thread_directive` and gives the thread's id. */
  spawn(directive: string, parameters?: JsonObject): Promise<string>
  until(threadId: string, ...statuses: Status[]): Promise<ThreadRow>
  /** Spawns and waits until the thread has ended or needs a person. */
  run(directive: string, parameters?: JsonObject): Promise<ThreadRow>
  events(threadId: string, type?: string): readonly ThreadEventRow[]
  /** What the model was told by its tools, in order. */
  results(threadId: string): readonly string[]
}

/** The real kernel, engine (in memory), tools and scripted model over a project in a temporary folder. */
export async function openWorkshop(t: TestContext, options: WorkshopOptions): Promise<Workshop> {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'kiwi-safety-')))
  const projectPath = join(base, 'project')
  const userSpace = join(base, 'home')
  for (const folder of [projectPath, userSpace]) mkdirSync(folder)
  const model = await startScriptedModel({ scenario: options.scenario })
  const env: Record<string, string> = {
    ANTHROPIC_BASE_URL: model.anthropicBaseUrl,
    ANTHROPIC_API_KEY: 'test-key',
    OPENAI_BASE_URL: model.openaiBaseUrl,
    OPENAI_API_KEY: 'test-key',
    ...options.env,
  }
  const http = createHttpPrimitive()
  const sandbox = createSandbox({ mode: 'bubblewrap', hidden: [userSpace], startProxy })
  const runtime = createRuntimePrimitive({ sandbox, userSpace })
  const runKey = await createRunKey(() => Date.now())
  const problems: unknown[] = []
  const bus = createLiveBus()
  const store = openStore({ path: options.onDisk === true ? join(projectPath, '.ai/threads/registry.db') : ':memory:' })
  const transcripts =
    options.onDisk === true
      ? createTranscripts({
          folder: dirname(store.path),
          store,
          onProblem: (threadId, error) => void problems.push({ threadId, error }),
        })
      : null
  let hosts = 0
  const openEngine = (): Engine => {
    hosts += 1
    return createSqliteEngine({
      store,
      clock: systemClock,
      hostId: `host-${hosts}`,
      transcripts,
      bus,
      resolveRunner: () => Promise.resolve(runner),
      onProblem: (threadId, error) => void problems.push({ threadId, error }),
    })
  }
  let engine = openEngine()
  const threads = createThreadsClient({
    projectPath,
    store,
    ownsStore: false,
    clock: systemClock,
    wake: async (threadId) => engine.notify(threadId),
    watchLive: async () => {},
  })
  const guards = createSafeguards({ projectPath, userSpace, kernel: () => kernel, threads, runKey })
  const secrets = createSecretRegistry()
  secrets.addFrom(options.secrets ?? {}, Object.keys(options.secrets ?? {}))
  const kernel = createKernel({
    spaces: { project: join(projectPath, '.ai'), user: userSpace, system: SYSTEM },
    projectPath,
    indexPath: null,
    primitives: [http, runtime, createSubprocessPrimitive({ sandbox, env: () => undefined })],
    env: (name, _context, { path }) => {
      const value = env[name]
      if (value !== undefined) secrets.used(name, value, path)
      return value
    },
    authorize: guards.gate.authorize,
    review: guards.review,
    keys: guards.keys,
    now: () => Date.now(),
  })
  await writeItems(kernel, projectPath, options)
  const services: HarnessServices = {
    kernel,
    threads,
    resolveModel: () => ({ ...TARGET, ...options.model }),
    agentsText: () => Promise.resolve({ text: 'You run on a thread.', sha256: 'a'.repeat(64) }),
    gate: guards.gate,
    authority: guards.authority,
    hostAuthority: guards.hostAuthority,
    vocabulary: guards.vocabulary,
    approvalTimeoutMs: () => options.approvalTimeoutMs ?? 3_600_000,
    env: (name) => env[name],
    redactor: () => secrets.redactor(),
  }
  const harness = createSafetyHarness(services, { freshAttemptDelaysMs: [0, 0] })
  const runner = options.wrapRunner?.(harness) ?? harness
  t.after(async () => {
    await engine.close(100)
    transcripts?.close()
    await store.close()
    kernel.close()
    http.close()
    await runtime.close()
    await model.close()
    rmSync(base, { recursive: true, force: true })
  })
  const restart = async (): Promise<void> => {
    await engine.close(0)
    engine = openEngine()
    await engine.recover()
  }
  const asThread: Workshop['asThread'] = async (threadId) => {
    const deadline = performance.now() + 15_000
    while (threads.tokens.latest(threadId) === undefined) {
      if (performance.now() > deadline) throw new Error(`${threadId} got no token.`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return { __thread_id: threadId, __auth: await guards.authority?.current(threadId) }
  }
  const proof = async (threadId: string): Promise<TokenChain> =>
    verifyTokenChain(threads.tokens, threadId, {
      trustedKeyIds: installKeyIds(userSpace, projectPath),
      audience: audienceOf(projectPath),
      vocabulary: await guards.vocabulary(),
    })
  const state = { projectPath, kernel, threads, services, store, bus, model, problems }
  return { ...state, restart, asThread, proof, ...verbs(services) }
}

const TARGET: ModelTarget = {
  tool: 'anthropic_thread',
  wire: 'anthropic_messages',
  provider: 'anthropic',
  model: 'scripted-model',
  maxOutputTokens: 1_000,
  contextWindow: null,
  price: PRICE,
}

async function writeItems(kernel: Kernel, projectPath: string, options: WorkshopOptions): Promise<void> {
  const write = (path: string, text: string): void => {
    const file = join(projectPath, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  write('.ai/package.json', '{"type":"module"}')
  for (const [path, text] of Object.entries(options.files ?? {})) write(path, text)
  for (const [id, text] of Object.entries(options.tools ?? {})) {
    write(`.ai/tools/${id}.ts`, text)
    await sign(kernel, 'tool', id)
  }
  for (const [id, text] of Object.entries(options.directives ?? {})) {
    write(`.ai/directives/${id}.md`, text)
    await sign(kernel, 'directive', id)
  }
}

async function sign(kernel: Kernel, itemType: 'tool' | 'directive', id: string): Promise<void> {
  const signed = await kernel.sign({
    item_type: itemType,
    item_id: id,
    parameters: itemType === 'directive' ? { draft: true } : {},
  })
  if (!signed.success) throw new Error(JSON.stringify(signed.error))
}

function verbs(services: HarnessServices): Pick<Workshop, 'call' | 'spawn' | 'until' | 'run' | 'events' | 'results'> {
  const { kernel, threads } = services
  const call: Workshop['call'] = (tool, parameters, context = {}) =>
    kernel.execute({ item_type: 'tool', item_id: tool, parameters }, { services: { kiwi: services }, ...context })
  const spawn: Workshop['spawn'] = async (name, parameters = {}) => {
    const answer = await call('thread_directive', { directive_name: name, ...parameters })
    if (!answer.success) throw new Error(JSON.stringify(answer.error, null, 2))
    return (answer['result'] as { thread_id: string }).thread_id
  }
  const until: Workshop['until'] = async (threadId, ...statuses) => {
    const deadline = performance.now() + 15_000
    for (;;) {
      const row = threads.get(threadId)
      if (statuses.includes(row.status)) return row
      if (performance.now() > deadline) throw new Error(`${threadId} is ${row.status}, not ${statuses.join(' or ')}.`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  return {
    call,
    spawn,
    until,
    run: async (name, parameters) => until(await spawn(name, parameters), 'completed', 'error', 'cancelled', 'waiting'),
    events: (threadId, type) => threads.events(threadId).filter(({ event_type: found }) => type === undefined || found === type),
    results: (threadId) =>
      threads
        .messages(threadId)
        .flatMap(({ role, content }) => (role === 'tool_result' ? [(content as { content: string }).content] : [])),
  }
}

const LIMITS = '<max_turns>10</max_turns><on_exceeded>stop</on_exceeded>'
/** Everything that a user directive may ask for; tests of permissions say their own. */
const EVERYTHING = [
  '<execute resource="kiwi-mcp" action="*"/>',
  '<execute resource="tool" id="*"/>',
  '<read resource="filesystem" path="**"/>',
  '<write resource="filesystem" path="**"/>',
  '<execute resource="shell"/>',
  '<orchestration enabled="true"></orchestration>',
].join('')

/** A complete directive; `cost` is the inside of its `<cost>`. */
export function directive(name: string, cost = LIMITS, extra = '', permissions = EVERYTHING): string {
  return [
    '```xml',
    `<directive name="${name}" version="1.0.0">`,
    '  <metadata>',
    '    <description>A directive of the tests.</description>',
    '    <category>tests</category>',
    '    <author>tests</author>',
    '    <model tier="fast"/>',
    `    <cost>${cost}</cost>`,
    `    <permissions>${permissions}</permissions>`,
    '  </metadata>',
    `  ${extra}`,
    '  <process><step name="work">Do the work.</step></process>',
    '</directive>',
    '```',
    '',
  ].join('\n')
}

/** A runtime tool whose body is given; `exports` are further constants. */
export function runtimeTool(body: string, exports = "export const __effect__ = 'pure'"): string {
  return [
    "export const __tool_type__ = 'runtime'",
    "export const __version__ = '1.0.0'",
    "export const __executor_id__ = 'node'",
    "export const __description__ = 'A tool of the tests.'",
    exports,
    'export const PARAMETERS = { type: "object", additionalProperties: true, properties: {} }',
    `export default async (params: Record<string, unknown>, context: { projectPath: string, signal: AbortSignal }): Promise<unknown> => { ${body} }`,
    '',
  ].join('\n')
}

/** Constants of a tool that writes below `scope`; its directive must allow that too. */
export function writes(scope: string, effect = 'pure'): string {
  return [
    `export const __effect__ = '${effect}'`,
    `export const __requires__ = [{ cap: 'fs.write', scope: { path: '${scope}' } }]`,
  ].join('\n')
}

/** An answer that ends the work. */
export function says(text: string): { readonly reply: Reply } {
  return { reply: { text, usage: USAGE } }
}

/** An answer that executes tools, each `[tool id, parameters]`. */
export function executes(...calls: readonly (readonly [string, JsonObject])[]): { readonly reply: Reply } {
  return {
    reply: {
      usage: USAGE,
      tool_calls: calls.map(([id, parameters]) => ({
        name: 'execute',
        arguments: { item_type: 'tool', item_id: id, parameters },
      })),
    },
  }
}

/** A directive that may do just what `permissions` says, besides calling `execute`. */
export function limited(name: string, permissions: string): string {
  return directive(name, LIMITS, '', `<execute resource="kiwi-mcp" action="execute"/>${permissions}`)
}
