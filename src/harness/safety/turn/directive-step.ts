import type { Grants, TokenClaims } from '../../../capabilities/contract.ts'
import type { Json, JsonObject } from '../../../json.ts'
import { KiwiError, toEnvelope } from '../../../kernel/errors.ts'
import type { ErrorBody } from '../../../kernel/errors.ts'
import type { DirectiveDefinition } from '../../../kernel/items/item.ts'
import type { Commit, TurnContext } from '../../../threads/engine.ts'
import { handedOverText } from '../handoff/successor.ts'
import { isHookThread } from '../hooks/hook-thread.ts'
import { contextLimit } from '../limits/context.ts'
import { continuationOf } from './continuation.ts'
import { firstMessage, stored } from './messages.ts'
import { contextWindowOf } from '../model/prices.ts'
import type { HarnessServices } from '../services.ts'
import { findDirective } from '../spawning/find-directive.ts'
import { errorFromBody } from '../spawning/spawn-plan.ts'
import { grantsOf } from '../spawning/spawn-permission.ts'
import type { Prepared } from './state.ts'

export type DirectiveOutcome =
  | { readonly ok: true; readonly prepared: Prepared; readonly agentsSha256: string }
  | { readonly ok: false; readonly error: ErrorBody }

/**
 * The first step of a thread: loads the directive through the kernel (signed, unchanged, inputs complete), fixes its limits and its
 * model for the life of the thread, and writes the first user message.
 */
export async function directiveStep(services: HarnessServices, ctx: TurnContext): Promise<DirectiveOutcome> {
  const outcome = await ctx.step<Json>('directive', { effect: 'pure', timeoutMs: 60_000 }, async (meta) => {
    try {
      const loaded = await loadDirective(services, ctx, meta.signal)
      // DirectiveOutcome holds only JSON values.
      return { value: loaded.value as unknown as Json, commit: loaded.commit }
    } catch (error) {
      if (!(error instanceof KiwiError)) throw error
      const failure: DirectiveOutcome = { ok: false, error: toEnvelope(error).error }
      return { value: failure as unknown as Json }
    }
  })
  if (outcome.kind !== 'done')
    throw new KiwiError('INTERNAL', 'Loading the directive may be repeated, but the journal holds it as a step that may not.')
  // Written above, and nowhere else.
  return outcome.value as unknown as DirectiveOutcome
}

async function loadDirective(
  services: HarnessServices,
  ctx: TurnContext,
  signal: AbortSignal,
): Promise<{ readonly value: DirectiveOutcome; readonly commit: Commit }> {
  const { directiveId, inputs } = ctx.start
  const answer = await services.kernel.execute(
    { item_type: 'directive', item_id: directiveId, parameters: inputs },
    { signal, __auth: services.hostAuthority, __thread_id: ctx.threadId, __directive_id: directiveId },
  )
  if (!answer.success) throw errorFromBody(answer.error)
  const { directive, item } = await findDirective(services, directiveId)
  const { cost: limits } = directive
  if (limits === null) {
    throw new KiwiError('DIRECTIVE_INVALID', `Directive ${directiveId} has no <cost>, so it cannot run on a thread.`, {
      suggestion: 'Add its limits, sign it and spawn it again.',
    })
  }
  const token = await mintToken(services, ctx, await grantsOf(services, directive, item))
  const target = services.resolveModel(directive.model, ctx.threadId)
  const agents = await services.agentsText()
  const prepared: Prepared = {
    limits,
    target,
    contextLimit: contextLimit(limits, contextWindowOf(target)),
    ...hooksOf(ctx, directive, token),
    ...(directive.checks.length === 0 ? {} : { checks: directive.checks }),
    ...(directive.outputsSchema === null ? {} : { outputsSchema: directive.outputsSchema }),
  }
  const given = withDefaults(directive, inputs)
  const said = continuationOf(services, ctx, { directive, inputs: given }) ?? beginning(ctx, directive, given)
  return {
    value: { ok: true, prepared, agentsSha256: agents.sha256 },
    commit: {
      ...said,
      events: [
        { type: 'status', payload: { ...statusOf(directive, prepared, agents.sha256), ...tokenFacts(token) } },
        ...(said.events ?? []),
      ],
    },
  }
}

/** The first message of a conversation. */
function beginning({ start }: TurnContext, directive: DirectiveDefinition, inputs: JsonObject): Commit {
  const message = firstMessage(directive, inputs, start.initialMessage, handedOverText(start))
  return {
    messages: [stored(message)],
    events: [{ type: 'user_message', payload: {}, message: 0, transcript: { content: contentOf(message) } }],
  }
}

/** The hooks of a thread, with what only they need of the directive. A thread that runs as a hook has none: its events are its own. */
function hooksOf({ start }: TurnContext, directive: DirectiveDefinition, { grants }: TokenClaims): Partial<Prepared> {
  const { hooks } = directive
  if (hooks.length === 0 || isHookThread(start)) return {}
  return { hooks, granted: Object.keys(grants.capabilities), inputDefaults: defaultsOf(directive) }
}

/** What the thread may do from now on. A repeated step mints again: the newest token counts, and it grants the same. */
async function mintToken({ authority }: HarnessServices, ctx: TurnContext, declared: Grants): Promise<TokenClaims> {
  if (authority === null) throw new KiwiError('INTERNAL', 'This process runs threads without the power to mint their tokens.')
  return authority.mint({
    threadId: ctx.threadId,
    directiveId: ctx.start.directiveId,
    parentThreadId: ctx.start.parentThreadId,
    declared,
  })
}

/** Never the token itself. */
function tokenFacts({ jti, parentJti, grants, expiresAtMs }: TokenClaims): JsonObject {
  const { capabilities } = grants
  return {
    capabilities,
    token: { jti, parent_jti: parentJti, expires_at: new Date(expiresAtMs).toISOString() },
  }
}

function statusOf(directive: DirectiveDefinition, { target }: Prepared, agentsSha256: string): JsonObject {
  return {
    directive: directive.name,
    version: directive.version,
    model: target.model,
    model_tool: target.tool,
    agents_sha256: agentsSha256,
  }
}

function withDefaults(directive: DirectiveDefinition, inputs: JsonObject): JsonObject {
  return { ...defaultsOf(directive), ...inputs }
}

function defaultsOf({ inputs }: DirectiveDefinition): JsonObject {
  return Object.fromEntries(inputs.flatMap(({ name, default: value }) => (value === undefined ? [] : [[name, value] as const])))
}

function contentOf(message: ReturnType<typeof firstMessage>): string {
  return 'content' in message ? message.content : ''
}
