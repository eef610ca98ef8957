import type { MetaToolResult } from '../../../kernel/contract.ts'

/** What the model reads: the tool's own value, or the error. The envelope around a value says nothing that the model did not send. */
export function shown(result: MetaToolResult): string {
  const { sandbox, ...told } = result
  // What a tool ran in is worth a word only where nothing held it.
  const unheld = sandbox === 'none' ? { sandbox } : {}
  if (!told.success) return JSON.stringify({ ...told, ...unheld })
  const { success: _success, item_type: _type, item_id: _id, ...facts } = told
  const { result: returned, ...beside } = facts
  const isAlone = 'result' in facts && Object.keys(beside).length === 0
  // A field among those of the tool, so that what reads them finds them where they are in a sandbox.
  const value = isAlone && isRecord(returned) ? { ...returned, ...unheld } : bare({ ...facts, ...unheld })
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null')
}

/** The result itself where nothing stands beside it. */
function bare(facts: Readonly<Record<string, unknown>>): unknown {
  const keys = Object.keys(facts)
  return keys.length === 1 && keys[0] === 'result' ? facts['result'] : facts
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
