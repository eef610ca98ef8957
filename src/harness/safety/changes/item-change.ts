import type { JsonObject } from '../../../json.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import { directiveGaps } from '../../../kernel/items/directive-gaps.ts'
import type { Item, ItemType } from '../../../kernel/items/item.ts'
import { allowedActions, assertAllowed } from '../interventions/allowed-actions.ts'
import { callingThread } from '../interventions/thread-access.ts'
import { hookProblems } from '../hooks/hook-directives.ts'
import type { HarnessServices } from '../services.ts'
import type { Change } from './contract.ts'
import { changeTitle } from './change-title.ts'
import { changeView } from './change-view.ts'
import { unseenIn } from './unseen.ts'

/** Other content for an item, and the thread that is to be retried with it. */
export interface ProposedChange {
  readonly item_type: ItemType
  readonly item_id: string
  /** The whole file; its signature line may be there or not. */
  readonly content: string
  readonly reason: string
  readonly retry_thread_id?: string
  readonly retry_message?: string
}

/** A change that could be carried out now, as whoever decides is shown it. */
export interface ReadyChange {
  readonly title: string
  readonly subject: Change & { readonly file: string; readonly diff: string }
}

/** Of content, in bytes: more than any item that somebody would read before agreeing. */
const MAX_BYTES = 256 * 1024

/**
 * Looks at a change as it would be carried out, so that nobody is asked to agree to what cannot be done, or to what the diff does not show.
 * Nothing is written. Where nobody has signed the file as it is, all of it stands in the diff, because all of it would be signed.
 *
 * @throws {KiwiError} PARAMETER_VALIDATION_ERROR with every problem of the content; INVALID_REQUEST for an item that cannot be changed;
 *   PERMISSION_DENIED, ITEM_NOT_FOUND, THREAD_NOT_FOUND, ILLEGAL_TRANSITION (the thread to retry has not ended).
 */
export async function readyChange(
  services: HarnessServices,
  context: ExecutionContext,
  proposed: ProposedChange,
): Promise<ReadyChange> {
  const { item_type: type, item_id: id, content, reason } = proposed
  await assertMayRead(services, context, { type, id })
  if (Buffer.byteLength(content) > MAX_BYTES) throw refused(proposed, [`it has more than ${MAX_BYTES} bytes`])
  const revision = await services.kernel.revise(type, id, content)
  const { before, after } = revision
  const { file } = before.item
  if (before.trusted && before.text === after.text) throw refused(proposed, [`it is what ${file} holds already`])
  const view = await changeView(services, revision, { isWhole: !before.trusted })
  const problems = [...itemProblems(after.item), ...(await threadProblems(services, context, after.item))]
  problems.push(...unseenIn(revision, view.diff))
  if (problems.length > 0) throw refused(proposed, problems)
  const retry = await retryOf(services, context, proposed)
  const subject = {
    action: 'write',
    item_type: type,
    item_id: id,
    file,
    reason,
    base_trusted: before.trusted,
    base_sha256: before.sha256,
    sha256: after.sha256,
    ...retry,
    // Last is what is read: the permissions, and the difference that the whole content comes to.
    content: after.text,
    ...view,
  }
  return { title: changeTitle(subject), subject }
}

/** Who proposes a change to an item is told what is in it. */
async function assertMayRead(
  { gate, kernel }: HarnessServices,
  context: ExecutionContext,
  { type, id }: { readonly type: ItemType; readonly id: string },
): Promise<void> {
  const { category } = await kernel.find(type, id)
  const answer = await gate.check({ verb: 'load', item: { itemType: type, itemId: id, category }, context })
  if (answer.permitted) return
  throw new KiwiError(answer.code ?? 'PERMISSION_DENIED', `The ${type} "${id}" may not be read by this thread.`, {
    facts: { missing: answer.missing },
    suggestion: answer.suggestion,
  })
}

function itemProblems({ state }: Item): readonly string[] {
  if (state.kind === 'unavailable')
    return state.problems.map(({ line, column, reason, fix }) => `line ${line}, column ${column}: ${reason}. ${fix}`.trim())
  if (state.definition.kind !== 'directive') return []
  return directiveGaps(state.definition).map(({ reason, fix }) => `${reason}. ${fix}`)
}

/** What would keep a thread of the directive from being spawned. */
async function threadProblems(services: HarnessServices, context: ExecutionContext, { state }: Item): Promise<readonly string[]> {
  if (state.kind !== 'available' || state.definition.kind !== 'directive') return []
  const problems = await hookProblems(services, state.definition.hooks, callingThread(context))
  return problems.map(({ error }) => error)
}

/** The thread as it stands: whoever agrees retries it, so that it must be one that the proposing thread may read and that has ended. */
async function retryOf(
  services: HarnessServices,
  context: ExecutionContext,
  { retry_thread_id: threadId, retry_message: message }: ProposedChange,
): Promise<JsonObject> {
  if (threadId === undefined) return {}
  const { row } = await assertAllowed(services, context, { threadId, action: 'read' })
  const operator = { kind: 'operator', by: { kind: 'operator', door: 'approval' } } as const
  if (!allowedActions(services.threads, row, operator).includes('retry'))
    throw new KiwiError('ILLEGAL_TRANSITION', `Thread ${threadId} is ${row.status}, so it cannot be retried.`, {
      facts: { thread_id: threadId, status: row.status },
      suggestion: 'Propose the change without retry_thread_id, or wait until the thread has ended.',
    })
  return {
    retry_thread_id: threadId,
    retry_directive: row.directive_id,
    ...(message === undefined ? {} : { retry_message: message }),
  }
}

function refused({ item_type: type, item_id: id }: ProposedChange, problems: readonly string[]): KiwiError {
  return new KiwiError(
    'PARAMETER_VALIDATION_ERROR',
    `The content for the ${type} "${id}" cannot be proposed: ${problems.join(' ')}`,
    {
      failedAt: {
        tool_id: 'propose_change',
        config_path: null,
        validation_errors: problems.map((error) => ({ field: 'content', error })),
      },
      facts: { item_type: type, item_id: id },
      suggestion: 'Correct the content and propose it again.',
    },
  )
}

/** How a person does the same without a thread that waits for it. */
export function howToApply({ item_type: type, item_id: id }: ProposedChange, file: string): string {
  return `Nothing was written. Write the content to ${file}, then run: kiwi sign ${type} ${id}`
}
