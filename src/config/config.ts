import { resolve } from 'node:path'
import type { WireName } from '../harness/base/conversation.ts'
import type { PriceTable } from '../harness/safety/services.ts'
import { createSigningKeys } from '../capabilities/keys/signing-keys.ts'
import type { SigningKeys } from '../kernel/contract.ts'
import type { SandboxMode } from '../primitives/sandbox/contract.ts'
import type { Environment } from './environment.ts'
import { type ConfigFile, readProjectConfig, readUserConfig } from './config-file.ts'
import { DEFAULT_TIERS } from './default-tiers.ts'
import { userSpaceOf } from './user-space.ts'

export interface TierTarget {
  readonly tool: string
  readonly model: string
  readonly wire: WireName
  readonly provider: string
  readonly maxOutputTokens: number
}

/** Everything that is configurable, resolved once: flag > environment > project file (when signed) > user file > default. */
export interface ResolvedConfig {
  readonly projectPath: string
  readonly userSpace: string
  readonly models: {
    readonly defaultTier: string
    readonly tiers: Readonly<Record<string, TierTarget>>
    readonly prices: Readonly<Record<string, PriceTable>>
    readonly contextWindows: Readonly<Record<string, number>>
  }
  readonly providers: Readonly<Record<string, { readonly baseUrl: string | null; readonly keyEnv: string | null }>>
  readonly host: { readonly idleExitMs: number }
  /** Environment variables whose values are secret although their names do not say so; those of both files. */
  readonly secrets: { readonly names: readonly string[] }
  /** What untrusted code runs in. `none` is a choice of the user, or of a project file that the user signed. */
  readonly sandbox: SandboxMode
  /** Whether MCP clients may use `sign`; one file that says no is enough. */
  readonly mcp: { readonly allowSign: boolean }
  /** How long a thread waits for somebody's answer before it counts as a no; at most a week. */
  readonly approvals: { readonly timeoutMs: number }
  /** Where `kiwi serve` listens on the loopback; 0 for any port that is free. */
  readonly serve: { readonly port: number }
  /** What was found and not used, with what to do about it. */
  readonly warnings: readonly string[]
}

export interface ConfigInput {
  readonly projectPath: string
  readonly env: Environment
  /** `model` and `model_tool`, as given on a command line. */
  readonly flags?: Readonly<Record<string, string>>
  /** Who may sign the project's file. Default: whom the user trusts. */
  readonly keys?: Pick<SigningKeys, 'trust'>
}

/**
 * Reads both configuration files and the environment (`USER_SPACE`, `KIWI_MODEL`, `KIWI_MODEL_TOOL`, `KIWI_HOST_IDLE_SECONDS`).
 * An empty variable counts as absent.
 *
 * @throws KiwiError CONFIG_VALIDATION_ERROR naming file, line and field; KEY_UNSAFE.
 */
export function resolveConfig(input: ConfigInput): ResolvedConfig {
  const userSpace = userSpaceOf(input.env)
  const user = readUserConfig(userSpace)
  const { projectPath } = input
  const project = readProjectConfig(projectPath, input.keys ?? createSigningKeys({ userSpace, projectPath }))
  const files = [user.config, project.config]
  const tool = input.flags?.['model_tool'] || input.env['KIWI_MODEL_TOOL'] || null
  const model = input.flags?.['model'] || input.env['KIWI_MODEL'] || null
  const idleSeconds = Number(input.env['KIWI_HOST_IDLE_SECONDS'] || lastOf(files, (file) => file.host?.idle_exit_seconds) || 60)
  return {
    projectPath: resolve(input.projectPath),
    userSpace,
    models: {
      defaultTier: lastOf(files, (file) => file.models?.default_tier) ?? 'balanced',
      tiers: resolveTiers(files, { tool, model }),
      prices: mergeRecords(files, (file) => file.models?.prices, completePrice),
      contextWindows: mergeRecords(
        files,
        (file) => file.models?.context_windows,
        (value) => value,
      ),
    },
    providers: mergeRecords(
      files,
      (file) => file.providers,
      (value) => ({ baseUrl: value.base_url ?? null, keyEnv: value.key_env ?? null }),
    ),
    host: { idleExitMs: Math.max(0, Number.isFinite(idleSeconds) ? idleSeconds : 60) * 1000 },
    secrets: { names: [...new Set(files.flatMap((file) => file.secrets?.names ?? []))] },
    sandbox: lastOf(files, (file) => file.sandbox) ?? 'bubblewrap',
    mcp: { allowSign: files.every((file) => file.mcp?.allow_sign !== false) },
    approvals: { timeoutMs: (lastOf(files, (file) => file.approvals?.timeout_seconds) ?? 3600) * 1000 },
    serve: { port: lastOf(files, (file) => file.serve?.port) ?? 7747 },
    warnings: [...user.warnings, ...project.warnings],
  }
}

function resolveTiers(
  files: readonly ConfigFile[],
  override: { readonly tool: string | null; readonly model: string | null },
): Readonly<Record<string, TierTarget>> {
  const maxOutputTokens = lastOf(files, (file) => file.models?.max_output_tokens) ?? 8192
  const defaults = DEFAULT_TIERS[override.tool ?? 'anthropic_thread']
  const tiers: Record<string, TierTarget> = Object.create(null)
  for (const source of [defaults ?? {}, ...files.map((file) => file.models?.tiers ?? {})]) {
    for (const [name, tier] of Object.entries(source)) {
      // A chosen endpoint tool speaks its own provider's model names only.
      if (override.tool !== null && tier.tool !== override.tool) continue
      const isOpenai = tier.tool.startsWith('openai')
      tiers[name] = {
        tool: tier.tool,
        model: override.model ?? tier.model,
        wire: tier.wire ?? (isOpenai ? 'openai_chat' : 'anthropic_messages'),
        provider: tier.provider ?? (isOpenai ? 'openai' : 'anthropic'),
        maxOutputTokens: tier.max_output_tokens ?? maxOutputTokens,
      }
    }
  }
  return tiers
}

type FilePrice = NonNullable<NonNullable<ConfigFile['models']>['prices']>[string]

function completePrice(price: FilePrice): PriceTable {
  return {
    input: price.input,
    cache_read: price.cache_read ?? price.input,
    cache_write_5m: price.cache_write_5m ?? price.input,
    cache_write_1h: price.cache_write_1h ?? price.input,
    output: price.output,
  }
}

function lastOf<T>(files: readonly ConfigFile[], pick: (file: ConfigFile) => T | undefined): T | undefined {
  return files.map(pick).findLast((value) => value !== undefined)
}

/** Null-prototype on purpose: names come from files. */
function mergeRecords<T, U>(
  files: readonly ConfigFile[],
  pick: (file: ConfigFile) => Readonly<Record<string, T>> | undefined,
  map: (value: T) => U,
): Readonly<Record<string, U>> {
  const merged: Record<string, U> = Object.create(null)
  for (const file of files) for (const [name, value] of Object.entries(pick(file) ?? {})) merged[name] = map(value)
  return merged
}
