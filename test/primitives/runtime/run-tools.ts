/**
 * The host of tools, for tests that need it to be another process: `run-tools.ts REQUEST` writes the outcomes as JSON, in the order of the calls.
 */
import { join } from 'node:path'
import type { Grant, Sandbox } from '../../../src/primitives/sandbox/contract.ts'
import { createRuntimePrimitive } from '../../../src/primitives/runtime/runtime.ts'
import { createSandbox } from '../../../src/primitives/sandbox/sandbox.ts'
import type { HostRequest, ToolRun } from './tool-host.ts'

// The test that started this writes the type.
const {
  project,
  userSpace,
  mode = 'bubblewrap',
  permissionModel = true,
  close = true,
  runs,
} = JSON.parse(process.argv[2] ?? '') as HostRequest
const sandbox = createSandbox({ mode })
const primitive = createRuntimePrimitive({
  sandbox: permissionModel ? sandbox : withoutPermissionModel(sandbox),
  userSpace: userSpace ?? null,
})
const outcomes: unknown[] = []
for (const run of runs) outcomes.push(await outcomeOf(run))
if (close) await primitive.close()
process.stdout.write(JSON.stringify(outcomes))

async function outcomeOf({
  code,
  imports = {},
  parameters = {},
  config = {},
  grant,
  space = 'project',
  path,
}: ToolRun): Promise<unknown> {
  return await primitive.execute({
    config,
    parameters,
    context: { projectPath: project, ...(grant === undefined ? {} : { __grant: grantOf(grant) }) },
    runtimeTool: {
      id: 'tool',
      path: path ?? join(project, '.ai/tools/tool.ts'),
      space,
      bytes: Buffer.from(code),
      imports: new Map(Object.entries(imports).map(([name, text]) => [name, Buffer.from(text)])),
    },
  })
}

function grantOf({ id = 'test', read = [], write = [], network = 'none' }: NonNullable<ToolRun['grant']>): Grant {
  return { id, threadId: null, read, write, network: { kind: network }, isLive: () => true }
}

/** What is left when Node's own permission model is not there. */
function withoutPermissionModel(inner: Sandbox): Sandbox {
  const isFlag = (arg: string): boolean => arg === '--permission' || arg.startsWith('--allow-')
  return { ...inner, wrap: async (command) => await inner.wrap({ ...command, args: command.args.filter((arg) => !isFlag(arg)) }) }
}
