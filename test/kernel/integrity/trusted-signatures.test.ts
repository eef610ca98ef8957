/** Contract under test: a project or user item runs only as a trusted key signed it, and each refusal has its own code. */
import assert from 'node:assert/strict'
import { existsSync, renameSync } from 'node:fs'
import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { resolveConfig } from '../../../src/config/config.ts'
import { createSigningKeys, keyFolderOf } from '../../../src/capabilities/keys/signing-keys.ts'
import { createTrustStore } from '../../../src/capabilities/keys/trust-store.ts'
import type { KeyTrust } from '../../../src/kernel/contract.ts'
import { KiwiError } from '../../../src/kernel/errors.ts'
import { signBytes, type SignedSubject } from '../../../src/kernel/integrity/signature.ts'
import { createTestProject, errorOf, type TestProject } from '../project.ts'
import { createTestKeys, type TestKeys } from '../test-keys.ts'

const YAML =
  'tool_id: mine\ntool_type: http\nversion: 1.0.0\nexecutor_id: http_client\ndescription: Mine.\nconfig:\n  url: http://127.0.0.1:9/\n'
const PATH = '.ai/tools/demo/mine.yaml'
const SUBJECT: SignedSubject = { type: 'tool', category: 'demo', id: 'mine' }

async function signedBy(keys: TestKeys, text: string, subject: SignedSubject = SUBJECT): Promise<string> {
  const kind = subject.type === 'directive' ? 'markdown' : 'yaml'
  return (await signBytes(Buffer.from(text), kind, { nowMs: 0, subject, keys })).toString()
}

/** The code that `require` refuses with; null when it gives the item. `execute` and `load` must agree with it. */
async function refusal(project: TestProject, text: string): Promise<string | null> {
  await project.write(PATH, text)
  const executed = await project.execute('mine')
  try {
    await project.kernel.require('tool', 'mine')
  } catch (error) {
    assert(error instanceof KiwiError)
    assert.equal(errorOf(executed).code, error.code)
    assert.match(error.context.suggestion ?? '', /kiwi sign tool mine/)
    return error.code
  }
  // Nobody listens there: that the call was tried is all that is asked here.
  assert.equal(errorOf(executed).code.startsWith('ITEM_'), false)
  return null
}

const loadedIntegrity = async (project: TestProject): Promise<unknown> => {
  const loaded = await project.kernel.load({ item_type: 'tool', item_id: 'mine' })
  assert(loaded.success)
  return loaded['integrity']
}

test('threat row 40: whatever is wrong with a signature keeps the item from running, each with its own code', async () => {
  // Without assertSigned (trusted-items.ts), or with any branch of signatureRefusal taken for trust, a row of this table runs.
  const stranger = createTestKeys()
  const connector = createTestKeys()
  const trust = (keyId: string): KeyTrust => (keyId === connector.keyId ? 'other_purpose' : 'untrusted')
  const keys = createTestKeys(trust)
  await using project = await createTestProject({ keys })
  const signed = await signedBy(keys, YAML)
  const [line = '', ...rest] = signed.split('\n')
  const body = rest.join('\n')
  const [, , time, sha256, keyId, signature] = line.split(':')
  const withLine = (...fields: readonly (string | undefined)[]): string => `# kiwi:signed:${fields.join(':')}\n${body}`
  assert.equal(await refusal(project, signed), null)
  assert.equal(await loadedIntegrity(project), 'signed')
  const other = (await signedBy(stranger, YAML)).split('\n')[0]?.split(':')
  for (const [name, text, code, integrity] of [
    ['unsigned', YAML, 'ITEM_UNSIGNED', 'unsigned'],
    ['stripped', body, 'ITEM_UNSIGNED', 'unsigned'],
    ['changed', `${signed}retry:\n  max_attempts: 2\n`, 'ITEM_CHANGED', 'changed'],
    ['hash only', withLine(time, sha256, 'none', '-'), 'ITEM_SIGNATURE_MISSING', 'keyless'],
    ['signature stripped', withLine(time, sha256, keyId, '-'), 'ITEM_SIGNATURE_MALFORMED', 'malformed'],
    ['key stripped', withLine(time, sha256, 'none', signature), 'ITEM_SIGNATURE_MALFORMED', 'malformed'],
    ['fields in another order', withLine(sha256, time, keyId, signature), 'ITEM_SIGNATURE_MALFORMED', 'malformed'],
    ['key and signature exchanged', withLine(time, sha256, signature, keyId), 'ITEM_SIGNATURE_MALFORMED', 'malformed'],
    ['two lines', `${line}\n${signed}`, 'ITEM_SIGNATURE_MALFORMED', 'malformed'],
    ['line elsewhere', `${body}${line}\n`, 'ITEM_SIGNATURE_MALFORMED', 'malformed'],
    ['own key, signature of another', withLine(time, sha256, keyId, other?.[5]), 'ITEM_SIGNATURE_INVALID', 'forged'],
    ['another time', withLine('20300101T000000Z', sha256, keyId, signature), 'ITEM_SIGNATURE_INVALID', 'forged'],
    ['another id', await signedBy(keys, YAML, { ...SUBJECT, id: 'other' }), 'ITEM_SIGNATURE_INVALID', 'forged'],
    ['another category', await signedBy(keys, YAML, { ...SUBJECT, category: '' }), 'ITEM_SIGNATURE_INVALID', 'forged'],
    ['another type', await signedBy(keys, YAML, { ...SUBJECT, type: 'config' }), 'ITEM_SIGNATURE_INVALID', 'forged'],
    ['a key that is not trusted', await signedBy(stranger, YAML), 'ITEM_KEY_UNTRUSTED', 'untrusted_key'],
    ['a key for something else', await signedBy(connector, YAML), 'ITEM_KEY_PURPOSE', 'other_purpose'],
  ] as const) {
    assert.equal(await refusal(project, text), code, name)
    assert.equal(await loadedIntegrity(project), integrity, name)
  }
})

test('a key that is not trusted is named in full, with the command that trusts it', async () => {
  const stranger = createTestKeys()
  await using project = await createTestProject()
  await project.write(PATH, await signedBy(stranger, YAML))
  const error = errorOf(await project.execute('mine'))
  assert(error.message.includes(stranger.keyId))
  assert(error.suggestion?.includes(`kiwi trust add ${stranger.keyId}`))
  assert.equal(error['key_id'], stranger.keyId)
  const loaded = await project.kernel.load({ item_type: 'tool', item_id: 'mine' })
  assert(loaded.success)
  assert.deepEqual(loaded['signed_by'], { key_id: stranger.keyId, signed_at: '19700101T000000Z' })
})

test('an item that ran runs no longer once its key is trusted no longer, and again when it is', async () => {
  let trust: KeyTrust = 'trusted'
  const keys = createTestKeys(() => trust)
  await using project = await createTestProject({ keys })
  await project.write(PATH, await signedBy(createTestKeys(), YAML))
  await project.kernel.require('tool', 'mine')
  trust = 'untrusted'
  await assert.rejects(project.kernel.require('tool', 'mine'), { code: 'ITEM_KEY_UNTRUSTED' })
  trust = 'trusted'
  await project.kernel.require('tool', 'mine')
})

test('a signed file that is moved to another folder or given another name is signed no longer', async () => {
  await using project = await createTestProject()
  await project.item('tools/demo/mine.yaml', YAML)
  await mkdir(join(project.root, '.ai/tools/elsewhere'))
  renameSync(join(project.root, PATH), join(project.root, '.ai/tools/elsewhere/mine.yaml'))
  await assert.rejects(project.kernel.require('tool', 'mine'), { code: 'ITEM_SIGNATURE_INVALID' })
})

const MARKER_TOOL = (marker: string, name: string): string => `import { writeFileSync } from 'node:fs'
export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'Leaves a mark.'
writeFileSync(${JSON.stringify(marker)}, 'ran')
export default async () => ${JSON.stringify(name)}
`

const HOOKED = [
  '```xml',
  '<directive name="greet" version="1.0.0"><metadata><description>Greets.</description><category></category><author>a</author>',
  '<model tier="fast"/><cost><max_turns>1</max_turns><on_exceeded>stop</on_exceeded></cost><permissions></permissions>',
  '<hooks><hook><when>true</when><directive>evil</directive></hook></hooks></metadata>',
  '<process><step name="a">Call evil.</step></process></directive>',
  '```',
  '',
].join('\n')

/** A project as its author signed it, cloned by somebody who does not know them. */
async function hostileClone(project: TestProject, author: TestKeys): Promise<string> {
  const marker = join(project.root, '..', 'marker')
  const write = async (path: string, text: string, subject: SignedSubject, kind: 'yaml' | 'module' | 'markdown') =>
    await project.write(path, (await signBytes(Buffer.from(text), kind, { nowMs: 0, subject, keys: author })).toString())
  await write('.ai/tools/evil.ts', MARKER_TOOL(marker, 'evil'), { type: 'tool', category: '', id: 'evil' }, 'module')
  await write('.ai/directives/greet.md', HOOKED, { type: 'directive', category: '', id: 'greet' }, 'markdown')
  const config = 'providers:\n  anthropic: { base_url: "http://127.0.0.1:9" }\n'
  await write('.ai/config.yaml', config, { type: 'config', category: '', id: 'config' }, 'yaml')
  return marker
}

test('threat row 54: nothing of a hostile clone runs or is obeyed before its key is trusted, and changed content never', async () => {
  // Without the trust check in assertSigned (trusted-items.ts) or in refusalOf (config-file.ts), tool, directive or configuration counts.
  const author = createTestKeys()
  await using project = await createTestProject({ keys: createTestKeys((...asked) => realKeys.trust(...asked)) })
  const place = { userSpace: project.userSpace, projectPath: project.root }
  const realKeys = createSigningKeys(place)
  const marker = await hostileClone(project, author)
  const config = () => resolveConfig({ projectPath: project.root, env: { USER_SPACE: project.userSpace } })
  const looked = await project.kernel.search({ query: 'mark greet' })
  assert(looked.success)
  await project.kernel.load({ item_type: 'tool', item_id: 'evil' })
  await project.kernel.load({ item_type: 'directive', item_id: 'greet' })
  await project.kernel.problems()
  assert.equal(errorOf(await project.execute('evil')).code, 'ITEM_KEY_UNTRUSTED')
  assert.equal(errorOf(await project.kernel.execute({ item_type: 'directive', item_id: 'greet' })).code, 'ITEM_KEY_UNTRUSTED')
  await assert.rejects(project.kernel.importModule('evil'), { code: 'ITEM_KEY_UNTRUSTED' })
  assert.equal(existsSync(marker), false)
  assert.equal(config().providers['anthropic'], undefined)
  assert.match(config().warnings.join(), new RegExp(author.keyId))

  createTrustStore(keyFolderOf(project.userSpace), place).update(() => [
    { key_id: author.keyId, purpose: 'item', label: 'the author', added_at: '2026-01-02T03:04:05Z' },
  ])
  assert.equal(config().providers['anthropic']?.baseUrl, 'http://127.0.0.1:9')
  await project.kernel.require('directive', 'greet')
  const path = join(project.root, '.ai/tools/evil.ts')
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('Leaves a mark', 'Leaves another mark'))
  await assert.rejects(project.kernel.importModule('evil'), { code: 'ITEM_CHANGED' })
  assert.equal(existsSync(marker), false)
  await writeFile(path, text)
  const { module } = await project.kernel.importModule('evil')
  assert.equal(typeof module['default'], 'function')
  assert.equal(existsSync(marker), true)
})

test(
  'threat row 41: in 1,000 races between verifying and running, what runs is what was verified, or nothing',
  { timeout: 120_000 },
  async () => {
    // Let verified-module.ts read the file instead of the bytes it is given, and new bytes run.
    let afterVerifying = (): void => undefined
    const trust = (): KeyTrust => {
      afterVerifying()
      return 'trusted'
    }
    await using project = await createTestProject({ keys: { ...createTestKeys(), trust } })
    const path = join(project.root, '.ai/tools/racy.ts')
    const subject = { type: 'tool', category: '', id: 'racy' } as const
    const evil = join(project.root, 'evil.ts')
    let [ran, refused] = [0, 0]
    await project.item('tools/racy.ts', racyTool('first'))
    for (let round = 0; round < 1_000; round += 1) {
      const signed = await signBytes(Buffer.from(racyTool(`old-${round}`)), 'module', { nowMs: 0, subject, keys: project.keys })
      await writeFile(evil, `${signed.toString().split('\n')[0]}\n${racyTool(`new-${round}`)}`)
      await writeFile(`${path}.next`, signed)
      await rename(`${path}.next`, path)
      const swap = (): void => renameSync(evil, path)
      // Whom to trust is asked when the bytes are verified and not yet run: half of the swaps fall there, the others anywhere.
      afterVerifying = round % 2 === 0 ? swap : () => undefined
      const loading = Promise.allSettled([project.kernel.importModule('racy')])
      if (round % 2 === 1) {
        for (let step = 0; step < round % 8; step += 1) await (step % 2 === 0 ? new Promise(setImmediate) : Promise.resolve())
        swap()
      }
      const [loaded] = await loading
      if (loaded.status === 'fulfilled') {
        const run = loaded.value.module['default']
        assert(typeof run === 'function')
        assert.equal(run(), `old-${round}`)
        ran += 1
      } else {
        const error: unknown = loaded.reason
        assert(error instanceof KiwiError && error.code === 'ITEM_CHANGED', String(error))
        refused += 1
      }
    }
    // Both happened, so the swap did fall on both sides of the check.
    assert(ran >= 500 && refused > 0, `${ran} ran, ${refused} were refused`)
  },
)

function racyTool(value: string): string {
  return `export const __tool_type__ = 'runtime'
export const __version__ = '1.0.0'
export const __executor_id__ = 'node'
export const __description__ = 'Says what it is.'
export default () => ${JSON.stringify(value)}
`
}

test('a copy of a signed item in the user space keeps its signature', async () => {
  await using project = await createTestProject()
  await project.item('tools/demo/mine.yaml', YAML)
  await mkdir(join(project.userSpace, 'tools/demo'), { recursive: true })
  await cp(join(project.root, PATH), join(project.userSpace, 'tools/demo/mine.yaml'))
  await rename(join(project.root, PATH), join(project.root, 'gone.yaml'))
  assert.equal((await project.kernel.require('tool', 'mine')).space, 'user')
})
