import type { AttachedSink } from '../../primitives/http-client/contract.ts'
import type { JsonObject } from '../../json.ts'
import type { Authorize } from '../contract.ts'
import { KiwiError } from '../errors.ts'
import { askForPart } from './call-permission.ts'
import type { AddedDestination } from './primitive.ts'
import { closeSinks, lostSink, makeSinks, sinkCalls, type SinkScope } from './sinks.ts'
import type { TrustedItems } from './trusted-items.ts'

/** The call that the sinks are added to. */
export interface AddedTo {
  readonly items: TrustedItems
  readonly authorize: Authorize | undefined
  /** Ids of its chain, for errors. */
  readonly chain: readonly string[]
  /** Sinks that it has already; closed when one that must not fail does. */
  readonly made: readonly AttachedSink[]
}

/**
 * Makes the sinks of `__destinations`, each after its part of the call was permitted. They are not the tool's own, so that nothing about
 * them fails the call unless their `on_error` is `fail`: what cannot be made loses every event, which is counted with the reason.
 */
export async function makeAddedSinks(call: AddedTo, scope: SinkScope): Promise<readonly AttachedSink[]> {
  const added: AttachedSink[] = []
  for (const one of scope.context.__destinations ?? []) {
    try {
      added.push(...(await makeOne(call, one, scope)))
    } catch (error) {
      if (one.destination['on_error'] === 'fail') {
        await closeSinks([...call.made, ...added])
        throw error
      }
      added.push(lostSink(one.destination, error instanceof Error ? error : new Error(String(error))))
    }
  }
  return added
}

async function makeOne(
  { items, authorize, chain }: AddedTo,
  { destination, grant }: AddedDestination,
  scope: SinkScope,
): Promise<readonly AttachedSink[]> {
  const config: JsonObject = { stream: { destinations: [destination] } }
  const { context } = scope
  for (const { item, requires, approval, options } of await sinkCalls(items, config, () => false)) {
    // With a reach of its own it was added by somebody who could not agree to it; the tool may have been marked since.
    if (grant !== undefined && approval === 'required')
      throw new KiwiError('APPROVAL_REQUIRED', `Somebody has to agree to each use of the sink "${item.id}".`)
    await askForPart(authorize, { item, requires, parameters: options }, { chain, chainRequires: requires, context })
  }
  return await makeSinks(items, config, {
    ...scope,
    isFixed: () => false,
    ...(grant === undefined ? {} : { context: { ...context, __grant: grant }, grantFor: async () => grant }),
  })
}
