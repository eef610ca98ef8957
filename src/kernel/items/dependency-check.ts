import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MAX_ITEM_BYTES } from './source-text.ts'
import type { Finding } from './source-text.ts'

/**
 * What a runtime tool needs and its space does not have, at exactly the version that it names. Nothing is installed here: the line to do
 * that is in the finding. `dependencies` holds valid package names only.
 */
export function missingDependencies(
  dependencies: Readonly<Record<string, string>>,
  spaceRoot: string,
  toolId: string,
): readonly Finding[] {
  const findings: Finding[] = []
  for (const [name, version] of Object.entries(dependencies)) {
    const installed = installedVersion(join(spaceRoot, 'node_modules', ...name.split('/'), 'package.json'))
    if (installed === version) continue
    const reason =
      installed === null
        ? `the package ${name}@${version} is not installed`
        : `${name}@${version} is needed, ${installed} is installed`
    findings.push({ line: 1, column: 1, reason, fix: `Run \`kiwi install ${toolId}\`.` })
  }
  return findings
}

function installedVersion(manifest: string): string | null {
  try {
    const text = readFileSync(manifest, 'utf8')
    if (text.length > MAX_ITEM_BYTES) return null
    const parsed: unknown = JSON.parse(text)
    const hasVersion = typeof parsed === 'object' && parsed !== null && 'version' in parsed
    return hasVersion && typeof parsed.version === 'string' ? parsed.version : null
  } catch {
    // Absent or broken: not installed.
    return null
  }
}
