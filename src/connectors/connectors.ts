/**
 * Runs connectors: lists a server's tools as the caller, and brings the signed files of its folder up to date.
 *
 * N1. Only a connector file that somebody the user trusts has signed runs, and what it may do is what its caller may.
 * N2. `${NAME}` is expanded for the call of the server alone; files get it as it is written.
 * N3. A file is replaced or removed only when its signature holds, is that of the server's own key, and it is still as it was read.
 * N4. A definition that is not the pinned one replaces nothing until a person accepts it, and once a server is connected only a person adds tools of it: one
 *     that vanishes and comes back is not signed by the way.
 * N5. All is decided and signed before the first file is written, and each file is whole at every moment.
 * N6. One run of a connector at a time, over all processes of the user.
 */
import { createHash } from 'node:crypto'
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectorKeys, createConnectorKeys } from '../capabilities/keys/connector-keys.ts'
import type { ExecutionContext } from '../kernel/chain/primitive.ts'
import type { Kernel, KernelOptions, SigningKeys } from '../kernel/contract.ts'
import type { Json } from '../json.ts'
import { KiwiError } from '../kernel/errors.ts'
import type { Space } from '../kernel/items/item.ts'
import { openFolder, removeChildFile } from '../primitives/files/confined-fs.ts'
import { type ExclusiveLock, takeExclusiveLock } from '../primitives/files/exclusive-lock.ts'
import { ConfinedPathError } from '../primitives/files/relative-path.ts'
import { codeOf } from '../primitives/files/system-error.ts'
import { assertDistinct, endpointOf } from './connector-config.ts'
import {
  connectorOfItem,
  findConnectors,
  findTaken,
  type FoundConnector,
  notConnector,
  shownEndpoint,
} from './connector-items.ts'
import type { ConnectorChange, ConnectorConfig, ConnectorRow, ConnectorRun, Connectors, ConnectorTool } from './contract.ts'
import { outputFileOf } from './generate/tool-name.ts'
import { applyEffects, type FileEffect, type GeneratedFile, readGeneratedFiles, signedFile } from './generated-files.ts'
import { planRun, type RunPlan } from './plan-run.ts'
import { listUpstreamTools } from './upstream-tools.ts'

export interface ConnectorsOptions {
  readonly kernel: Pick<Kernel, 'require' | 'execute' | 'capabilities'>
  readonly projectPath: string
  readonly spaces: Readonly<Record<Space, string>>
  /** Whose signatures count. */
  readonly keys: Pick<SigningKeys, 'trust'>
  /** The same lookup that the kernel has. */
  readonly env: KernelOptions['env']
  /** UTC milliseconds. */
  readonly now: () => number
  /** For another run of the same connector to end. Default 30,000. */
  readonly lockWaitMs?: number
}

interface Parts extends ConnectorsOptions {
  readonly connectorKeys: ConnectorKeys
}

/** Connectors of one project; see `Connectors`. Reads nothing before it is asked. */
export function createConnectors(options: ConnectorsOptions): Connectors {
  const { projectPath, spaces, now } = options
  const parts: Parts = { ...options, connectorKeys: createConnectorKeys({ userSpace: spaces.user, projectPath, now }) }
  return {
    run: async (connectorId, context, run = {}) =>
      await withTypedErrors(async () => await runConnector(parts, { connectorId, context, ...run })),
    list: async () => await withTypedErrors(async () => await listConnectors(parts)),
    tools: async (connectorId) => await withTypedErrors(async () => await toolsOf(parts, connectorId)),
    remove: async (connectorId) => await withTypedErrors(async () => await removeConnector(parts, connectorId)),
  }
}

/** A folder that is a link, or leads out of the project, is an error like any other. */
async function withTypedErrors<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ConfinedPathError) throw new KiwiError(error.code, error.message, { error, facts: { path: error.path } })
    throw error
  }
}

interface RunRequest {
  readonly connectorId: string
  readonly context: ExecutionContext
  readonly accept?: readonly string[] | 'all'
  readonly dryRun?: boolean
}

async function runConnector(
  parts: Parts,
  { connectorId, context, accept = [], dryRun = false }: RunRequest,
): Promise<ConnectorRun> {
  // N4
  if (accept.length > 0 && context.__thread_id !== undefined) throw acceptRefused()
  const { definition, config } = connectorOfItem(await parts.kernel.require('tool', connectorId)) // N1
  await assertUsable(parts, connectorId, config)
  const lock = await takeRunLock(parts, connectorId, context.signal)
  try {
    const listed = await listUpstreamTools(
      { execute: async (...call) => await parts.kernel.execute(...call), env: parts.env },
      { connectorId, connector: config, retry: definition.retry, context },
    )
    const key = parts.connectorKeys.find(config.server)
    const files = await readGeneratedFiles(parts.projectPath, config, key)
    const plan = planRun({
      connectorId,
      connector: config,
      tools: listed.tools,
      files,
      takenBy: await findTaken(parts, (toolId) => outputFileOf(config, toolId)),
      accept,
      mayCreate: context.__thread_id === undefined || key === null,
      secretIn: (text) => listed.told.find(text),
    })
    if (context.signal?.aborted === true) throw new KiwiError('ABORTED', `The run of "${connectorId}" was cancelled.`)
    const changes = dryRun ? plan.changes.map(({ change }) => change) : await carryOut(parts, config, plan)
    const warnings = [...listed.warnings, ...plan.warnings]
    const run: ConnectorRun = { connector: connectorId, server: config.server, endpoint: endpointOf(config), changes, warnings }
    // Names of tools are words of the server. A run is plain data.
    return listed.told.json(run as unknown as Json) as unknown as ConnectorRun
  } finally {
    lock.release()
  }
}

/** N3, N5 */
async function carryOut(parts: Parts, config: ConnectorConfig, { changes }: RunPlan): Promise<readonly ConnectorChange[]> {
  const needsKey = changes.some(({ write }) => write !== undefined)
  const key = needsKey ? parts.connectorKeys.open(config.server) : null
  const nowMs = parts.now()
  const effects: FileEffect[] = []
  for (const { change, write, existing } of changes) {
    const { toolId } = change
    if (write !== undefined && key !== null) {
      const bytes = await signedFile(config, { toolId, text: write }, { nowMs, key })
      effects.push({ kind: 'write', toolId, bytes, before: existing?.bytes ?? null })
    } else if (change.what === 'removed' && existing !== undefined)
      effects.push({ kind: 'remove', toolId, before: existing.bytes })
  }
  const refused = await applyEffects(parts.projectPath, config, effects)
  return changes.map(({ change }) => {
    const reason = refused.get(change.toolId)
    return reason === undefined ? change : { ...change, what: 'kept', reason }
  })
}

async function assertUsable(parts: Parts, connectorId: string, config: ConnectorConfig): Promise<void> {
  const others = (await findConnectors(parts)).flatMap(({ item, config: other }) =>
    other === null || item.space === 'system' ? [] : [{ connectorId: item.id, server: other.server }],
  )
  const known = parts.connectorKeys.servers().map((server) => ({ connectorId: null, server }))
  assertDistinct({ connectorId, server: config.server }, [...others, ...known])
  await assertCapabilities(parts, connectorId, config)
}

/** A misspelt capability would make every tool that requires it unusable; it is said once, here. */
async function assertCapabilities({ kernel }: Parts, connectorId: string, { capabilities }: ConnectorConfig): Promise<void> {
  const declared = new Set((await kernel.capabilities()).flatMap(({ declaration }) => declaration.capabilities))
  for (const { pattern, requires } of capabilities) {
    for (const requirement of requires) {
      const { cap } = typeof requirement === 'string' ? { cap: requirement } : requirement
      if (typeof cap !== 'string' || declared.has(cap) || cap.startsWith('mcp.')) continue
      const field = `config.capabilities.${pattern}`
      const error = `names ${JSON.stringify(cap)}, which no capability module declares`
      throw new KiwiError('CONFIG_VALIDATION_ERROR', `The connector "${connectorId}" cannot be used: ${field} ${error}.`, {
        failedAt: { tool_id: connectorId, config_path: field, validation_errors: [{ field, error, value: cap }] },
        suggestion: 'Correct its file, or add a signed module of that capability.',
      })
    }
  }
}

const LOCK_WAIT_MS = 30_000
const LOCK_RETRY_MS = 50

/** N6. The lock lies in the user space: a project may be shared, and its folder is not for what is of a machine. */
async function takeRunLock(
  { spaces, projectPath, lockWaitMs = LOCK_WAIT_MS }: Parts,
  connectorId: string,
  signal: AbortSignal | undefined,
): Promise<ExclusiveLock> {
  const folder = join(spaces.user, 'cache')
  await mkdir(folder, { recursive: true })
  const name = createHash('sha256').update(`${projectPath}\n${connectorId}`).digest('hex').slice(0, 16)
  const deadline = performance.now() + lockWaitMs
  for (;;) {
    const lock = takeExclusiveLock(join(folder, `connector-${name}.lock`), 0)
    if (lock !== null) return lock
    if (signal?.aborted === true) throw new KiwiError('ABORTED', `The run of "${connectorId}" was cancelled.`)
    if (performance.now() >= deadline) {
      throw new KiwiError('TIMEOUT', `Another run of "${connectorId}" has been going on for ${lockWaitMs} ms.`, {
        retryable: true,
        suggestion: 'Try again when it has ended.',
      })
    }
    await delay(LOCK_RETRY_MS)
  }
}

async function listConnectors(parts: Parts): Promise<readonly ConnectorRow[]> {
  const rows: ConnectorRow[] = []
  for (const found of await findConnectors(parts)) {
    const { item, definition, config, integrity } = found
    const files = config === null ? [] : await filesOf(parts, config)
    // A shipped one is an offer until it has run.
    if (item.space === 'system' && files.length === 0) continue
    rows.push({
      connector: item.id,
      server: config?.server ?? '',
      endpoint: shownEndpoint(found),
      transport: definition.config['mcp_url'] === undefined ? 'stdio' : 'http',
      file: item.file,
      integrity: config === null ? 'invalid' : integrity,
      tools: files.filter(({ foreign }) => foreign === null).length,
      edited: files.filter(({ foreign }) => foreign !== null).length,
    })
  }
  return rows
}

async function toolsOf(parts: Parts, connectorId: string): Promise<readonly ConnectorTool[]> {
  const { config } = await findOne(parts, connectorId)
  return (await filesOf(parts, config)).map(({ toolId, upstream, file, foreign, definition, description }) => ({
    toolId,
    upstream,
    file,
    edited: foreign,
    requires: definition?.requires ?? [],
    effect: definition?.effect ?? null,
    description,
  }))
}

async function filesOf(parts: Parts, config: ConnectorConfig): Promise<readonly GeneratedFile[]> {
  return await readGeneratedFiles(parts.projectPath, config, parts.connectorKeys.find(config.server))
}

async function findOne(
  parts: Parts,
  connectorId: string,
): Promise<{ readonly found: FoundConnector; readonly config: ConnectorConfig }> {
  const found = (await findConnectors(parts)).find(({ item }) => item.id === connectorId)
  if (found === undefined) throw notConnector(connectorId)
  if (found.config === null) throw found.error
  return { found, config: found.config }
}

async function removeConnector(
  parts: Parts,
  connectorId: string,
): Promise<{ readonly removed: readonly string[]; readonly kept: readonly string[] }> {
  const { found, config } = await findOne(parts, connectorId)
  const lock = await takeRunLock(parts, connectorId, undefined)
  try {
    const files = await filesOf(parts, config)
    const own = files.filter(({ foreign }) => foreign === null)
    const refused = await applyEffects(
      parts.projectPath,
      config,
      own.map(({ toolId, bytes }) => ({ kind: 'remove', toolId, before: bytes })),
    )
    const isRemoved = ({ foreign, toolId }: GeneratedFile): boolean => foreign === null && !refused.has(toolId)
    // One that is not signed never ran here: the key of the server that it names is another connector's.
    if (found.integrity === 'signed' || found.integrity === 'shipped') parts.connectorKeys.remove(config.server)
    const ownFile = await removeOwnFile(parts, found)
    return {
      removed: [...files.filter(isRemoved).map(({ file }) => file), ...ownFile],
      kept: files.filter((file) => !isRemoved(file)).map(({ file }) => file),
    }
  } finally {
    lock.release()
  }
}

/** Last, so that a removal that was cut short can be run again. Shipped and user files stay. */
async function removeOwnFile({ projectPath }: Parts, { item, bytes }: FoundConnector): Promise<readonly string[]> {
  if (item.space !== 'project') return []
  const segments = item.file.split('/')
  const folderPath = segments.slice(0, -1).join('/')
  await using folder = await openFolder({ path: projectPath, userSpace: null }, folderPath)
  await removeChildFile(folder, segments.at(-1) ?? '', bytes)
  // `.ai/tools` itself is not the connector's.
  if (segments.length > 3)
    await rmdir(join(projectPath, folderPath)).catch((error: unknown) => {
      // Something else lies in it, or somebody else removed it.
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY'].includes(codeOf(error) ?? '')) throw error
    })
  return [item.file]
}

function acceptRefused(): KiwiError {
  return new KiwiError('PERMISSION_DENIED', 'Only a person accepts what a server changed of its tools.', {
    suggestion: 'They see it with `kiwi connect diff NAME` and accept it with `kiwi connect accept NAME`.',
    facts: { missing: ['the acceptance of a person'] },
  })
}
