import type { Grants, TokenClaims } from '../../../capabilities/contract.ts'
import { maySpawn } from '../../../capabilities/gate/orchestration.ts'
import { declaredGrants } from '../../../capabilities/permissions/declared-grants.ts'
import { meetGrants } from '../../../capabilities/permissions/meet-grants.ts'
import type { ExecutionContext } from '../../../kernel/chain/primitive.ts'
import { KiwiError } from '../../../kernel/errors.ts'
import type { DirectiveDefinition, Item, ItemProblem } from '../../../kernel/items/item.ts'
import type { HarnessServices } from '../services.ts'
import { callingThread } from '../interventions/thread-access.ts'

/**
 * What a directive declares, read with the capabilities that there are.
 *
 * @throws {KiwiError} DIRECTIVE_INVALID with every problem; a directive of another space than the system's may not ask for what is system-only.
 */
export async function grantsOf(services: HarnessServices, directive: DirectiveDefinition, item: Item): Promise<Grants> {
  const { grants, problems } = declaredGrants(directive, await services.vocabulary(), { space: item.space })
  if (problems.length === 0) return grants
  throw new KiwiError(
    'DIRECTIVE_INVALID',
    `The permissions of directive ${directive.name} cannot be used. ${describe(problems)}`,
    {
      failedAt: {
        tool_id: directive.name,
        config_path: 'permissions',
        validation_errors: problems.map(({ line, reason }) => ({ field: `permissions (line ${line})`, error: reason })),
      },
      facts: { directive_name: directive.name },
      suggestion: 'Correct the permissions, sign the directive again and spawn it.',
    },
  )
}

/**
 * What the new thread will be granted. Inside a thread that is never more than the spawning thread has, and only where its own
 * `<orchestration>` allows this directive.
 *
 * @throws {KiwiError} PERMISSION_DENIED, DIRECTIVE_INVALID
 */
export async function plannedGrants(
  { services, context }: { readonly services: HarnessServices; readonly context: ExecutionContext },
  directive: DirectiveDefinition,
  item: Item,
): Promise<Grants> {
  const declared = await grantsOf(services, directive, item)
  const spawner = await spawningClaims(services, context)
  if (spawner === null) return declared
  // Where the harness itself spawns (a hook), the thread's own signed directive has named what is run.
  const isNamed = context.__auth === services.hostAuthority
  if (!isNamed && !maySpawn(spawner.grants, { id: directive.name, category: item.category }))
    throw mayNotSpawn(spawner, directive.name)
  return meetGrants(spawner.grants, declared, await services.vocabulary())
}

/** The claims of the thread that spawns; null for the operator. */
async function spawningClaims(services: HarnessServices, context: ExecutionContext): Promise<TokenClaims | null> {
  const threadId = callingThread(context)
  if (threadId === null) return null
  const { __auth: auth } = context
  const token = auth === services.hostAuthority ? await services.authority?.current(threadId) : auth
  if (services.authority === null || typeof token !== 'string')
    throw new KiwiError('TOKEN_INVALID', `Thread ${threadId} asked for a child without its capability token.`)
  const claims = await services.authority.verify(token)
  if (claims.threadId === threadId) return claims
  throw new KiwiError('TOKEN_INVALID', `The capability token of this call is not that of thread ${threadId}.`)
}

function mayNotSpawn({ grants, threadId }: TokenClaims, name: string): KiwiError {
  const none = grants.orchestration === null
  return new KiwiError(
    'PERMISSION_DENIED',
    none
      ? `Thread ${threadId} may not spawn threads: its directive declares no <orchestration>.`
      : `Thread ${threadId} may not spawn ${name}: the lists of its <orchestration>, or of a thread above it, do not allow it.`,
    {
      facts: { missing: [`orchestration of ${JSON.stringify(name)}`] },
      suggestion: none
        ? 'Do the work on this thread, or let the directive declare <orchestration enabled="true">.'
        : 'Spawn a directive that the lists allow, or do the work on this thread.',
    },
  )
}

function describe(problems: readonly ItemProblem[]): string {
  return problems.map(({ file, line, reason, fix }) => `${file}:${line}: ${reason}. ${fix}`.trim()).join(' ')
}
