import type { JsonObject } from '../../json.ts'
import type { AttachedSink } from '../http-client/contract.ts'
import type { RpcCall, RpcOutcome, RpcProtocol } from './contract.ts'

/** A primitive as far as a protocol over it is concerned; the kernel's own type fits, both ways. */
export interface ProtocolCarrier {
  readonly id: string
  execute(call: CarrierCall): Promise<RpcOutcome>
}

export interface CarrierCall extends RpcCall {
  /** Taken over with the call. */
  readonly sinks: readonly AttachedSink[]
}

const SINK_CLOSE_MS = 5_000

/**
 * The primitive with protocols spoken over it: a call whose `config.rpc.protocol` names one goes to it, every other call to the primitive as
 * before. A protocol gives its answer whole, so sinks are only closed. Which files of the project make up a program that is started, and all else
 * that `rpc` says, is a word of a signed file or the operator: a thread that calls the primitive itself cannot say it (CONFIG_VALIDATION_ERROR).
 */
export function withProtocols(primitive: ProtocolCarrier, protocols: readonly RpcProtocol[]): ProtocolCarrier {
  return {
    id: primitive.id,
    async execute(call) {
      const { rpc } = call.config
      if (rpc === undefined || rpc === null) return await primitive.execute(call)
      try {
        if (saidByThread(call, primitive.id))
          return refused(
            'A thread cannot say `rpc` itself. Call a signed tool that speaks the protocol, such as jsonrpc_http or jsonrpc_stdio.',
          )
        const name = isMap(rpc) ? rpc['protocol'] : undefined
        const protocol = protocols.find((one) => one.name === name)
        if (protocol === undefined) {
          const known = protocols.map((one) => one.name).join(', ')
          return refused(`Expected \`rpc.protocol\` to be one of ${known} over ${primitive.id}, got ${shown(name)}.`)
        }
        return await protocol.call(call)
      } finally {
        await closeSinks(call.sinks)
      }
    },
  }
}

/** Called directly, a primitive is configured by its caller's parameters; a template can pass one of them on as it is. */
function saidByThread({ config, parameters, leaf, context }: CarrierCall, primitiveId: string): boolean {
  if ((context.__grant?.threadId ?? null) === null) return false
  if (leaf.id === primitiveId && Object.hasOwn(parameters, 'rpc')) return true
  const { rpc } = config
  const said: readonly unknown[] = [rpc, isMap(rpc) ? rpc['program'] : undefined].filter(
    (value) => typeof value === 'object' && value !== null,
  )
  return Object.values(parameters).some((value) => said.includes(value))
}

/** A sink that does not close keeps neither the others nor the answer. */
async function closeSinks(sinks: readonly AttachedSink[]): Promise<void> {
  if (sinks.length === 0) return
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, SINK_CLOSE_MS)
  await Promise.race([Promise.allSettled(sinks.map(async ({ sink }) => await sink.close())), late.promise])
  clearTimeout(timer)
}

function refused(message: string): RpcOutcome {
  return { value: null, error: { code: 'CONFIG_VALIDATION_ERROR', message, retryable: false } }
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? typeof value).slice(0, 80)
}

function isMap(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
