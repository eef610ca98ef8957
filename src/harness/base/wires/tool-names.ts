import type { ToolSpec } from '../conversation.ts'

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/
const checked = new WeakSet<readonly ToolSpec[]>()

/**
 * Refuses tools that a provider would refuse with every request.
 *
 * @throws {TypeError} for a name outside `^[a-zA-Z0-9_-]{1,64}$`, or one that is given twice.
 */
export function assertToolNames(tools: readonly ToolSpec[]): void {
  if (checked.has(tools)) return
  const seen = new Set<string>()
  for (const { name } of tools) {
    if (!TOOL_NAME.test(name)) {
      throw new TypeError(
        `Expected a tool name of 1 to 64 letters, digits, "_" or "-", got ${JSON.stringify(name)}. Rename the tool.`,
      )
    }
    if (seen.has(name)) throw new TypeError(`Expected each tool name once, got "${name}" twice. Rename or remove one of them.`)
    seen.add(name)
  }
  checked.add(tools)
}

/** The name or id that a provider accepts for one that another provider gave: what it refuses becomes `_`. */
export function acceptableId(id: string): string {
  const cleaned = id.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64)
  return cleaned === '' ? '_' : cleaned
}
