/**
 * Where everything lies for a worker, and which paths Node's own permission model lets it see. In a sandbox the mounts are the boundary
 * and the flags are a second one; without a sandbox the flags are all there is.
 */
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Grant, PathRule, SandboxMode } from '../sandbox/contract.ts'
import type { RuntimeTool } from './contract.ts'
import type { HostMessage } from './worker/messages.ts'

export interface Layout {
  /** Absolute path of the node binary as the worker sees it. */
  readonly command: string
  readonly args: readonly string[]
  /** Folders and files that are mounted read-only, beside what the grant names. Empty without a sandbox. */
  readonly mounts: readonly { readonly from: string; readonly to: string }[]
  /** What the tool is told as `projectPath`. */
  readonly projectPath: string
  readonly load: Extract<HostMessage, { type: 'load' }>
}

export interface LayoutRequest {
  readonly tool: RuntimeTool
  readonly grant: Grant
  readonly projectPath: string
  /** Folder that holds `tools/` and `node_modules/` of the tool's space. */
  readonly spaceRoot: string
  readonly mode: SandboxMode
}

/** The project inside of every sandbox. */
export const PROJECT_INSIDE = '/project'
const NODE_INSIDE = '/opt/node'
const WORKER_INSIDE = '/opt/kiwi/worker'
const MANIFEST_INSIDE = '/opt/kiwi/package.json'
const SPACE_INSIDE = '/opt/tool'

/** The build turns `.ts` into `.js`; the worker is what this file is. */
const WORKER_FILE: string = `worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`
const WORKER_FOLDER: string = join(import.meta.dirname, 'worker')
/** Far above what a tool needs, far below what a machine has. */
const MAX_HEAP_MB = 512

export function layOut(request: LayoutRequest): Layout {
  const { tool, mode } = request
  const inside = mode !== 'none'
  const projectPath = inside ? PROJECT_INSIDE : request.projectPath
  const spaceRoot = relative(request.spaceRoot, tool.path).startsWith('..') ? dirname(tool.path) : request.spaceRoot
  const realPackages = packagesOf(spaceRoot, request.projectPath)
  const worker = inside ? WORKER_INSIDE : WORKER_FOLDER
  const packagesInside = realPackages === null ? null : inside ? `${SPACE_INSIDE}/node_modules` : realPackages
  const seen = [worker, ...(packagesInside === null ? [] : [packagesInside])]
  return {
    command: inside ? NODE_INSIDE : process.execPath,
    args: [
      '--disable-sigusr1',
      `--max-old-space-size=${MAX_HEAP_MB}`,
      '--permission',
      ...seen.map((path) => `--allow-fs-read=${path}`),
      ...permissionFlags(request.grant, projectPath),
      join(worker, WORKER_FILE),
    ],
    mounts: inside ? mountsFor(realPackages) : [],
    projectPath,
    load: loadMessage(tool, { from: spaceRoot, to: inside ? SPACE_INSIDE : spaceRoot, packagesInside }),
  }
}

/**
 * The packages of a space by their real path: a link is followed here, once, and inside only what is mounted exists. No signature covers
 * the link, so it may lead to packages of the same project or space, and not to anything else of the machine.
 */
function packagesOf(spaceRoot: string, projectPath: string): string | null {
  const packages = join(spaceRoot, 'node_modules')
  if (!existsSync(packages)) return null
  const real = realpathSync(packages)
  const isOwn = [spaceRoot, projectPath].some((root) => existsSync(root) && real.startsWith(`${realpathSync(root)}${sep}`))
  return isOwn && basename(real) === 'node_modules' ? real : null
}

function mountsFor(packages: string | null): Layout['mounts'] {
  return [
    { from: realpathSync(process.execPath), to: NODE_INSIDE },
    { from: WORKER_FOLDER, to: WORKER_INSIDE },
    { from: packageManifest(), to: MANIFEST_INSIDE },
    ...(packages === null ? [] : [{ from: packages, to: `${SPACE_INSIDE}/node_modules` }]),
  ]
}

/** Says that `.js` files are ES modules. The build is one folder deeper than the checkout. */
function packageManifest(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return join(folder, 'package.json')
}

function loadMessage(
  tool: RuntimeTool,
  { from, to, packagesInside }: { readonly from: string; readonly to: string; readonly packagesInside: string | null },
): Layout['load'] {
  // Relative imports and bare ones resolve as if the tool lay in its folder.
  const folder = join(to, relative(from, dirname(tool.path)))
  const urlOf = (path: string): string => pathToFileURL(join(folder, path)).href
  const main = urlOf(basename(tool.path))
  const files: readonly (readonly [string, Uint8Array])[] = [...tool.imports].map(([path, bytes]) => [urlOf(path), bytes])
  const sources = [...files, [main, tool.bytes] as const].map(
    ([url, bytes]) => [url, Buffer.from(bytes).toString('base64')] as const,
  )
  const dependencies = packagesInside === null ? null : `${pathToFileURL(packagesInside).href}/`
  return { type: 'load', main, sources, dependencies }
}

function permissionFlags({ read, write }: Grant, projectPath: string): readonly string[] {
  const readable = [...read, ...write].flatMap((rule) => pathsOf(rule, projectPath))
  const writable = write.flatMap((rule) => pathsOf(rule, projectPath))
  return [
    ...new Set(readable.map((path) => `--allow-fs-read=${path}`)),
    ...new Set(writable.map((path) => `--allow-fs-write=${path}`)),
  ]
}

/** Node's wildcard means everything below: for a rule about names in one folder it is wider than the rule, and the mounts are not. */
function pathsOf({ kind, base }: PathRule, projectPath: string): readonly string[] {
  const path = join(projectPath, ...base)
  // A folder that does not exist yet is not known to be one.
  return kind === 'exact' ? [path] : [path, `${path}${sep}*`]
}
