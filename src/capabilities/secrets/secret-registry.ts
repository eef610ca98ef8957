/**
 * Which values are secrets (DESIGN section 6): those of environment variables whose names say so, those that the configuration names,
 * and those that a tool file puts into headers or authentication.
 */
import { existsSync } from 'node:fs'
import type { Redactor } from '../contract.ts'
import { createRedactor } from './redactor.ts'
import type { Secret } from './redactor.ts'
import { MIN_SECRET_LENGTH } from './secret-forms.ts'

type Variables = Readonly<Record<string, string | undefined>>

/** The secrets of one environment; they only become more. */
export interface SecretRegistry {
  /** Takes in the secrets of an environment and the variables named by the configuration. */
  addFrom(env: Variables, names: readonly string[]): void
  /** Told of each `${NAME}` of a tool file that is rendered, with its place in the configuration. */
  used(name: string, value: string, path: readonly (string | number)[]): void
  /** Always the same object: it knows what was added since it was asked for, except in streams that have begun. */
  redactor(): Redactor
}

export function createSecretRegistry(): SecretRegistry {
  const secrets = new Map<string, Secret>()
  let made: Redactor | null = null
  const current = (): Redactor => (made ??= createRedactor([...secrets.values()]))
  const add = (secret: Secret): void => {
    if (secrets.has(secret.value)) return
    secrets.set(secret.value, secret)
    made = null
  }
  const redactor: Redactor = {
    text: (text) => current().text(text),
    json: (value) => current().json(value),
    find: (value) => current().find(value),
    stream: () => current().stream(),
    events: () => current().events(),
  }
  return {
    addFrom(env, names) {
      for (const secret of collectSecrets({ env, names })) add(secret)
    },
    used(name, value, path) {
      if (isSecretValue(value) && isSecretPlace(path)) add({ name, value })
    },
    redactor: () => redactor,
  }
}

const SECRET_NAME = /KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL/i

/**
 * The secrets of an environment. Of a variable that is only called like one, a value counts unless it is a plain number (`MAX_TOKENS`), a path or
 * socket that exists (`GNOME_KEYRING_CONTROL`), or one of a few words that are never secret; a variable that `names` lists counts whatever
 * it holds. Values of fewer than eight characters never count.
 */
export function collectSecrets(options: { readonly env: Variables; readonly names: readonly string[] }): readonly Secret[] {
  const { env } = options
  const names = new Set(options.names)
  return Object.entries(env).flatMap(([name, value]) => {
    if (value === undefined || value.length < MIN_SECRET_LENGTH) return []
    const counts =
      names.has(name) || (SECRET_NAME.test(name) && isSecretValue(value) && !isNumber(value) && !isExistingPath(value))
    return counts ? [{ name, value }] : []
  })
}

/** What such variables hold when they hold no secret: kinds of stores, names of headers, and the keys of servers that ask for none. */
const PLAIN_WORDS: ReadonlySet<string> = new Set([
  'authorization',
  'disabled',
  'file-based',
  'keychain',
  'kubernetes',
  'none-required',
  'not-needed',
  'optional',
  'password',
  'required',
  'scripted',
  'undefined',
  'x-api-key',
])

function isSecretValue(value: string): boolean {
  return value.length >= MIN_SECRET_LENGTH && value.trim() !== '' && !PLAIN_WORDS.has(value.toLowerCase())
}

function isNumber(value: string): boolean {
  return /^[+-]?[\d.,_]+$/.test(value)
}

/** `/run/user/1000/keyring`, `~/.config/key.json`, `unix:path=/run/user/1000/bus`: naming a file is not its content. */
function isExistingPath(value: string): boolean {
  const path = /^(?:[\w-]+:(?:[\w-]+=|\/\/)?)?(\/[^\0]*)$/.exec(value)?.[1]
  return path !== undefined && path.length <= MAX_PATH && existsSync(path)
}

const MAX_PATH = 4096
const SECRET_TOPS: ReadonlySet<string | number> = new Set(['headers', 'auth', 'env'])
const SECRET_FIELD = /^(?:proxy-)?authorization$|^auth$|^cookie$|^credentials?$|api[-_]?key|token|secret|passw(?:or)?d/i

/** Whether what stands at this place of a tool's configuration proves who is calling, or is given to a process as its environment. */
function isSecretPlace(path: readonly (string | number)[]): boolean {
  const [top] = path
  return (top !== undefined && SECRET_TOPS.has(top)) || path.some((part) => typeof part === 'string' && SECRET_FIELD.test(part))
}
