import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createKiwi, type KiwiOptions } from './compose.ts'
import { hostControl } from './compose-host.ts'
import { findInstallKey } from './capabilities/keys/install-key.ts'
import { itemSignatures } from './capabilities/keys/item-signatures.ts'
import { createSigningKeys, keyFolderOf } from './capabilities/keys/signing-keys.ts'
import { resolveConfig } from './config/config.ts'
import { userSpaceOf } from './config/user-space.ts'
import { resolveModel } from './config/models.ts'
import { toEnvelope } from './kernel/errors.ts'
import { createSandbox } from './primitives/sandbox/sandbox.ts'

/** One finding of `kiwi doctor`. `weak` works with less protection or comfort; `bad` does not work. */
export interface Check {
  readonly name: string
  readonly state: 'ok' | 'weak' | 'bad'
  readonly detail: string
  readonly fix: string | null
}

type Probe = (options: KiwiOptions) => Promise<readonly Check[]>

/** Looks at this machine, its configuration and this project's items. It changes nothing and starts nothing. */
export async function doctor(options: KiwiOptions): Promise<readonly Check[]> {
  const probes: readonly (readonly [string, Probe])[] = [
    ['node', async () => [nodeVersion(process.versions.node)]],
    ['isolation', isolation],
    ['user space', async () => [userSpace(options)]],
    ['keys', keys],
    ['configuration', configuration],
    ['items', items],
    ['signatures', signatures],
    ['host', async () => [await host(options)]],
  ]
  const checks: Check[] = []
  for (const [name, probe] of probes) {
    try {
      checks.push(...(await probe(options)))
    } catch (error) {
      const { message, suggestion } = toEnvelope(error).error
      checks.push({ name, state: 'bad', detail: message, fix: suggestion })
    }
  }
  return checks
}

/** `version` as in `process.versions.node`. */
export function nodeVersion(version: string): Check {
  const major = Number(version.split('.')[0])
  if (major >= 26) return { name: 'node', state: 'ok', detail: `Node ${version}`, fix: null }
  return {
    name: 'node',
    state: 'weak',
    detail: `Node ${version}: its --permission flag does not block the network, so a second layer of protection for tools is missing`,
    fix: 'Use Node 26 or newer.',
  }
}

async function isolation(options: KiwiOptions): Promise<readonly Check[]> {
  const name = 'isolation'
  const { sandbox, userSpace: hidden } = resolveConfig(options)
  const found = await createSandbox({ mode: sandbox, hidden: [hidden] }).availability()
  switch (found.kind) {
    case 'available':
      return [
        {
          name,
          state: 'ok',
          detail: `bubblewrap ${found.version}: commands and tools of the project and the user run in it`,
          fix: null,
        },
      ]
    case 'off':
      return [
        {
          name,
          state: 'weak',
          detail: 'sandbox: none, so commands run with all rights of this user, and tools are held by Node’s own flag only',
          fix: 'Remove `sandbox: none` from the configuration.',
        },
      ]
    case 'missing':
    case 'broken':
      return [
        {
          name,
          state: 'bad',
          detail: `${found.reason}; commands and tools of the project and the user are refused`,
          fix: found.installLine,
        },
      ]
  }
}

/** The install key, as it is: none is made here. */
async function keys(options: KiwiOptions): Promise<readonly Check[]> {
  const name = 'keys'
  const key = findInstallKey(keyFolderOf(userSpaceOf(options.env)), { projectPath: options.projectPath })
  return key === null
    ? [{ name, state: 'ok', detail: 'no signing key yet; it is made with the first signature', fix: null }]
    : [{ name, state: 'ok', detail: `signs as ${key.keyId}`, fix: null }]
}

function userSpace(options: KiwiOptions): Check {
  const path = userSpaceOf(options.env)
  const name = 'user space'
  if (!existsSync(path)) return { name, state: 'ok', detail: 'not there yet; it is made when first needed', fix: null }
  const stats = statSync(path)
  if (!stats.isDirectory())
    return { name, state: 'bad', detail: `${path} is not a folder`, fix: 'Move it away, or set USER_SPACE.' }
  if (typeof process.getuid === 'function' && stats.uid !== process.getuid()) {
    return { name, state: 'bad', detail: `${path} belongs to another user`, fix: 'Set USER_SPACE to a folder of your own.' }
  }
  const isOpen = (stats.mode & 0o022) !== 0
  return isOpen
    ? { name, state: 'bad', detail: `${path} can be written by other users`, fix: `chmod go-w ${path}` }
    : { name, state: 'ok', detail: path, fix: null }
}

async function configuration(options: KiwiOptions): Promise<readonly Check[]> {
  const kiwi = createKiwi(options)
  try {
    const target = resolveModel(kiwi.config, null)
    const key = `${target.provider.toUpperCase()}_API_KEY`
    const keyEnv = kiwi.config.providers[target.provider]?.keyEnv ?? key
    const hasKey = Boolean(options.env[keyEnv])
    return [
      ...kiwi.config.warnings.map((detail): Check => ({ name: 'configuration', state: 'weak', detail, fix: null })),
      {
        name: 'model',
        state: 'ok',
        detail: `tier ${kiwi.config.models.defaultTier} is ${target.model} through ${target.tool}`,
        fix: null,
      },
      hasKey
        ? { name: 'key', state: 'ok', detail: `${keyEnv} is set`, fix: null }
        : { name: 'key', state: 'weak', detail: `${keyEnv} is not set`, fix: `Set it, or try without a key: kiwi demo` },
    ]
  } finally {
    await kiwi.close()
  }
}

async function items(options: KiwiOptions): Promise<readonly Check[]> {
  const name = 'items'
  if (!existsSync(join(options.projectPath, '.ai'))) {
    return [
      { name, state: 'weak', detail: 'this folder has no .ai folder; only shipped and user items are found', fix: 'kiwi init' },
    ]
  }
  const kiwi = createKiwi(options)
  try {
    // What is shipped was checked when it was packed, and nobody here can mend it.
    const problems = (await kiwi.kernel(options.projectPath).problems()).filter(({ file }) => !file.startsWith('system/'))
    if (problems.length === 0) return [{ name, state: 'ok', detail: 'every item file is valid', fix: null }]
    return problems.map((problem) => ({
      name,
      state: 'weak',
      detail: `${problem.file}:${problem.line}:${problem.column} ${problem.reason}`,
      fix: problem.fix,
    }))
  } finally {
    await kiwi.close()
  }
}

/** What is valid and still does not run, because no key that counts signed it as it is. */
async function signatures({ projectPath, env }: KiwiOptions): Promise<readonly Check[]> {
  const name = 'signatures'
  if (!existsSync(join(projectPath, '.ai'))) return []
  const user = userSpaceOf(env)
  const signers = createSigningKeys({ userSpace: user, projectPath })
  const spaces = { project: join(projectPath, '.ai'), user, system: join(import.meta.dirname, '..', 'system') }
  const idle = (await itemSignatures({ spaces, projectPath })).flatMap(({ item, integrity }) => {
    const { type, id, state } = item
    if (integrity.kind !== 'signed') return [`${type} ${id} (${integrity.kind})`]
    const toolType = state.kind === 'available' && state.definition.kind === 'tool' ? state.definition.toolType : null
    return signers.trust(integrity.keyId, { type, id, toolType }) === 'trusted' ? [] : [`${type} ${id} (its key is not trusted)`]
  })
  if (idle.length === 0) return [{ name, state: 'ok', detail: 'every item is signed by a key that you trust', fix: null }]
  const shown = [...idle.slice(0, MAX_NAMED), ...(idle.length > MAX_NAMED ? [`${idle.length - MAX_NAMED} more`] : [])].join(', ')
  return [
    {
      name,
      state: 'weak',
      detail: `not run: ${shown}`,
      fix: 'Read them, then: kiwi sign TYPE ID. Whose the signatures of this project are: kiwi trust project',
    },
  ]
}

const MAX_NAMED = 10

async function host(options: KiwiOptions): Promise<Check> {
  if (!existsSync(join(userSpaceOf(options.env), 'host')))
    return { name: 'host', state: 'ok', detail: 'has never run; it starts with the first thread', fix: null }
  const status = await hostControl(options.env).status()
  return status === null
    ? { name: 'host', state: 'ok', detail: 'not running; it starts with the next thread', fix: null }
    : {
        name: 'host',
        state: 'ok',
        detail: `runs as process ${JSON.stringify(status['pid'])} with ${JSON.stringify(status['active'])} active threads`,
        fix: null,
      }
}
