import type { SigningKeys } from '../kernel/contract.ts'
import { KiwiError } from '../kernel/errors.ts'
import { createItemStore, type ItemStore, type VerifiedItem } from '../kernel/items/item-store.ts'
import type { Item, Space, ToolDefinition } from '../kernel/items/item.ts'
import { endpointOf, readConnectorConfig } from './connector-config.ts'
import type { ConnectorConfig } from './contract.ts'

/** A connector file that was found, and what can be told of it without running it. */
export interface FoundConnector {
  readonly item: Item
  readonly definition: ToolDefinition
  readonly bytes: Buffer
  /** Null with the reason beside it when its configuration is wrong. */
  readonly config: ConnectorConfig | null
  readonly error: KiwiError | null
  /** `signed`, `shipped`, `untrusted key`, or what is wrong with its signature. */
  readonly integrity: string
}

export interface ConnectorPlaces {
  readonly projectPath: string
  readonly spaces: Readonly<Record<Space, string>>
  readonly keys: Pick<SigningKeys, 'trust'>
}

const CONNECTOR = 'mcp_connector'

/** Every connector file, those of the project first. One that is shadowed by another is left out. */
export async function findConnectors(places: ConnectorPlaces): Promise<readonly FoundConnector[]> {
  return await withStore(places, async (store) => {
    const found = new Map<string, FoundConnector>()
    for (const space of ['project', 'user', 'system'] as const) {
      for (const item of await store.list('tool', space)) {
        const definition = connectorOf(item)
        if (definition === null || found.has(item.id)) continue
        found.set(item.id, describe(places, await store.readVerified(item), definition))
      }
    }
    return [...found.values()]
  })
}

/** The configuration of a connector item. @throws {KiwiError} INVALID_REQUEST for another item; CONFIG_VALIDATION_ERROR. */
export function connectorOfItem(item: Item): { readonly definition: ToolDefinition; readonly config: ConnectorConfig } {
  const definition = connectorOf(item)
  if (definition === null) throw notConnector(item.id)
  return { definition, config: readConnectorConfig(item.id, definition.config) }
}

/** Tells who has a tool id, besides the file at `fileOf(id)` of the project. */
export async function findTaken(
  places: ConnectorPlaces,
  fileOf: (toolId: string) => string,
): Promise<(toolId: string) => string | null> {
  return await withStore(places, async (store) => {
    const holders = new Map<string, string>()
    for (const { id, space, file } of await store.entries('tool')) {
      if (space === 'project' && file === fileOf(id)) continue
      if (!holders.has(id)) holders.set(id, space === 'system' ? `the system tool ${id}` : file)
    }
    return (toolId) => holders.get(toolId) ?? null
  })
}

export function notConnector(id: string): KiwiError {
  return new KiwiError('INVALID_REQUEST', `"${id}" is no connector.`, { suggestion: 'kiwi connect list shows them.' })
}

function connectorOf({ state }: Item): ToolDefinition | null {
  const definition = state.kind === 'available' ? state.definition : null
  return definition?.kind === 'tool' && definition.toolType === CONNECTOR ? definition : null
}

function describe(places: ConnectorPlaces, { item, bytes, integrity }: VerifiedItem, definition: ToolDefinition): FoundConnector {
  const found = { item, definition, bytes, integrity: integrityText(places, item, integrity) }
  try {
    return { ...found, config: readConnectorConfig(item.id, definition.config), error: null }
  } catch (error) {
    if (!(error instanceof KiwiError)) throw error
    return { ...found, config: null, error }
  }
}

function integrityText({ keys }: ConnectorPlaces, { id }: Item, integrity: VerifiedItem['integrity']): string {
  if (integrity.kind !== 'signed') return integrity.kind
  const trust = keys.trust(integrity.keyId, { type: 'tool', id, toolType: CONNECTOR })
  return trust === 'trusted' ? 'signed' : 'untrusted key'
}

async function withStore<Value>(places: ConnectorPlaces, use: (store: ItemStore) => Promise<Value>): Promise<Value> {
  const store = createItemStore(places)
  try {
    return await use(store)
  } finally {
    store.close()
  }
}

/** What a list shows of a connector whose configuration cannot be read. */
export function shownEndpoint({ config }: FoundConnector): string {
  return config === null ? '' : endpointOf(config)
}
