import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { LineCounter, parseDocument } from 'yaml'
import type { WireName } from '../harness/base/conversation.ts'
import { KiwiError } from '../kernel/errors.ts'
import { checkIntegrity } from '../kernel/integrity/signature.ts'
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

/**
 * The project's file, used only when it is signed: a cloned folder must not choose where keys are sent. An unsigned or changed file is
 * a warning, not an error, so that such a project can still be looked at.
 */
export function readProjectConfig(projectPath: string): ConfigReading {
  const shown = '.ai/config.yaml'
  const bytes = readIfPresent(join(projectPath, '.ai', 'config.yaml'))
  if (bytes === null) return { config: {}, warnings: [] }
  const integrity = checkIntegrity(bytes, 'yaml')
  if (integrity.kind !== 'signed') {
    return { config: {}, warnings: [`${shown} is ${integrity.kind} and was not used. Read it, then sign it: kiwi sign config`] }
  }
  return { config: parseConfig(bytes, shown), warnings: [] }
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
  if (bytes.length > MAX_CONFIG_BYTES) throw invalid(shown, '', `is ${bytes.length} bytes; at most ${MAX_CONFIG_BYTES} are read`)
  const lines = new LineCounter()
  const document = parseDocument(bytes.toString('utf8'), { lineCounter: lines, uniqueKeys: true })
  const [syntax] = document.errors
  if (syntax !== undefined)
    throw invalid(shown, '', `line ${lines.linePos(syntax.pos[0]).line}: ${syntax.message.split('\n')[0]}`)
  const value: unknown = document.toJS({ maxAliasCount: 0 }) ?? {}
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(CONFIG_SCHEMA)
  if (!validate(value)) {
    const [first] = validate.errors ?? []
    const field = (first?.instancePath ?? '').slice(1).replaceAll('/', '.')
    const extra = typeof first?.params?.['additionalProperty'] === 'string' ? ` "${first.params['additionalProperty']}"` : ''
    throw invalid(shown, field, `${field === '' ? 'the file' : `\`${field}\``} ${first?.message ?? 'is not valid'}${extra}`)
  }
  // Validated against CONFIG_SCHEMA on the line above.
  return value as ConfigFile
}

function invalid(shown: string, field: string, what: string): KiwiError {
  return new KiwiError('CONFIG_VALIDATION_ERROR', `${shown}: ${what}.`, {
    failedAt: { tool_id: shown, config_path: field === '' ? null : field, validation_errors: [{ field, error: what }] },
    suggestion: 'Correct the file; docs/configuration.md lists every field.',
  })
}
