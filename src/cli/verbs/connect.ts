import { lstat, mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Kiwi } from '../../compose.ts'
import type { ConnectorRun, Connectors, ConnectorTool } from '../../connectors/contract.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { explained, permissionLines, threadWarnings } from '../connect-advice.ts'
import { approvalText, changesText, connectorsText, permissionsText, removedText } from '../connect-text.ts'
import { connectorFile, type ConnectorFile, type ConnectorRequest, isUrl } from '../connector-file.ts'
import { type CliContext, withKiwi } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'

export interface AddOptions extends Omit<ConnectorRequest, 'name' | 'target'> {
  readonly keep?: boolean
}

/** `kiwi connect add`: a server becomes tools. What cannot be reached leaves nothing behind, unless it is to be kept. */
export async function connectAdd(
  context: CliContext,
  { keep = false, ...request }: ConnectorRequest & AddOptions,
): Promise<ExitCode> {
  const file = connectorFile(request, context.env)
  return await withKiwi(context, async (kiwi) => {
    // Before anything is written: a Ctrl-C from here on undoes it.
    const call = callOf(context)
    const written = await writeConnector(context, kiwi, file)
    try {
      await signConnector(context, kiwi, file)
      context.output.talk(
        isUrl(request.target) ? 'Asking the server for its tools…' : 'Starting the server, and asking for its tools…',
      )
      const run = await kiwi.connectors(context.projectPath).run(file.connectorId, call)
      const tools = await changedTools(kiwi.connectors(context.projectPath), run)
      showAdded(context, { request, file: file.file, run, tools })
      return EXIT.ok
    } catch (error) {
      if (keep) context.output.talk(`${file.file} was kept.`)
      else await written.undo()
      throw explained(error, request, context)
    }
  })
}

function showAdded(
  { output, projectPath }: CliContext,
  added: {
    readonly request: ConnectorRequest
    readonly file: string
    readonly run: ConnectorRun
    readonly tools: readonly ConnectorTool[]
  },
): void {
  const { request, file, tools } = added
  const run = { ...added.run, warnings: [...added.run.warnings, ...threadWarnings(request, projectPath)] }
  const permissions = permissionLines(request, tools)
  output.data({ success: true, file, ...run, tools, permissions }, () =>
    [
      `Connected ${run.server} (${run.endpoint}) by ${file}.`,
      ...(tools.length === 0 ? [] : [approvalText(tools), permissionsText(permissions, !isUrl(request.target))]),
      changesText(
        run,
        tools.map(({ toolId }) => toolId),
      ),
    ].join('\n\n'),
  )
}

/** `kiwi connect list` */
export async function connectList(context: CliContext): Promise<ExitCode> {
  return await withKiwi(context, async (kiwi) => {
    const connectors = await kiwi.connectors(context.projectPath).list()
    context.output.data({ success: true, connectors }, () => connectorsText(connectors))
    return EXIT.ok
  })
}

/** `kiwi connect refresh NAME`: exits with 1 when a changed definition waits to be accepted. */
export async function connectRefresh(context: CliContext, name: string): Promise<ExitCode> {
  return await runAndShow(context, name, {})
}

/** `kiwi connect diff NAME`: exits with 1 when anything would change. */
export async function connectDiff(context: CliContext, name: string): Promise<ExitCode> {
  return await withKiwi(context, async (kiwi) => {
    const connectors = kiwi.connectors(context.projectPath)
    const run = await connectors.run(await connectorIdOf(context, kiwi, name), callOf(context), { dryRun: true })
    context.output.data({ success: true, ...run }, () => changesText(run))
    return run.changes.some(({ what }) => what !== 'unchanged' && what !== 'kept' && what !== 'skipped') ? EXIT.failed : EXIT.ok
  })
}

/** `kiwi connect accept NAME [TOOL…]` */
export async function connectAccept(context: CliContext, name: string, tools: readonly string[]): Promise<ExitCode> {
  return await runAndShow(context, name, { accept: tools.length === 0 ? 'all' : tools })
}

/** `kiwi connect remove NAME` */
export async function connectRemove(context: CliContext, name: string): Promise<ExitCode> {
  return await withKiwi(context, async (kiwi) => {
    const connectors = kiwi.connectors(context.projectPath)
    const done = await connectors.remove(await connectorIdOf(context, kiwi, name))
    context.output.data({ success: true, ...done }, () => removedText(done))
    return EXIT.ok
  })
}

async function runAndShow(
  context: CliContext,
  name: string,
  { accept }: { readonly accept?: readonly string[] | 'all' },
): Promise<ExitCode> {
  return await withKiwi(context, async (kiwi) => {
    const connectors = kiwi.connectors(context.projectPath)
    const connectorId = await connectorIdOf(context, kiwi, name)
    const accepted = accept === undefined || accept === 'all' ? accept : await upstreamNames(connectors, connectorId, accept)
    const run = await connectors.run(connectorId, callOf(context), accepted === undefined ? {} : { accept: accepted })
    const tools = await changedTools(connectors, run)
    context.output.data({ success: true, ...run, tools }, () =>
      [...(tools.length === 0 ? [] : [approvalText(tools)]), changesText(run)].join('\n\n'),
    )
    return run.changes.some(({ what }) => what === 'drifted') ? EXIT.failed : EXIT.ok
  })
}

function callOf(context: CliContext): { readonly projectPath: string; readonly signal: AbortSignal } {
  return { projectPath: context.projectPath, signal: context.interrupt() }
}

/** What a person has not seen before: they approve it by not removing it. */
async function changedTools(connectors: Connectors, { connector, changes }: ConnectorRun): Promise<readonly ConnectorTool[]> {
  const isNew = new Set(changes.filter(({ what }) => what === 'created' || what === 'accepted').map(({ toolId }) => toolId))
  return isNew.size === 0 ? [] : (await connectors.tools(connector)).filter(({ toolId }) => isNew.has(toolId))
}

/** A connector is called by its id or by the name of its server. */
async function connectorIdOf({ projectPath }: CliContext, kiwi: Kiwi, name: string): Promise<string> {
  const rows = await kiwi.connectors(projectPath).list()
  const found = rows.find(({ connector }) => connector === name) ?? rows.find(({ server }) => server === name)
  if (found !== undefined) return found.connector
  // A shipped one that has not run is not listed.
  const shipped = name.endsWith('_connector') ? name : `${name}_connector`
  if ((await kiwi.kernel(projectPath).load({ item_type: 'tool', item_id: shipped })).success) return shipped
  throw new KiwiError('INVALID_REQUEST', `There is no connector "${name}" in this project.`, {
    suggestion: 'kiwi connect list shows them.',
  })
}

async function upstreamNames(connectors: Connectors, connectorId: string, given: readonly string[]): Promise<readonly string[]> {
  const tools = await connectors.tools(connectorId)
  return given.map((name) => tools.find(({ toolId }) => toolId === name)?.upstream ?? name)
}

/** Writes the file and the folders above it, and knows how to take them away again. */
async function writeConnector(
  { projectPath }: CliContext,
  kiwi: Kiwi,
  { connectorId, file, text }: ConnectorFile,
): Promise<{ undo(): Promise<void> }> {
  await assertFree(kiwi.connectors(projectPath), connectorId)
  await assertNoLinks(projectPath, dirname(file))
  const path = join(projectPath, file)
  const firstMade = await mkdir(dirname(path), { recursive: true })
  try {
    await writeFile(path, text, { flag: 'wx' })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw taken(file, connectorId)
    throw error
  }
  return {
    async undo() {
      await rm(path, { force: true })
      if (firstMade === undefined) return
      // Only when nothing else lies in them by now.
      for (let folder = dirname(path); folder.length >= firstMade.length; folder = dirname(folder))
        await rmdir(folder).catch(() => undefined)
    },
  }
}

/** A project that came from elsewhere may hold links, and nothing is written where they lead. */
async function assertNoLinks(projectPath: string, folder: string): Promise<void> {
  let path = ''
  for (const name of folder.split('/')) {
    path = join(path, name)
    // oxlint-disable-next-line no-await-in-loop -- one folder lies in the other
    const stats = await lstat(join(projectPath, path)).catch(() => null)
    if (stats === null || stats.isDirectory()) continue
    throw new KiwiError('PATH_OUTSIDE_PROJECT', `The path ${JSON.stringify(path)} is refused: it is a link, or no folder.`, {
      suggestion: 'Look at where it leads, and remove it.',
      facts: { path },
    })
  }
}

async function assertFree(connectors: Connectors, connectorId: string): Promise<void> {
  const row = (await connectors.list()).find(({ connector }) => connector === connectorId)
  if (row !== undefined) throw taken(row.file, connectorId)
}

function taken(file: string, connectorId: string): KiwiError {
  const name = connectorId.replace(/_connector$/, '')
  return new KiwiError('ITEM_EXISTS', `There is a connector "${connectorId}" already: ${file}.`, {
    suggestion: `Bring its tools up to date with kiwi connect refresh ${name}, or remove it first: kiwi connect remove ${name}`,
  })
}

async function signConnector({ projectPath }: CliContext, kiwi: Kiwi, { connectorId, file }: ConnectorFile): Promise<void> {
  const signed = await kiwi.kernel(projectPath).sign({ item_type: 'tool', item_id: connectorId, source: 'project' })
  if (signed.success) return
  const { code, message, suggestion } = signed.error
  throw new KiwiError(code, `${file} could not be signed: ${message}`, suggestion === null ? {} : { suggestion })
}
