import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ErrorObject } from 'ajv'
import type { WireName } from '../harness/base/conversation.ts'
import { KiwiError } from '../kernel/errors.ts'
import type { SandboxMode } from '../primitives/sandbox/contract.ts'
import type { SigningKeys } from '../kernel/contract.ts'
import { checkIntegrity, type Integrity, type SignedSubject } from '../kernel/integrity/signature.ts'
import { suggestName } from '../kernel/items/nearest-name.ts'
import { decodeSource, type Finding } from '../kernel/items/source-text.ts'
import { readYaml } from '../kernel/items/yaml-document.ts'
import { CONFIG_SCHEMA } from './schema.ts'

export interface TierFile {
  readonly tool: string
  readonly model: string
  readonly wire?: WireName
  readonly provider?: string
  readonly max_output_tokens?: number
}

/** `config.yaml` as written, after validation against `CONFIG_SCHEMA`. */
export interface ConfigFile {
  readonly models?: {
    readonly default_tier?: string
    readonly max_output_tokens?: number
    readonly tiers?: Readonly<Record<string, TierFile>>
    readonly prices?: Readonly<
      Record<
        string,
        {
          readonly input: number
          readonly cache_read?: number
          readonly cache_write_5m?: number
          readonly cache_write_1h?: number
          readonly output: number
        }
      >
    >
    readonly context_windows?: Readonly<Record<string, number>>
  }
  readonly providers?: Readonly<Record<string, { readonly base_url?: string; readonly key_env?: string }>>
  readonly host?: { readonly idle_exit_seconds?: number }
  readonly secrets?: { readonly names?: readonly string[] }
  readonly sandbox?: SandboxMode
  readonly mcp?: { readonly allow_sign?: boolean }
  readonly approvals?: { readonly timeout_seconds?: number }
  readonly serve?: { readonly port?: number }
}

export interface ConfigReading {
  readonly config: ConfigFile
  readonly warnings: readonly string[]
}

/** More than any real configuration; a larger file is refused before it is parsed. */
const MAX_CONFIG_BYTES = 256 * 1024

/** The user's own file: trusted as the user's home is. */
export function readUserConfig(userSpace: string): ConfigReading {
  const bytes = readIfPresent(join(userSpace, 'config.yaml'))
  return { config: bytes === null ? {} : parseConfig(bytes, '~/.ai/config.yaml'), warnings: [] }
}

/** What the signature of a project's configuration is of. */
export const CONFIG_SUBJECT: SignedSubject = { type: 'config', category: '', id: 'config' }

/**
 * The project's file, used only when a trusted key signed it: a cloned folder must not choose where keys are sent. A file that is not used is
 * a warning, not an error, so that such a project can still be looked at.
 *
 * @throws {KiwiError} CONFIG_VALIDATION_ERROR; KEY_UNSAFE.
 */
export function readProjectConfig(projectPath: string, keys: Pick<SigningKeys, 'trust'>): ConfigReading {
  const shown = '.ai/config.yaml'
  const bytes = readIfPresent(join(projectPath, '.ai', 'config.yaml'))
  if (bytes === null) return { config: {}, warnings: [] }
  const refusal = refusalOf(checkIntegrity(bytes, 'yaml', CONFIG_SUBJECT), keys)
  if (refusal === null) return { config: parseConfig(bytes, shown), warnings: [] }
  return { config: {}, warnings: [`${shown} ${refusal} and was not used. Read it, then sign it: kiwi sign config`] }
}

/** Null for a file that may be used. */
function refusalOf(integrity: Integrity, keys: Pick<SigningKeys, 'trust'>): string | null {
  switch (integrity.kind) {
    case 'unsigned':
      return 'is unsigned'
    case 'changed':
      return 'is changed after it was signed'
    case 'malformed':
      return `has a malformed signature (line ${integrity.line}: ${integrity.reason})`
    case 'keyless':
      return 'was hashed but not signed by a key'
    case 'forged':
      return `was not signed by the key that its signature names (${integrity.keyId})`
    case 'signed': {
      const trust = keys.trust(integrity.keyId, { type: 'config', id: 'config', toolType: null })
      if (trust === 'trusted') return null
      return `is signed by the key ${integrity.keyId}, which you ${trust === 'untrusted' ? 'do not trust' : 'trust for something else'},`
    }
  }
}

function readIfPresent(path: string): Buffer | null {
  try {
    return readFileSync(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null
    throw new KiwiError(
      'CONFIG_VALIDATION_ERROR',
      `Reading the configuration failed: ${error instanceof Error ? error.message : String(error)}`,
      { error },
    )
  }
}

/** @throws KiwiError CONFIG_VALIDATION_ERROR naming the file, the line and the field. */
export function parseConfig(bytes: Buffer, shown: string): ConfigFile {
  if (bytes.length > MAX_CONFIG_BYTES)
    throw invalid(shown, { line: 1, field: '', what: `the file has ${bytes.length} bytes; at most ${MAX_CONFIG_BYTES} are read` })
  const decoded = decodeSource(bytes)
  if (decoded.kind === 'invalid') throw invalidFinding(shown, decoded.finding)
  const outcome = readYaml(decoded.source)
  if (outcome.kind === 'invalid') throw invalidFinding(shown, outcome.findings[0])
  const value = outcome.document.value ?? {}
  const validate = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true }).compile(CONFIG_SCHEMA)
  if (validate(value)) return value as ConfigFile // validated against CONFIG_SCHEMA in this very line
  const [first] = validate.errors ?? []
  const path = (first?.instancePath ?? '').split('/').slice(1)
  throw invalid(shown, { line: outcome.document.locate(path).line, field: path.join('.'), what: explain(path.join('.'), first) })
}

function explain(field: string, error: ErrorObject | undefined): string {
  const place = field === '' ? 'the file' : `\`${field}\``
  const unknown: unknown = error?.params['additionalProperty']
  if (typeof unknown !== 'string') return `${place} ${error?.message ?? 'is not valid'}`
  const known: unknown = error?.parentSchema?.['properties']
  const names = typeof known === 'object' && known !== null ? Object.keys(known) : []
  return `${place} has no field \`${unknown}\`. ${suggestName(unknown, names)}`
}

function invalidFinding(shown: string, finding: Finding | undefined): KiwiError {
  const { line = 1, reason = 'the file cannot be read', fix = '' } = finding ?? {}
  return invalid(shown, { line, field: '', what: `${reason}. ${fix}`.trim() })
}

function invalid(shown: string, problem: { readonly line: number; readonly field: string; readonly what: string }): KiwiError {
  const { line, field, what } = problem
  return new KiwiError('CONFIG_VALIDATION_ERROR', `${shown}:${line}: ${what}`, {
    failedAt: { tool_id: shown, config_path: field === '' ? null : field, validation_errors: [{ field, error: what }] },
    suggestion: 'Correct the file; docs/configuration.md lists every field.',
  })
}
