import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../../../../src/json.ts'
import type { ApprovalRow } from '../../../../src/threads/approvals/approval.ts'
import { directive, runtimeTool, writes } from '../workshop.ts'
import type { Workshop } from '../workshop.ts'

/** A tool that somebody must agree to: it writes down each of its runs, once at most. `exports` are further constants. */
export const DEPLOY = `import fs from 'node:fs'
${runtimeTool(
  `fs.mkdirSync(context.projectPath + '/runs', { recursive: true })
  fs.appendFileSync(context.projectPath + '/runs/deploy', JSON.stringify(params) + '\\n')
  return { deployed: params.target }`,
  `${writes('runs/**', 'once')}\nexport const __approval__ = 'required'`,
).replace('properties: {}', "properties: { target: { type: 'string' } }, required: ['target']")}`

export const WORK = { work: directive('work') }

/** What every run of `deploy` was given, in order. */
export function runs({ projectPath }: Workshop): readonly JsonObject[] {
  const file = join(projectPath, 'runs/deploy')
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line): JsonObject => JSON.parse(line))
}

/** The open questions of a thread, oldest first, when there are so many. */
export async function questions(shop: Workshop, threadId: string, count = 1): Promise<readonly ApprovalRow[]> {
  const deadline = performance.now() + 15_000
  for (;;) {
    const rows = shop.threads.approvals.list({ thread_id: threadId, status: 'pending' })
    if (rows.length === count) return rows.toReversed()
    if (performance.now() > deadline) throw new Error(`${threadId} asks ${rows.length} questions, not ${count}.`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** The only question of a thread. */
export async function question(shop: Workshop, threadId: string): Promise<ApprovalRow> {
  const [row] = await questions(shop, threadId)
  if (row === undefined) throw new Error('There is no question.')
  return row
}

/** Answers as the operator does, by the tool. */
export async function answer(
  shop: Workshop,
  approvalId: string,
  decision: 'approve_once' | 'approve_thread' | 'deny',
  more: JsonObject = {},
): Promise<JsonObject> {
  const answered = await shop.call('answer_approval', { approval_id: approvalId, decision, ...more })
  if (!answered.success) throw new Error(JSON.stringify(answered.error))
  return answered['result'] as JsonObject
}
