import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { createSigningKeys } from '../../src/capabilities/keys/signing-keys.ts'
import { createTrustStore } from '../../src/capabilities/keys/trust-store.ts'
import { CONFIG_SUBJECT } from '../../src/config/config-file.ts'
import { resolveConfig } from '../../src/config/config.ts'
import { mayMcpSign } from '../../src/config/may-sign.ts'
import { envLookup, resolveModel } from '../../src/config/models.ts'
import type { SigningKeys } from '../../src/kernel/contract.ts'
import { signBytes } from '../../src/kernel/integrity/signature.ts'
import { createTestKeys } from '../kernel/test-keys.ts'

let root: string
let env: NodeJS.ProcessEnv

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kiwi-config-'))
  mkdirSync(join(root, 'project', '.ai'), { recursive: true })
  mkdirSync(join(root, 'user'))
  env = { USER_SPACE: join(root, 'user') }
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

const resolve = (extra: NodeJS.ProcessEnv = {}, flags: Record<string, string> = {}) =>
  resolveConfig({ projectPath: join(root, 'project'), env: { ...env, ...extra }, flags })

const writeUser = (text: string): void => writeFileSync(join(root, 'user', 'config.yaml'), text)
const writeProject = async (text: string, signer: Pick<SigningKeys, 'sign'> | null = ownKeys()): Promise<void> => {
  const bytes = Buffer.from(text)
  const signed = signer === null ? bytes : await signBytes(bytes, 'yaml', { nowMs: 0, subject: CONFIG_SUBJECT, keys: signer })
  writeFileSync(join(root, 'project', '.ai', 'config.yaml'), signed)
}
const ownKeys = (): SigningKeys => createSigningKeys({ userSpace: join(root, 'user'), projectPath: join(root, 'project') })

describe('configuration', () => {
  test('every default tier names an endpoint tool and a model', () => {
    const { tiers, defaultTier } = resolve().models
    assert.deepEqual(Object.keys(tiers).toSorted(), ['balanced', 'expert', 'fast', 'general', 'orchestrator', 'reasoning'])
    assert.equal(defaultTier, 'balanced')
    assert.equal(tiers['fast']?.wire, 'anthropic_messages')
  })

  test('the order is flag, environment, signed project file, user file, default', async () => {
    writeUser(
      'models:\n  tiers:\n    fast: { tool: anthropic_thread, model: from-user }\n    mine: { tool: anthropic_thread, model: only-user }\n',
    )
    await writeProject('models:\n  tiers:\n    fast: { tool: anthropic_thread, model: from-project }\n')
    assert.equal(resolve().models.tiers['fast']?.model, 'from-project')
    assert.equal(resolve().models.tiers['mine']?.model, 'only-user')
    assert.equal(resolve({ KIWI_MODEL: 'from-env' }).models.tiers['fast']?.model, 'from-env')
    assert.equal(resolve({ KIWI_MODEL: 'from-env' }, { model: 'from-flag' }).models.tiers['fast']?.model, 'from-flag')
  })

  test('an unsigned or changed project file is a warning and is not used', async () => {
    await writeProject('providers:\n  anthropic: { base_url: "http://evil.example" }\n', null)
    const config = resolve()
    assert.deepEqual(config.providers, Object.create(null))
    assert.match(config.warnings[0] ?? '', /unsigned .*kiwi sign config/)
  })

  test('one file is enough to keep sign from MCP clients', async () => {
    assert.equal(resolve().mcp.allowSign, true)
    assert.equal(await mayMcpSign({ projectPath: join(root, 'project'), env }), true)
    writeUser('mcp: { allow_sign: false }\n')
    await writeProject('mcp: { allow_sign: true }\n')
    assert.equal(resolve().mcp.allowSign, false)
    assert.equal(await mayMcpSign({ projectPath: join(root, 'project'), env }), false)
  })

  test('kiwi serve has a port of its own, which a file can change', async () => {
    assert.equal(resolve().serve.port, 7747)
    writeUser('serve: { port: 8080 }\n')
    assert.equal(resolve().serve.port, 8080)
    writeUser('serve: { port: 70000 }\n')
    assert.throws(resolve, { code: 'CONFIG_VALIDATION_ERROR', message: /`serve\.port`/ })
  })

  test('names of secrets of both files count, and the sandbox is on unless a file says otherwise', async () => {
    assert.deepEqual([resolve().secrets.names, resolve().sandbox], [[], 'bubblewrap'])
    writeUser('secrets: { names: [MINE, BOTH] }\nsandbox: none\n')
    await writeProject('secrets: { names: [BOTH, THEIRS] }\nsandbox: bubblewrap\n')
    assert.deepEqual([resolve().secrets.names, resolve().sandbox], [['MINE', 'BOTH', 'THEIRS'], 'bubblewrap'])
  })

  test('a project can switch the sandbox off only in a signed file', async () => {
    await writeProject('sandbox: none\n', null)
    assert.equal(resolve().sandbox, 'bubblewrap')
    await writeProject('sandbox: none\n')
    assert.equal(resolve().sandbox, 'none')
  })

  test('a sandbox that does not exist and a name that is no variable are errors', () => {
    writeUser('sandbox: chroot\n')
    assert.throws(resolve, { code: 'CONFIG_VALIDATION_ERROR', message: /config\.yaml:1: `sandbox`/ })
    writeUser('secrets: { names: ["a value, not a name"] }\n')
    assert.throws(resolve, { code: 'CONFIG_VALIDATION_ERROR', message: /`secrets\.names\.0`/ })
  })

  test('a project file is used only as long as its signer is trusted, and nobody else can have signed it', async () => {
    const other = createTestKeys()
    const text = 'providers:\n  anthropic: { base_url: "http://elsewhere.example" }\n'
    await writeProject(text, other)
    assert.deepEqual(resolve().providers, Object.create(null))
    assert.match(resolve().warnings[0] ?? '', new RegExp(`${other.keyId}, which you do not trust`))
    createTrustStore(join(root, 'user', 'keys'), { projectPath: join(root, 'project') }).update(() => [
      { key_id: other.keyId, purpose: 'item', label: 'a colleague', added_at: '2026-01-02T03:04:05Z' },
    ])
    assert.equal(resolve().providers['anthropic']?.baseUrl, 'http://elsewhere.example')
    await writeProject(text, { sign: async () => ({ keyId: other.keyId, signature: 'A'.repeat(86) }) })
    assert.deepEqual(resolve().providers, Object.create(null))
    assert.match(resolve().warnings[0] ?? '', /was not signed by the key/)
  })

  test('a field that is not known names the file and the field', () => {
    writeUser('models:\n  teirs: {}\n')
    assert.throws(resolve, {
      code: 'CONFIG_VALIDATION_ERROR',
      message: /~\/\.ai\/config\.yaml:\d: `models` has no field `teirs`. Did you mean `tiers`/,
    })
  })

  test('a syntax error names the line', () => {
    writeUser('models:\n  tiers: {\n')
    assert.throws(resolve, { code: 'CONFIG_VALIDATION_ERROR', message: /config\.yaml:\d+: / })
  })

  test('choosing the OpenAI endpoint changes every tier, its wire and its provider', () => {
    const { tiers } = resolve({ KIWI_MODEL_TOOL: 'openai_thread' }).models
    assert.ok(
      Object.values(tiers).every(
        (tier) => tier.tool === 'openai_thread' && tier.wire === 'openai_chat' && tier.provider === 'openai',
      ),
    )
  })
})

describe('models', () => {
  test('a tier that is not configured falls back, and without a fallback names the tiers that exist', () => {
    const config = resolve()
    assert.equal(resolveModel(config, { tier: 'huge', id: null, fallback: 'fast' }).model, config.models.tiers['fast']?.model)
    assert.throws(() => resolveModel(config, { tier: 'huge', id: null, fallback: null }), {
      code: 'CONFIG_VALIDATION_ERROR',
      message: /"huge"/,
    })
  })

  test('a configured price and context window win over the built-in lists', () => {
    writeUser('models:\n  prices: { m: { input: 2, output: 4 } }\n  context_windows: { m: 1000 }\n')
    const target = resolveModel(resolve({ KIWI_MODEL: 'm' }), null)
    assert.deepEqual(target.price, { input: 2, cache_read: 2, cache_write_5m: 2, cache_write_1h: 2, output: 4 })
    assert.equal(target.contextWindow, 1000)
  })

  test('base URLs and keys of tool files come from the environment first, then from the configuration', () => {
    writeUser('providers:\n  openai: { base_url: "http://127.0.0.1:1/v1", key_env: MY_KEY }\n')
    const look = (extra: NodeJS.ProcessEnv) => envLookup(resolve(), { ...env, ...extra })
    assert.equal(look({})('OPENAI_BASE_URL'), 'http://127.0.0.1:1/v1')
    assert.equal(look({ OPENAI_BASE_URL: 'http://127.0.0.1:2/v1' })('OPENAI_BASE_URL'), 'http://127.0.0.1:2/v1')
    assert.equal(look({ MY_KEY: 'k' })('OPENAI_API_KEY'), 'k')
    assert.equal(look({ ANTHROPIC_API_KEY: 'a' })('ANTHROPIC_API_KEY'), 'a')
  })
})
