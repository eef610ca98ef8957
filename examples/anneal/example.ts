import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ApprovalRow } from '../../src/threads/approvals/approval.ts'
import type { ThreadRow } from '../../src/threads/threads-client.ts'
import type { Stage } from '../stage.ts'

export const title =
  'a directive that lacks a permission is mended: a thread proposes the change, a person approves it, and the work goes on'

const DIRECTIVE = '.ai/directives/daily_summary.md'
const SUMMARY = 'summaries/monday.md'
const LINE = '      <write resource="filesystem" path="summaries/**"/>'

export async function play(stage: Stage): Promise<void> {
  const { projectPath, kiwi, json, say } = stage
  await fails(stage)
  const { waiting, question } = await proposes(stage)
  assert.doesNotMatch(readFileSync(join(projectPath, DIRECTIVE), 'utf8'), /<write /u)
  const shown = await kiwi('approvals', question.approval_id)
  assert.equal(shown.code, 0)
  assert.ok(shown.stdout.includes(`+${LINE}`))
  assert.match(shown.stdout, /fs\.write summaries\/\*\*/u)
  for (const line of shown.stdout
    .slice(shown.stdout.indexOf('\ndiff\n') + 1)
    .trimEnd()
    .split('\n'))
    say(line)

  await json('approve', question.approval_id)
  const { answer } = (await json('approvals', question.approval_id)) as unknown as ApprovalRow
  const retried = answer?.facts['retried_thread_id']
  assert.ok(answer?.facts['signed'] === true && typeof retried === 'string')
  assert.ok(readFileSync(join(projectPath, DIRECTIVE), 'utf8').includes(LINE))
  say(`approved: ${DIRECTIVE} is written and signed, and ${retried} goes on where monday was denied`)

  await json('wait', retried, waiting)
  assert.equal(readFileSync(join(projectPath, SUMMARY), 'utf8'), 'A kiwi laid an egg.\n')
  const annealed = (await json('show', waiting)) as unknown as ThreadRow
  assert.match(JSON.stringify(annealed.result), new RegExp(`${retried} goes on with the work`, 'u'))
  say(`${retried} wrote ${SUMMARY}`)
}

/** The step that writes is denied, and `kiwi why` says so. */
async function fails({ projectPath, kiwi, json, say }: Stage): Promise<void> {
  const spawn = { directive_name: 'daily_summary', thread_id: 'monday', harness: 'safety_harness', inputs: { day: 'monday' } }
  await json('execute', 'tool', 'spawn_thread', '--params', JSON.stringify(spawn))
  await json('wait', 'monday')
  assert.equal(existsSync(join(projectPath, SUMMARY)), false)
  const { stdout } = await kiwi('why', 'monday')
  assert.match(stdout, /fs\.write "summaries\/monday\.md"/u)
  say(stdout.split('\n').find((line) => line.includes('denied')) ?? '')
}

/** The thread that anneals waits for a person. */
async function proposes({ kiwi, json, say }: Stage): Promise<{ readonly waiting: string; readonly question: ApprovalRow }> {
  const { code } = await kiwi('run', 'anneal_directive', '-i', 'thread_id=monday')
  assert.equal(code, 5)
  const [question] = (await json('approvals')) as unknown as readonly ApprovalRow[]
  assert.ok(question !== undefined)
  say(`${question.thread_id} waits: ${question.title}`)
  return { waiting: question.thread_id, question }
}
