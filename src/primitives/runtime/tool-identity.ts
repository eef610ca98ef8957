import { createHash, type Hash } from 'node:crypto'
import type { RuntimeTool } from './contract.ts'

// A caller that keeps the bytes it checked is spared a hash of them at every call.
const known = new WeakMap<Uint8Array, { readonly tool: RuntimeTool; readonly identity: string }>()

/** SHA-256 over id, place, bytes and imports of a tool: equal exactly for tools that run the same code at the same place. */
export function identityOf(tool: RuntimeTool): string {
  const found = known.get(tool.bytes)
  if (found !== undefined && isSame(found.tool, tool)) return found.identity
  const hash = createHash('sha256')
  for (const text of [tool.id, tool.space, tool.path]) addPart(hash, Buffer.from(text))
  addPart(hash, tool.bytes)
  for (const [path, bytes] of [...tool.imports].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    addPart(hash, Buffer.from(path))
    addPart(hash, bytes)
  }
  const identity = hash.digest('hex')
  known.set(tool.bytes, { tool, identity })
  return identity
}

function isSame(a: RuntimeTool, b: RuntimeTool): boolean {
  if (a.path !== b.path || a.id !== b.id || a.space !== b.space || a.imports.size !== b.imports.size) return false
  for (const [path, bytes] of b.imports) if (a.imports.get(path) !== bytes) return false
  return true
}

/** The length before each part keeps two lists of parts from reading the same. */
function addPart(hash: Hash, bytes: Uint8Array): void {
  hash.update(`${bytes.length}:`)
  hash.update(bytes)
}
