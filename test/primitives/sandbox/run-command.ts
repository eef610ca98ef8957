/**
 * The host of one command, for tests that need it to be another process: `run-command.ts REQUEST` writes the outcome as JSON. The end of
 * its input cancels the command.
 */
import { startProxy } from '../../../src/primitives/network/proxy.ts'
import type { Grant, NetworkGrant, NetworkTarget } from '../../../src/primitives/sandbox/contract.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import { createSubprocessPrimitive } from '../../../src/primitives/subprocess/subprocess.ts'
import type { CommandRequest } from './sandboxed.ts'

// The test that started this writes the type.
const request = JSON.parse(process.argv[2] ?? '') as CommandRequest
const controller = new AbortController()
process.stdin.on('end', () => controller.abort()).resume()

const { project, config, grant: asked, hidden = [] } = request
const sandbox = createSandbox({ mode: 'bubblewrap', hidden, startProxy })
const primitive = createSubprocessPrimitive({ sandbox, env: (name) => process.env[name] })
const outcome = await primitive.execute({
  config,
  context: { projectPath: project, signal: controller.signal, ...(asked === undefined ? {} : { __grant: grantOf(asked) }) },
})
process.stdout.write(JSON.stringify(outcome), () => process.exit(0))

function grantOf({ read = [], write = [], network = 'none', hosts }: NonNullable<CommandRequest['grant']>): Grant {
  const allows = ({ host, port }: NetworkTarget): boolean => hosts?.includes(`${host}:${port}`) ?? false
  const scoped: NetworkGrant = { kind: 'scoped', policy: { allows, allowsPrivate: allows } }
  return {
    id: 'test',
    threadId: null,
    read,
    write,
    network: hosts === undefined ? { kind: network } : scoped,
    isLive: () => true,
  }
}
