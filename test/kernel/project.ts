import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { JsonObject } from '../../src/json.ts'
import type { Kernel, KernelOptions, MetaToolResult } from '../../src/kernel/contract.ts'
import type { ErrorBody } from '../../src/kernel/errors.ts'
import { createKernel } from '../../src/kernel/kernel.ts'
import { createHttpPrimitive } from '../../src/primitives/http-client/http-client.ts'
import { createRuntimePrimitive } from '../../src/primitives/runtime/runtime.ts'
import { createSandbox } from '../../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from '../../src/primitives/subprocess/subprocess.ts'
import { createTestKeys, type TestKeys } from './test-keys.ts'

/** A temporary project with a kernel over it and the shipped system space. */
export interface TestProject extends AsyncDisposable {
  readonly root: string
  readonly userSpace: string
  readonly kernel: Kernel
  readonly env: Map<string, string>
  /** Signs what `item` writes. */
  readonly keys: TestKeys
  /** Writes a file below the project without signing it. */
  write(path: string, text: string): Promise<void>
  /** Writes an item below `.ai` and signs it as a draft. */
  item(path: string, text: string): Promise<void>
  execute(toolId: string, parameters?: JsonObject): Promise<MetaToolResult>
}

const SYSTEM_SPACE: string = join(import.meta.dirname, '..', '..', 'system')

export interface TestProjectOptions extends Partial<Pick<KernelOptions, 'authorize' | 'review' | 'primitives'>> {
  readonly keys?: TestKeys
  /** Relative to the project; beside it unless given. */
  readonly userSpace?: string
}

export async function createTestProject(options: TestProjectOptions = {}): Promise<TestProject> {
  const base = await realpath(await mkdtemp(join(tmpdir(), 'kiwi-kernel-')))
  const root = join(base, 'project')
  const userSpace = options.userSpace === undefined ? join(base, 'home', '.ai') : join(root, options.userSpace)
  await mkdir(join(root, '.ai'), { recursive: true })
  await mkdir(userSpace, { recursive: true })
  const env = new Map<string, string>()
  const sandbox = createSandbox({ mode: 'bubblewrap', hidden: [userSpace] })
  const runtime = createRuntimePrimitive({ sandbox, userSpace })
  const { userSpace: _userSpace, ...kernelOptions } = options
  const keys = options.keys ?? createTestKeys()
  const kernel = createKernel({
    spaces: { project: join(root, '.ai'), user: userSpace, system: SYSTEM_SPACE },
    projectPath: root,
    indexPath: null,
    primitives: [createHttpPrimitive(), createSubprocessPrimitive({ sandbox, env: (name) => env.get(name) }), runtime],
    env: (name) => env.get(name),
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    ...kernelOptions,
    keys,
  })
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return {
    root,
    userSpace,
    kernel,
    env,
    keys,
    write,
    async item(path, text) {
      await write(join('.ai', path), text)
      const match = /^(directive|tool|knowledge)s?\/(?:.*\/)?([^/]+)\.\w+$/.exec(path)
      const type = match?.[1]
      if (type !== 'directive' && type !== 'tool' && type !== 'knowledge') throw new Error(`${path} is no item path`)
      const signed = await kernel.sign({ item_type: type, item_id: match?.[2] ?? '', parameters: { draft: true } })
      if (!signed.success) throw new Error(JSON.stringify(signed))
    },
    execute: async (toolId, parameters = {}) => await kernel.execute({ item_type: 'tool', item_id: toolId, parameters }),
    async [Symbol.asyncDispose]() {
      kernel.close()
      await runtime.close()
      await rm(base, { recursive: true, force: true })
    },
  }
}

/** The error of a result that must be a failure. */
export function errorOf(result: MetaToolResult): ErrorBody {
  if (result.success) throw new Error(`expected a failure, got ${JSON.stringify(result)}`)
  return result.error
}

/** The value of a result that must be a success. */
export function valueOf(result: MetaToolResult): unknown {
  if (!result.success) throw new Error(`expected a success, got ${JSON.stringify(result)}`)
  return result['result']
}

export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly ReceivedRequest[]
}

/** A loopback server that records every request before `answer` replies to it. */
export async function createTestServer(
  answer: (request: ReceivedRequest, response: ServerResponse) => void,
): Promise<TestServer> {
  const requests: ReceivedRequest[] = []
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const request = {
        method: incoming.method ?? '',
        url: incoming.url ?? '',
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      }
      requests.push(request)
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
