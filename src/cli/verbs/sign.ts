import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSigningKeys } from '../../capabilities/keys/signing-keys.ts'
import { CONFIG_SUBJECT, parseConfig } from '../../config/config-file.ts'
import { userSpaceOf } from '../../config/user-space.ts'
import { KiwiError } from '../../kernel/errors.ts'
import { signBytes } from '../../kernel/integrity/signature.ts'
import type { ItemType } from '../../kernel/items/item.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { printResult } from '../execute-tool.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'

export interface SignOptions {
  readonly type: ItemType | 'config'
  readonly id: string | undefined
  readonly draft: boolean
}

/** `kiwi sign TYPE ID` validates and signs an item; `kiwi sign config` does the same for the project's configuration. */
export async function sign(context: CliContext, { type, id, draft }: SignOptions): Promise<ExitCode> {
  if (type === 'config') {
    const file = await signConfig(context)
    context.output.data({ success: true, file }, () => `Signed ${file}.`)
    return EXIT.ok
  }
  if (id === undefined) {
    throw new KiwiError('INVALID_REQUEST', `Which ${type} is to be signed?`, { suggestion: `Name it: kiwi sign ${type} ID` })
  }
  const request = { item_type: type, item_id: id, ...(draft ? { parameters: { draft: true } } : {}) }
  return withKiwi(context, async (kiwi) => {
    const signed = await kiwi.kernel(context.projectPath).sign(request)
    if (signed.success && Array.isArray(signed['warnings']))
      for (const warning of signed['warnings']) context.output.talk(`warning: ${String(warning)}`)
    return printResult(context, signed, (result) => {
      const file = result.success ? result['file'] : null
      return typeof file === 'string' ? `Signed ${file}.` : `Signed ${type} ${id}.`
    })
  })
}

/**
 * Validates and signs `.ai/config.yaml`; gives its shown path.
 *
 * @throws KiwiError FILE_NOT_FOUND, CONFIG_VALIDATION_ERROR or KEY_UNSAFE; the file is then as it was.
 */
export async function signConfig({ projectPath, env }: Pick<CliContext, 'projectPath' | 'env'>): Promise<string> {
  const shown = '.ai/config.yaml'
  const path = join(projectPath, '.ai', 'config.yaml')
  const bytes = readConfig(path, shown)
  parseConfig(bytes, shown)
  const keys = createSigningKeys({ userSpace: userSpaceOf(env), projectPath })
  const signed = await signBytes(bytes, 'yaml', { nowMs: Date.now(), subject: CONFIG_SUBJECT, keys })
  writeFileSync(`${path}.new`, signed) // then moved, so that a crash leaves the old file or the new one
  renameSync(`${path}.new`, path)
  return shown
}

function readConfig(path: string, shown: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new KiwiError('FILE_NOT_FOUND', `${shown} cannot be read.`, {
      error,
      suggestion: 'Write it first; kiwi init writes a commented one.',
    })
  }
}
