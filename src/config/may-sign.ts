import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from './config.ts'
import { userSpaceOf } from './user-space.ts'

/**
 * `mcp.allow_sign` of the resolved configuration; false where that cannot be read. A server asks before it lists its tools, which must be
 * quick: where neither file so much as names the field, nothing is parsed.
 */
export async function mayMcpSign(input: Pick<ConfigInput, 'projectPath' | 'env'>): Promise<boolean> {
  const files = [join(input.projectPath, '.ai', 'config.yaml'), join(userSpaceOf(input.env), 'config.yaml')]
  if (!files.some(namesTheField)) return true
  const { resolveConfig } = await import('./config.ts')
  try {
    return resolveConfig(input).mcp.allowSign
  } catch {
    // Whoever calls a tool is told what is wrong with the file.
    return false
  }
}

function namesTheField(path: string): boolean {
  try {
    return readFileSync(path, 'latin1').includes('allow_sign')
  } catch {
    return false
  }
}
