import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ScriptedProject } from '../cli/scripted-project.ts'

const ENTRY_POINTS: Readonly<Record<string, URL>> = {
  'kiwi-mcp': new URL('../../src/index.ts', import.meta.url),
  'kiwi-mcp/base-harness': new URL('../../src/harness/base/base-harness.ts', import.meta.url),
}

/** Runs an example as a program in the project, with the package's names leading to the sources; gives what it printed. */
export async function runProgram(
  code: string,
  project: Pick<ScriptedProject, 'path' | 'options'>,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const path = join(project.path, 'example.mts')
  writeFileSync(
    path,
    code.replace(/from '(kiwi-mcp[^']*)'/u, (_, name: string) => `from '${ENTRY_POINTS[name]?.href}'`),
  )
  const options = { cwd: project.path, env: { PATH: process.env['PATH'], ...project.options.env, ...env }, timeout: 60_000 }
  return (await promisify(execFile)(process.execPath, [path], options)).stdout
}
