import { realpath } from 'node:fs/promises'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { denialOf } from '../files/relative-path.ts'
import type { Grant, SandboxLimits, SandboxMode } from '../sandbox/contract.ts'
import { DEFAULT_LIMITS } from '../sandbox/limits.ts'

/** One command, checked and with every default in place. */
export interface CommandConfig {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Relative to the project, and no link leads out of it; empty for the project itself. */
  readonly cwd: string
  readonly limits: Partial<SandboxLimits>
}

/** One command that is run to its end. */
export interface ProcessConfig extends CommandConfig {
  /** Null closes the child's input at once. */
  readonly stdin: string | null
  readonly timeoutMs: number
  /** For stdout and stderr each. */
  readonly maxOutputBytes: number
}

/** A configuration that cannot be run; the message names the field. */
export class ProcessConfigError extends Error {
  override readonly name = 'ProcessConfigError'
}

/** A sandbox has a PATH and folders of its own, in which those of the host do not exist. */
const DEFAULT_ENV_ALLOW: Readonly<Record<SandboxMode, readonly string[]>> = {
  bubblewrap: ['LANG', 'LC_ALL', 'TZ'],
  none: ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'],
}
const LIMIT_FIELDS = {
  processes: 'processes',
  file_bytes: 'fileBytes',
  cpu_seconds: 'cpuSeconds',
  open_files: 'openFiles',
  memory_bytes: 'memoryBytes',
  address_space_bytes: 'addressSpaceBytes',
  tmp_bytes: 'tmpBytes',
} as const satisfies Readonly<Record<string, keyof SandboxLimits>>
const DEFAULT_TIMEOUT_MS = 60_000
const DEFAULT_MAX_OUTPUT_BYTES = 100_000
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024
/** setTimeout fires at once beyond this. */
const MAX_TIMEOUT_MS = 2_147_483_647
const MAX_ARGUMENT_BYTES = 128 * 1024
const SECRET_NAME = /KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL/i

/** @throws {ProcessConfigError} */
export async function readProcessConfig(
  raw: Readonly<Record<string, unknown>>,
  surroundings: ConfigSurroundings,
): Promise<ProcessConfig> {
  return {
    ...(await readCommandConfig(raw, surroundings)),
    stdin: raw['stdin'] === undefined || raw['stdin'] === null ? null : text(raw['stdin'], 'stdin', { nulAllowed: true }),
    timeoutMs: Math.min(positive(raw['timeout_ms'] ?? DEFAULT_TIMEOUT_MS, 'timeout_ms'), MAX_TIMEOUT_MS),
    maxOutputBytes: Math.min(positive(raw['max_output_bytes'] ?? DEFAULT_MAX_OUTPUT_BYTES, 'max_output_bytes'), MAX_OUTPUT_BYTES),
  }
}

/** What any command has, however long it runs. @throws {ProcessConfigError} */
export async function readCommandConfig(
  raw: Readonly<Record<string, unknown>>,
  { projectPath, env, mode, saidByThread }: ConfigSurroundings,
): Promise<CommandConfig> {
  return {
    command: text(raw['command'], 'command'),
    args: texts(raw['args'] ?? [], 'args').map(checkedArgument),
    env: childEnvironment(raw, { env, mode, mayCopy: !saidByThread.has('env_allow') }),
    cwd: await folderInside(projectPath, raw['cwd'] === undefined ? '.' : text(raw['cwd'], 'cwd')),
    limits: limitsOf(raw['limits'] ?? {}, { mayRaise: !saidByThread.has('limits') }),
  }
}

interface ConfigSurroundings {
  readonly projectPath: string
  /** Reads the host's environment, of which only `env_allow` names are copied. */
  readonly env: (name: string) => string | undefined
  readonly mode: SandboxMode
  /**
   * Fields that stand in the parameters of a thread's call. Which variables of the host a command gets, and more than the usual limits, is
   * said by a signed file or the operator, never by a thread.
   */
  readonly saidByThread: ReadonlySet<string>
}

/** For `saidByThread`: nothing that the operator's own call says is said by a thread. */
export function fieldsOfThread(parameters: Readonly<Record<string, unknown>>, grant: Grant | undefined): ReadonlySet<string> {
  return new Set(grant !== undefined && grant.threadId !== null ? Object.keys(parameters) : [])
}

function limitsOf(raw: unknown, { mayRaise }: { readonly mayRaise: boolean }): Partial<SandboxLimits> {
  if (typeof raw !== 'object' || raw === null) throw new ProcessConfigError('Expected `limits` to be a map of names to numbers.')
  const limits: { -readonly [Name in keyof SandboxLimits]?: SandboxLimits[Name] } = {}
  for (const [name, value] of Object.entries(raw)) {
    const field = Object.entries(LIMIT_FIELDS).find(([known]) => known === name)?.[1]
    if (field === undefined) {
      throw new ProcessConfigError(`\`limits\` has no ${JSON.stringify(name)}; it has ${Object.keys(LIMIT_FIELDS).join(', ')}.`)
    }
    const given = positive(value, `limits.${name}`)
    limits[field] = mayRaise ? given : Math.min(given, DEFAULT_LIMITS[field] ?? given)
  }
  return limits
}

function childEnvironment(
  raw: Readonly<Record<string, unknown>>,
  { env, mode, mayCopy }: Pick<ConfigSurroundings, 'env' | 'mode'> & { readonly mayCopy: boolean },
): Readonly<Record<string, string>> {
  const child = new Map<string, string>()
  for (const name of texts(raw['env_allow'] ?? DEFAULT_ENV_ALLOW[mode], 'env_allow')) {
    if (!mayCopy && !DEFAULT_ENV_ALLOW[mode].includes(name)) {
      throw new ProcessConfigError(
        `\`env_allow\` names ${name}: a thread cannot ask for variables of the host. Name it in a signed tool file.`,
      )
    }
    // Whoever may run a command chooses these names, so they must not reach a secret; a tool file can, by writing env: {NAME: ${NAME}}.
    if (SECRET_NAME.test(name)) {
      throw new ProcessConfigError(
        `\`env_allow\` must not name ${name}, which looks like a secret. Set it under \`env\` in a signed tool file.`,
      )
    }
    const value = env(name)
    if (value !== undefined) child.set(name, value)
  }
  const explicit = raw['env'] ?? {}
  if (typeof explicit !== 'object' || explicit === null)
    throw new ProcessConfigError('Expected `env` to be a map of names to texts.')
  for (const [name, value] of Object.entries(explicit)) {
    if (!/^[A-Za-z_]\w*$/.test(name))
      throw new ProcessConfigError(`Expected a variable name in \`env\`, got ${JSON.stringify(name)}.`)
    child.set(name, text(typeof value === 'number' || typeof value === 'boolean' ? String(value) : value, `env.${name}`))
  }
  return Object.fromEntries(child)
}

async function folderInside(projectPath: string, cwd: string): Promise<string> {
  const project = await realpath(projectPath)
  const folder = await realpath(resolve(project, cwd)).catch(() => {
    throw noFolder(cwd)
  })
  const path = relative(project, folder)
  if (path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) throw noFolder(cwd)
  const denial = path === '' ? null : denialOf(path.split(sep), 'read')
  if (denial !== null) throw new ProcessConfigError(`The folder \`cwd\` (${JSON.stringify(cwd)}) is refused: ${denial}.`)
  return path
}

/** The same words where there is nothing and where a link leads out of the project: what lies there is not told. */
function noFolder(cwd: string): ProcessConfigError {
  return new ProcessConfigError(`The folder \`cwd\` (${JSON.stringify(cwd)}) does not exist in the project.`)
}

function text(value: unknown, field: string, { nulAllowed = false }: { readonly nulAllowed?: boolean } = {}): string {
  if (typeof value !== 'string')
    throw new ProcessConfigError(`Expected \`${field}\` to be text, got ${value === undefined ? 'nothing' : typeof value}.`)
  if (!nulAllowed && value.includes('\0')) throw new ProcessConfigError(`\`${field}\` holds a NUL character.`)
  return value
}

function texts(value: unknown, field: string): readonly string[] {
  if (!Array.isArray(value)) throw new ProcessConfigError(`Expected \`${field}\` to be a list of texts.`)
  return value.map((one: unknown, index) =>
    text(typeof one === 'number' || typeof one === 'boolean' ? String(one) : one, `${field}[${index}]`),
  )
}

/** Linux starts nothing with a longer one, and does not always say why. */
function checkedArgument(argument: string, index: number): string {
  if (process.platform !== 'linux' || Buffer.byteLength(argument) < MAX_ARGUMENT_BYTES) return argument
  throw new ProcessConfigError(`\`args[${index}]\` has 128 KiB or more, which no process can be given. Use \`stdin\` or a file.`)
}

function positive(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value <= 0) {
    throw new ProcessConfigError(`Expected \`${field}\` to be a positive integer, got ${JSON.stringify(value)}.`)
  }
  return value
}
