import type { Connectors } from './contract.ts'

/** Connectors that are made when they are first used: most processes never run one, and all would wait for the code. */
export function lazyConnectors(make: () => Promise<Connectors>): Connectors {
  let made: Promise<Connectors> | null = null
  const connectors = async (): Promise<Connectors> => await (made ??= make())
  return {
    run: async (...call) => await (await connectors()).run(...call),
    list: async () => await (await connectors()).list(),
    tools: async (connectorId) => await (await connectors()).tools(connectorId),
    remove: async (connectorId) => await (await connectors()).remove(connectorId),
  }
}
